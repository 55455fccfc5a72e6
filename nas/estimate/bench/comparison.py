"""Estimators side by side: their agreement with what is known, beside baselines that cost nothing."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from nas.data.dataset import Dataset
from nas.errors import UserError, unknown
from nas.estimate.bench.agreement import Agreement, agreement, share_better
from nas.estimate.bench.measurements import Chosen, Measured, choose, measure, read_measurements
from nas.estimate.by_name import ESTIMATORS, make_estimator
from nas.estimate.combined import Combined
from nas.estimate.ensemble import FEWEST
from nas.estimate.estimator import Estimator, OnPrepare
from nas.estimate.labels import KnownLabels, Label, designed
from nas.estimate.structure import Structure
from nas.estimate.table import Known, read_known
from nas.estimate.zero_cost import DESCRIPTORS, SCORES
from nas.estimate.zero_cost.estimator import AGGREGATE, ZeroCost, shown
from nas.estimate.zero_cost.log_ranks import LogRanks
from nas.files.csv import MOST_BYTES, csv_text
from nas.files.plain import read_bytes
from nas.pareto import Array
from nas.space.search_space import SearchSpace

SURE = 0.95  # of the resamples, in which a better estimator must be better
SUM = "+".join(AGGREGATE)
DEFAULT = (SUM, *SCORES)
TRAINING = ("proxy", "combined", "curve")  # estimators that have the settings of a proxy training
COLUMNS = (
    "estimator", "networks", "tau", "low", "high", "equal_depth", "top", "top_networks", "regret_1", "regret_5",
    "core_seconds",
)  # fmt: skip


@dataclass(frozen=True)
class Bench:
    """What is compared, on which networks of a table."""

    table: Path
    space: SearchSpace
    dataset: Dataset | None  # None: no estimator looks at images
    estimators: tuple[str, ...] = DEFAULT  # as `check_estimators` allows
    accuracy: tuple[str, ...] = ()  # columns, as of `read_known`
    networks: int = 100
    best: int = 0  # networks of the best tenth beside them
    skip: int = 0  # of the random order, for networks that an earlier comparison has not seen
    seed: int = 0
    initializations: int = 3
    proxy: Mapping[str, Any] = field(default_factory=dict)  # settings of proxy trainings that are not the space's

    @property
    def parts(self) -> tuple[str, ...]:
        """What has to be estimated: each estimator, and the parts of each sum."""
        return tuple(dict.fromkeys(part for name in self.estimators for part in name.split("+")))

    @property
    def name(self) -> str:
        """What the values depend on: results are never mixed with those of another table, space or dataset."""
        digest = hashlib.sha256(read_bytes(self.table, MOST_BYTES, "CSV"))
        images = self.dataset.fingerprint if self.dataset else ""
        digest.update(repr((self.space.fingerprint, images, self.seed, self.initializations)).encode())
        digest.update(repr(sorted(self.proxy.items())).encode() if self.proxy else b"")
        return f"{self.table.stem}-{digest.hexdigest()[:12]}"


@dataclass(frozen=True, slots=True)
class Compared:
    """One estimator, or one baseline."""

    name: str
    baseline: bool
    agreement: Agreement
    seconds: float  # of one core, mean of the networks; 0: counted from the table of blocks
    better: float  # share of resamples of the networks in which its tau is above the best baseline's


def check_estimators(names: Sequence[str]) -> None:
    """Raises UserError unless each is an estimator of `make_estimator`, a score, or some with + between.

    The sum of several is that of their log ranks. `combined:20` is the estimator `combined` that learns from 20 of the
    table's networks, none of those compared.
    """
    known = [*ESTIMATORS, "combined:20", *SCORES, *DESCRIPTORS]
    if not names:
        raise UserError(f"estimators must be some of {', '.join(known)}")
    for name in names:
        for part in name.split("+"):
            if part not in known and not number_of_labels(part, "combined"):
                raise unknown("estimator", part, known)


def epochs_of(settings: Mapping[str, Any]) -> dict[str, Any]:
    """What a supernet's training has of the settings of a proxy training: the epochs, where they are given."""
    return {name: value for name, value in settings.items() if name == "epochs"}


def number_of_labels(name: str, estimator: str) -> int:
    """The number of labels in a name as combined:20; 0 where it is not such a name.

    Raises UserError for fewer labels than can be learned from.
    """
    found = re.fullmatch(rf"{estimator}:(\d{{1,5}})", name, re.ASCII)
    if found and int(found[1]) < FEWEST:
        raise UserError(f"{estimator} must learn from at least {FEWEST} networks; got {name}")
    return int(found[1]) if found else 0


