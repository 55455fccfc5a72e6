"""Estimators on a table of networks without a search space: numbers of each, its curve, and what it reached."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nas.errors import UserError, unknown
from nas.estimate.bench.agreement import FEWEST_TOP, TOP, Agreement, agreement, regret, tau
from nas.estimate.bench.comparison import Compared, number_of_labels
from nas.estimate.curve import of_accuracies, of_losses
from nas.estimate.ensemble import fit_ensemble
from nas.estimate.labels import as_target
from nas.estimate.structure import plain_features
from nas.estimate.zero_cost.log_ranks import LogRanks
from nas.files.csv import number, read_rows
from nas.pareto import Array

LEARNING = ("combined", "curve")
DRAWS = 20  # random choices of the labels
LEAST_OTHERS = 10  # networks that are ranked


@dataclass(frozen=True)
class Curve:
    """The first epochs of all networks, of one kind: losses, or accuracies from 0 to 1."""

    columns: tuple[str, ...]
    values: Array  # (n, epochs)
    loss: bool

    @property
    def last(self) -> Array:
        """Of the last epoch (n,), more is better."""
        return -self.values[:, -1] if self.loss else self.values[:, -1]


@dataclass(frozen=True)
class PlainTable:
    """The networks of a CSV; every number (n,)."""

    accuracies: Array  # from 0 to 1
    features: dict[str, Array]  # by column
    curves: tuple[Curve, ...] = ()

    @property
    def columns(self) -> dict[str, Array]:
        """What ranks the networks by itself, more is better: the features, and the curves' last epoch."""
        return {**self.features, **{curve.columns[-1]: curve.last for curve in self.curves}}

    def values(self, name: str) -> Array | None:
        """What ranks the networks by itself: a column, or the log rank sum of several with + between; None: neither."""
        columns = self.columns
        parts = name.split("+")
        if any(part not in columns for part in parts):
            return None
        if len(parts) == 1:
            return columns[name]
        ranks = LogRanks({part: columns[part] for part in parts}, dict.fromkeys(parts, 1.0))
        rows = range(len(self.accuracies))
        return np.array([ranks.value({part: columns[part][i] for part in parts}) for i in rows])


def read_plain(
    path: Path, accuracy: str, features: Sequence[str], curve: Sequence[str] = (), first: int = 1
) -> PlainTable:
    """The columns of a CSV by pattern: * stands for anything in `features`, for the epoch's number in `curve`.

    `accuracy` is one column, fractions or percentages. Of the curve the epochs from 1 to `first` are read; a pattern
    with "loss" in it is of losses, another of accuracies. Raises UserError that names file and line.
    """
    rows = list(read_rows(path, (accuracy,)))
    if not rows:
        raise UserError(f"{path}: has no rows")
    there = list(rows[0][1])

    def column(name: str, least: float, most: float | None = None) -> Array:
        return np.array([number(row[name], path, line, name, least=least, most=most) for line, row in rows])

    chosen = dict.fromkeys(c for pattern in features for c in _matching(path, pattern, there, ".*"))
    if accuracy in chosen:
        raise UserError(f"{path}: column {accuracy} is what is to be predicted, so it cannot be a feature")
    curves = []
    for pattern in curve:
        columns = {int(m[1]): c for c in _matching(path, pattern, there, r"(\d+)") if (m := _match(pattern, c))}
        if missing := next((epoch for epoch in range(1, first + 1) if epoch not in columns), 0):
            raise UserError(f"{path}: needs a column {pattern.replace('*', str(missing))}, for epoch {missing}")
        names, loss = tuple(columns[epoch] for epoch in range(1, first + 1)), "loss" in pattern.lower()
        values = np.stack([column(name, 0.0, None if loss else 100.0) for name in names], axis=1)
        curves.append(Curve(names, values if loss else _fractions(values), loss))
    known = {name: column(name, -np.inf) for name in chosen}
    return PlainTable(_fractions(column(accuracy, 0.0, 100.0)), known, tuple(curves))


