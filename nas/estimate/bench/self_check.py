"""What can be said of an estimator where no truth is known: whether it agrees with itself."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from nas.data.dataset import Dataset
from nas.errors import UserError, unknown
from nas.estimate.bench.agreement import interval, tau
from nas.estimate.bench.comparison import TRAINING, epochs_of
from nas.estimate.bench.measurements import measure, read_measurements
from nas.estimate.by_name import ESTIMATORS, make_estimator
from nas.estimate.estimator import Estimate, Estimator, OnPrepare
from nas.estimate.table import Known
from nas.estimate.zero_cost import SCORES
from nas.estimate.zero_cost.estimator import ZeroCost, shown
from nas.files.csv import csv_text
from nas.models.trained import TrainedModel
from nas.pareto import Array
from nas.space.candidate import Value
from nas.space.network import Network
from nas.space.search_space import SearchSpace
from nas.train.loop import OnEpoch

TIMES = 3  # as many epochs or initializations, of the next fidelity
COLUMNS = (
    "estimator", "networks", "tau_seeds", "low", "high", "tau_next", "next_low", "next_high", "ceiling",
    "core_seconds", "next_core_seconds",
)  # fmt: skip


@dataclass(frozen=True)
class SelfCheck:
    """What is checked, on which random networks of a space."""

    space: SearchSpace
    dataset: Dataset
    estimators: tuple[str, ...] = ("proxy",)
    networks: int = 20
    seed: int = 0
    initializations: int = 3
    proxy: Mapping[str, Any] = field(default_factory=dict)  # settings of proxy trainings that are not the space's

    @property
    def settings(self) -> dict[str, Any]:
        return {**self.space.proxy.model_dump(), **self.proxy}

    @property
    def name(self) -> str:
        """What the values depend on."""
        made_of = (
            self.space.fingerprint, self.dataset.fingerprint, self.seed, self.initializations,
            sorted(self.settings.items()),
        )  # fmt: skip
        return f"{self.space.name}-{hashlib.sha256(repr(made_of).encode()).hexdigest()[:12]}"


@dataclass(frozen=True, slots=True)
class Checked:
    """One estimator against itself. NaN: there is no next fidelity."""

    name: str
    networks: int
    seeds: tuple[float, float, float]  # tau between two seeds, and what 90% of the bootstrap's lie between
    following: tuple[float, float, float]  # tau between this fidelity and the next
    ceiling: float  # tau with the truth that noise alone allows, if all is as of Gaussian values; NaN: not known
    seconds: float  # of one core, mean of the networks
    next_seconds: float


def check_self(
    given: SelfCheck, file: Path, on_progress: Callable[[int, int], object] = lambda done, total: None,
    on_prepare: OnPrepare | None = None,
) -> list[Checked]:  # fmt: skip
    """Estimates what `file` lacks: each random network with two seeds, and once at the next fidelity.

    The next fidelity has three times the epochs, or the initializations; other estimators have none. Raises UserError.
    """
    known = [name for name in (*ESTIMATORS, *SCORES) if name != "table"]
    if not given.estimators:
        raise UserError(f"estimators must be some of {', '.join(known)}")
    for name in given.estimators:
        if name not in known:
            raise unknown("estimator", name, known)
    networks = _random_networks(given)
    makers = {part: partial(_make, given, part) for name in given.estimators for part in _parts(name)}
    read_measurements(file, given.name)  # before anything is written
    results = measure(networks, makers, file, given.name, given.seed, on_progress, on_prepare)

    def values(part: str) -> Array:
        return np.array([results[k.name, part].value for k in networks])

    def agree(one: str, other: str, seed: int) -> tuple[float, float, float]:
        pair = values(one), values(other)
        return (tau(*pair), *interval(*pair, seed=seed))

    def seconds(part: str) -> float:
        return float(np.mean([results[k.name, part].seconds for k in networks]))

    found = []
    for name in given.estimators:
        seeds = agree(name, f"{name} again", given.seed)
        following, later = (math.nan,) * 3, math.nan
        if _rises(name):
            both = [agree(part, f"{name} x{TIMES}", given.seed) for part in (name, f"{name} again")]
            following = tuple(np.mean(both, axis=0).tolist())
            later = seconds(f"{name} x{TIMES}")
        found.append(Checked(name, len(networks), seeds, following, ceiling(seeds[0]), seconds(name), later))
    return found


def ceiling(between_seeds: float) -> float:
    """The tau with the truth that an estimate without bias would have, of the tau between two seeds of it.

    Of Gaussian values tau = 2 / pi arcsin(r), and a measurement correlates with what it measures by the root of its
    correlation with a second measurement. NaN for a tau that is not above 0.
    """
    if not between_seeds > 0:
        return math.nan
    return 2 / math.pi * math.asin(math.sqrt(math.sin(math.pi / 2 * min(between_seeds, 1.0))))


@dataclass(frozen=True)
class Seeded:
    """An estimator with a seed of its own. A network that fails is the worst."""

    estimator: Estimator
    seed: int

    def prepare(self, on_progress: OnPrepare | None = None) -> None:
        self.estimator.prepare(on_progress)

    def estimate(
        self, network: Network, hyperparameters: Mapping[str, Value], *, seed: int, on_epoch: OnEpoch | None = None
    ) -> Estimate:
        """The estimate with the seed of `Seeded`. An accuracy that cannot be told, as of a diverged training, is 0."""
        try:
            return self.estimator.estimate(network, hyperparameters, seed=self.seed)
        except ArithmeticError:
            return Estimate(0.0, 0.0)

    def test_accuracy(self, model: TrainedModel) -> float:
        return self.estimator.test_accuracy(model)


def _parts(name: str) -> Iterator[str]:
    yield from (name, f"{name} again")
    if _rises(name):
        yield f"{name} x{TIMES}"


def _rises(name: str) -> bool:
    """Whether it has a next fidelity."""
    return name in ("proxy", "zero-cost", *SCORES)


def _make(given: SelfCheck, part: str) -> Estimator:
    name, _, kind = part.partition(" ")
    times = TIMES if kind.startswith("x") else 1
    seed = given.seed + (1 if kind == "again" else 2 if kind else 0)
    initializations = times * given.initializations
    if name in SCORES:
        sample = shown(given.dataset.train, given.seed)
        return Seeded(ZeroCost(sample, {name: 1.0}, initializations=initializations, seed=seed), seed)
    settings: dict[str, Any] = {
        "zero-cost": {"initializations": initializations},
        "supernet": epochs_of(given.proxy),
        **{each: {**given.settings, "epochs": times * given.settings["epochs"]} for each in TRAINING},
    }.get(name, {})
    return Seeded(make_estimator(name, given.dataset, settings, given.seed, given.space), seed)


def _random_networks(given: SelfCheck) -> Sequence[Known]:
    """Random distinct networks; raises UserError where the space has fewer."""
    rng = np.random.default_rng(given.seed)
    found: dict[object, Known] = {}
    for _ in range(100 * given.networks):
        candidate = given.space.sample(rng)
        network = given.space.network(candidate, len(given.dataset.classes))
        found.setdefault(network.blocks, Known(candidate.json(), network, math.nan))
        if len(found) == given.networks:
            return tuple(found.values())
    raise UserError(f"{given.space.name} must have {given.networks} distinct networks; got {len(found)}")


def checked_csv(checked: Sequence[Checked]) -> str:
    """The checks as a CSV."""
    rows = [
        (c.name, c.networks, *c.seeds, *c.following, c.ceiling, c.seconds, c.next_seconds) for c in checked
    ]  # fmt: skip
    return csv_text(COLUMNS, rows)