def compare(
    given: Bench,
    file: Path,
    on_progress: Callable[[int, int], object] = lambda done, total: None,
    on_prepare: OnPrepare | None = None,
) -> list[Compared]:
    """Estimates what `file` lacks, and compares all that was asked for: estimators, then baselines, each best first.

    `on_prepare` hears of what an estimator prepares before its first estimate.

    Raises UserError for a table that is wrong, for a file of something else, and where a network cannot be estimated.
    """
    check_estimators(given.estimators)
    classes = len(given.dataset.classes) if given.dataset else None
    known = read_known(given.table, given.space, given.accuracy, classes)
    chosen = choose(known, given.networks, given.best, given.skip, given.seed)
    compared = {k.name for k in chosen.networks}
    others = tuple(k for k in known if k.name not in compared)
    makers = {name: partial(_estimator, given, name, others) for name in given.parts if name not in DESCRIPTORS}
    name = given.name
    for part in makers:
        labels = number_of_labels(part, "combined")
        if labels > len(others):
            raise UserError(f"{part} needs {labels} networks of the table that are not compared; got {len(others)}")
        if given.dataset is None and part != "table" and not labels:
            raise UserError(f"{part} looks at images: give the dataset that the table's networks were trained on")
    read_measurements(file, name)  # before anything is written
    results = measure(chosen.networks, makers, file, name, given.seed, on_progress, on_prepare) if makers else {}
    return _compared(given, chosen, results)


def _compared(given: Bench, chosen: Chosen, results: Mapping[tuple[str, str], Measured]) -> list[Compared]:
    networks = chosen.networks
    accuracies = np.array([k.accuracy for k in networks])
    extra = np.arange(len(networks)) >= len(chosen.drawn)
    values: dict[str, Array] = {name: np.array([f(k.network) for k in networks]) for name, f in DESCRIPTORS.items()}
    seconds = dict.fromkeys(DESCRIPTORS, 0.0)
    for part in given.parts:
        if part not in DESCRIPTORS:
            measured = [results[k.name, part] for k in networks]
            values[part] = np.array([m.value for m in measured])
            seconds[part] = float(np.mean([m.seconds for m in measured]))
    for name in given.estimators:
        if name not in values:
            parts = name.split("+")
            ranks = LogRanks({p: values[p][~extra] for p in parts}, dict.fromkeys(parts, 1.0))
            values[name] = np.array([ranks.value({p: values[p][i] for p in parts}) for i in range(len(networks))])
            seconds[name] = sum(seconds[p] for p in parts)
    judge = partial(
        agreement, accuracies=accuracies, depths=values["depth"], top=accuracies >= chosen.top_accuracy, extra=extra
    )
    judged = {name: judge(value) for name, value in values.items() if name in given.estimators or name in DESCRIPTORS}
    baselines = sorted(DESCRIPTORS, key=lambda name: -judged[name].tau)
    asked = sorted((n for n in dict.fromkeys(given.estimators) if n not in DESCRIPTORS), key=lambda n: -judged[n].tau)
    reference = values[baselines[0]][~extra]
    return [
        Compared(
            name, name in DESCRIPTORS, judged[name], seconds[name],
            share_better(values[name][~extra], reference, accuracies[~extra]),
        )
        for name in (*asked, *baselines)
    ]  # fmt: skip


def no_better(compared: Sequence[Compared]) -> tuple[str, list[str]]:
    """The best baseline, and the estimators that were not seen to rank better than it."""
    best = next(c.name for c in compared if c.baseline)
    return best, [c.name for c in compared if not c.baseline and c.better < SURE]


def comparison_csv(compared: Sequence[Compared]) -> str:
    """The comparison as a CSV, regrets as fractions."""
    rows = []
    for c in compared:
        a = c.agreement
        rows.append((
            c.name, a.networks, a.tau, a.low, a.high, a.equal_depth, a.top, a.top_networks, a.regret_1, a.regret_5,
            c.seconds,
        ))  # fmt: skip
    return csv_text(COLUMNS, rows)


def _estimator(given: Bench, name: str, others: Sequence[Known]) -> Estimator:
    if name in SCORES and given.dataset is not None:
        sample = shown(given.dataset.train, given.seed)
        return ZeroCost(sample, {name: 1.0}, initializations=given.initializations, seed=given.seed)
    zero_cost: dict[str, Any] = {"initializations": given.initializations}
    if labels := number_of_labels(name, "combined"):
        structure = Structure(given.space, len(given.dataset.classes) if given.dataset else None)
        score = (
            make_estimator("zero-cost", given.dataset, zero_cost, given.seed, given.space) if given.dataset else None
        )
        known = [Label(k.network, {}, k.accuracy) for k in others]
        return Combined(structure, KnownLabels(designed(structure, known, labels, given.seed)), score, given.seed)
    settings: dict[str, Any] = {
        "zero-cost": zero_cost, "table": {"path": str(given.table), "accuracy": ",".join(given.accuracy)},
        "supernet": epochs_of(given.proxy),
        **{each: {**given.space.proxy.model_dump(), **given.proxy} for each in TRAINING},
    }.get(name, {})  # fmt: skip
    return make_estimator(name, given.dataset, settings, given.seed, given.space)
