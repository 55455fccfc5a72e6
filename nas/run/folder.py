"""The run folder: what a search writes and what everything after it reads.

run.toml         all that is needed to repeat the run        journal.log   Optuna's journal, the truth about trials
trials.csv       every trial                                 curves.jsonl  a training curve a line
pareto.csv/json  the front                                   references.csv  known networks on the same device
weights/N.safetensors  proxy weights of trial N, for the trials on the front
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from nas.errors import UserError
from nas.pareto import Array, hypervolume, non_dominated
from nas.run.file import write_atomic
from nas.run.settings import FORMAT, Settings, read_settings
from nas.run.trial import COLUMNS, COST_COLUMNS, Reference, Trial, csv_bytes, read_trials, row_of

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Run:
    """A run folder as it was read."""

    path: Path
    settings: Settings
    trials: tuple[Trial, ...]

    @cached_property
    def front_trials(self) -> tuple[Trial, ...]:
        """The trials on the Pareto front, by the first objective that is a cost."""
        by = next((c for c in self.settings.columns if c != "accuracy"), "latency_ms")
        return tuple(sorted(pareto_trials(self.trials, self.settings), key=lambda t: (t.value(by), t.trial)))

    @property
    def front(self) -> pd.DataFrame:
        """The Pareto front, a row a trial, with the columns of trials.csv."""
        return _frame(self.front_trials)

    @property
    def trials_frame(self) -> pd.DataFrame:
        """Every trial, with the columns of trials.csv."""
        return _frame(self.trials)

    @property
    def hypervolume(self) -> float:
        return front_volume(self.trials, self.settings)

    def weights(self, trial: int) -> Path:
        """The file of a trial's proxy weights; only trials on the front have one."""
        return weights_file(self.path, trial)


def weights_file(path: Path, trial: int) -> Path:
    return path / "weights" / f"{trial}.safetensors"


def points(trials: Sequence[Trial], settings: Settings) -> Array:
    """Objectives (n, m), all minimised: accuracy as error, costs as shares of the run's reference point."""
    columns = [
        [1 - t.value(c) if c == "accuracy" else t.value(c) / settings.reference_point.get(c, 1.0) for t in trials]
        for c in settings.columns
    ]
    return np.array(columns, dtype=np.float64).T.reshape(len(trials), len(settings.columns))


def pareto_trials(trials: Sequence[Trial], settings: Settings) -> tuple[Trial, ...]:
    """The trained trials that no other beats, in the order of their numbers."""
    trained = [t for t in trials if t.state == "trained"]
    return tuple(t for t, on in zip(trained, non_dominated(points(trained, settings)), strict=True) if on)


def front_volume(trials: Sequence[Trial], settings: Settings) -> float:
    """The front's hypervolume: its share of the box from accuracy 1 at no cost to accuracy 0 at the reference point."""
    front = pareto_trials(trials, settings)
    return hypervolume(points(front, settings), np.ones(len(settings.columns)))


def check_free(path: Path) -> None:
    """Raises UserError when the folder holds anything but what a search that never began left."""
    if (path / "run.toml").is_file():
        raise UserError(f"{path} holds a run already; go on with it by --resume, or choose another folder by --out")
    if path.exists() and (not path.is_dir() or any(not p.name.startswith(".") for p in path.iterdir())):
        raise UserError(f"{path} exists and is no run folder; choose another folder by --out")


def write_trials(path: Path, settings: Settings, trials: Sequence[Trial]) -> None:
    """trials.csv, pareto.csv and pareto.json, each replaced at once."""
    run = Run(path, settings, tuple(trials))
    write_atomic(path / "trials.csv", csv_bytes(COLUMNS, map(row_of, trials)))
    write_atomic(path / "pareto.csv", csv_bytes(COLUMNS, map(row_of, run.front_trials)))
    summary = {
        "format": FORMAT, "space": settings.space, "device": settings.device, "dataset": settings.dataset,
        "objectives": list(settings.objectives), "budgets": dict(settings.budgets), "trials": len(trials),
        "hypervolume": run.hypervolume, "reference_point": dict(settings.reference_point),
        "front": [row_of(t) | {"candidate": t.candidate.as_dict()} for t in run.front_trials],
    }  # fmt: skip
    write_atomic(path / "pareto.json", (json.dumps(summary, indent=1) + "\n").encode())


def write_references(path: Path, references: Iterable[Reference]) -> None:
    rows = ({"name": r.name, "precision": r.precision} | asdict(r.costs) for r in references)
    write_atomic(path / "references.csv", csv_bytes(("name", "precision", *COST_COLUMNS), rows))


def load_run(path: str | Path) -> Run:
    """Reads a run folder. Raises UserError, naming file and line, for anything that a search would not have written."""
    path = Path(path)
    settings = read_settings(path)
    return Run(path, settings, tuple(read_trials(path / "trials.csv")))


def write_curves(path: Path, curves: Mapping[int, Sequence[Mapping[str, float]]]) -> None:
    lines = (json.dumps({"trial": trial, "curve": curve}) + "\n" for trial, curve in sorted(curves.items()))
    write_atomic(path / "curves.jsonl", "".join(lines).encode())


def read_curves(path: Path) -> dict[int, list[dict[str, float]]]:
    """Each trial's training curve: a dictionary an epoch."""
    file = path / "curves.jsonl"
    lines = file.read_text("utf-8").splitlines() if file.exists() else []
    return {int(entry["trial"]): entry["curve"] for entry in map(json.loads, lines)}


def _frame(trials: Sequence[Trial]) -> pd.DataFrame:
    import pandas as pd

    return pd.DataFrame([row_of(t) for t in trials], columns=list(COLUMNS))