def compare_plain(table: PlainTable, estimators: Sequence[str], *, seed: int = 0) -> list[Compared]:
    """How well estimators rank the networks: estimators, then columns, each best first; of the curve the last epoch's.

    `combined:20` learns from the features of 20 networks drawn at random, `curve:20` from their first epochs too; their
    figures are means over DRAWS draws, of the networks that are not drawn, and the interval is the draws' own.
    Raises UserError for an unknown estimator, and where the table has too few networks.
    """
    known = [f"{name}:20" for name in LEARNING]
    baselines = table.columns
    judged = {name: _judged(value, table.accuracies, seed) for name, value in baselines.items()}
    best = max(judged, key=lambda name: judged[name].tau, default="")
    found = [Compared(name, True, judged[name], 0.0, 0.5) for name in judged]
    for name in dict.fromkeys(estimators):
        if name in baselines:
            continue
        if (value := table.values(name)) is not None:
            found.append(Compared(name, False, _judged(value, table.accuracies, seed), 0.0, 0.5))
            continue
        labels = max(number_of_labels(name, learning) for learning in LEARNING)
        if not labels:
            raise unknown("estimator", name, [*known, *baselines])
        if name.startswith("curve") and not table.curves:
            raise UserError(f"{name} reads first epochs: name their columns")
        if labels + LEAST_OTHERS > len(table.accuracies):
            raise UserError(
                f"{name} needs {labels + LEAST_OTHERS} networks, {LEAST_OTHERS} of them to be ranked; "
                f"the table has {len(table.accuracies)}"
            )
        found.append(_learned(name, labels, table, baselines[best] if best else None, seed))
    return sorted(found, key=lambda c: (c.baseline, -c.agreement.tau))


def _learned(name: str, labels: int, table: PlainTable, best: Array | None, seed: int) -> Compared:
    """The means over draws of the labels."""
    features = plain_features(table.features) if table.features else np.zeros((len(table.accuracies), 0))
    parts = [features]
    if name.startswith("curve"):
        parts += [of_losses(c.values) if c.loss else of_accuracies(c.values) for c in table.curves]
    parts = [part for part in parts if part.shape[1]]
    features, groups = np.concatenate(parts, axis=1), np.repeat(np.arange(len(parts)), [p.shape[1] for p in parts])
    targets, rows = as_target(table.accuracies), []
    for draw in range(DRAWS):
        order = np.random.default_rng((seed, draw)).permutation(len(targets))
        drawn, others = order[:labels], order[labels:]
        model = fit_ensemble(features[drawn], targets[drawn], features, groups)
        told, truth = model.predict(features[others])[0], table.accuracies[others]
        top = truth >= np.quantile(truth, 1 - TOP)
        rows.append((
            tau(told, truth), tau(told[top], truth[top]) if top.sum() >= FEWEST_TOP else np.nan,
            regret(told, truth, 1, seed), regret(told, truth, 5, seed), top.sum(),
            0.0 if best is None else tau(best[others], truth),
        ))  # fmt: skip
    taus, tops, first, fifth, count, reference = np.array(rows).T
    low, high = np.quantile(taus, [0.05, 0.95])
    judged = Agreement(
        len(targets) - labels, float(taus.mean()), float(low), float(high), np.nan, float(tops.mean()),
        int(count.mean()), float(first.mean()), float(fifth.mean()),
    )  # fmt: skip
    return Compared(name, False, judged, 0.0, float(np.mean(taus > reference)))


def _judged(values: Array, accuracies: Array, seed: int) -> Agreement:
    alike = np.arange(len(values), dtype=float)  # of no two networks is the depth known to be the same
    top = accuracies >= np.quantile(accuracies, 1 - TOP)
    return agreement(values, accuracies, alike, top, np.zeros(len(values), dtype=bool), seed=seed)


def _matching(path: Path, pattern: str, columns: Sequence[str], anything: str) -> list[str]:
    found = [c for c in columns if _match(pattern, c, anything)]
    if not found:
        raise UserError(f"{path}: has no column {pattern[:80]!r}; it has {', '.join(columns)[:200]}")
    return found


def _match(pattern: str, column: str, anything: str = r"(\d+)") -> re.Match[str] | None:
    return re.fullmatch(anything.join(map(re.escape, pattern.split("*"))), column, re.ASCII)


def _fractions(values: Array) -> Array:
    return values / 100 if values.max() > 1 else values
