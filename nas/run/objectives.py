"""What a search can optimize: name, column, unit and direction of each objective, and which may have a budget."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from nas.errors import UserError, require, unknown


@dataclass(frozen=True, slots=True)
class Objective:
    """One quantity that a search optimizes.

    One that is known is a cost: the device profile predicts it before any training, so it may have a budget, an upper
    limit. The others must be learned by training; they are fractions from 0 to 1, where 1 is best.
    """

    name: str  # as users write it
    column: str  # of trials.csv
    unit: str  # "": a count
    direction: Literal["maximize", "minimize"]
    known: bool  # before a candidate is trained
    budget: str = ""  # the name of its limit in a run's settings; "": it can have none
    expected: str = ""  # the column of what is believed of it, after all that the run has seen; "": there is none

    @property
    def words(self) -> str:
        """The name in a sentence."""
        return self.name.replace("-", " ")

    def minimized(self, value: float, reference: float = 1.0) -> float:
        """The value as a loss: what is missing to 1 where more is better, else a share of `reference`, of its unit."""
        return 1 - value if self.direction == "maximize" else value / reference


ACCURACY = Objective("accuracy", "accuracy", "%", "maximize", known=False, expected="expected_accuracy")
ROBUST_ACCURACY = Objective("robust-accuracy", "robust_accuracy", "%", "maximize", known=False)
LATENCY = Objective("latency", "latency_ms", "ms", "minimize", known=True, budget="max_latency_ms")
ENERGY = Objective("energy", "energy_mj", "mJ", "minimize", known=True, budget="max_energy_mj")
SIZE = Objective("size", "size_mb", "MB", "minimize", known=True, budget="max_size_mb")
MEMORY = Objective("peak-memory", "peak_memory_mb", "MB", "minimize", known=True, budget="max_memory_mb")
PARAMS = Objective("params", "params", "", "minimize", known=True, budget="max_params")
MACS = Objective("macs", "macs", "", "minimize", known=True, budget="max_macs")

OBJECTIVES = {o.name: o for o in (ACCURACY, ROBUST_ACCURACY, LATENCY, ENERGY, PARAMS, MACS, MEMORY, SIZE)}
BUDGETS = {o.budget: o for o in OBJECTIVES.values() if o.budget}
UNITS = {o.column: o.unit for o in OBJECTIVES.values() if o.known and o.unit}  # of costs, by column


def default_objectives(*, energy: bool) -> tuple[str, ...]:
    """What is searched where nobody said: accuracy against latency, and against energy where the device has it."""
    return tuple(o.name for o in (ACCURACY, LATENCY, *[ENERGY] * energy))


def check_objectives(names: Sequence[str]) -> None:
    """Raises UserError where there is none, for an unknown name, and for one given twice."""
    require("objectives", names, (list, tuple), "a list of names")
    if not names:
        raise UserError(f"a search needs an objective (known: {', '.join(OBJECTIVES)})")
    for name in names:
        require("an objective", name, str, "a name")
        if name not in OBJECTIVES:
            raise unknown("objective", name, OBJECTIVES)
        if names.count(name) > 1:
            raise UserError(f"objective {name!r} is given twice")


def check_budgets(names: Sequence[str]) -> None:
    """Raises UserError for an unknown name."""
    if odd := [name for name in names if name not in BUDGETS]:
        raise unknown("budget", odd[0], BUDGETS)
