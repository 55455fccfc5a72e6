"""A table of networks whose accuracies and costs are known, as a task for `nas bench search`."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from zlib import crc32

import numpy as np
from optuna.distributions import BaseDistribution, CategoricalDistribution, IntDistribution

from nas.errors import UserError
from nas.files.csv import read_rows
from nas.pareto import Array, hypervolume, non_dominated
from nas.run import OBJECTIVES
from nas.search.bench.run import Params, Task, along

NETWORK = "network"  # rows of the same network have the same name in this column
COSTS = tuple(o.column for o in OBJECTIVES.values() if o.known)
DESCRIPTORS = ("macs", "params", "stage_sum")  # that `nas search` tells its sampler


def read_task(
    path: Path,
    costs: Sequence[str] | None = None,
    least_accuracy: float | None = None,
    descriptors: Sequence[str] | None = None,
) -> Task:
    """The task of a CSV: one row a candidate.

    Columns: `accuracy`, or `accuracy_1`, `accuracy_2` and so on for several trainings, as fractions; costs, named as
    the columns of a run (latency_ms, energy_mj, params, ...); `network`, if several rows build the same; every other
    one is a choice. A choice whose values are whole numbers keeps their order. Rows that a full grid has and the table
    lacks are infeasible. `costs` are the columns that are objectives, whatever their names (default: all of the names
    above that there are). `descriptors` are columns that may tell something of accuracy, which `pareto` is told: more
    promises better (default: macs, params and stage_sum, those that there are and that are no costs). With macs there
    is a walk. The reference is
    `least_accuracy` (default: the table's lower quartile) and the greatest of each cost. Raises UserError naming the
    line that is wrong.
    """
    rows = list(read_rows(path, ()))
    if not rows:
        raise UserError(f"{path}: has no rows")
    columns = list(rows[0][1])
    trainings = [c for c in columns if re.fullmatch(r"accuracy(_\d+)?", c)]
    known = [c for c in COSTS if c in columns] if costs is None else list(costs)
    told = [c for c in DESCRIPTORS if c in columns and c not in known] if descriptors is None else list(descriptors)
    choices = [c for c in columns if c not in (NETWORK, *trainings, *COSTS, *DESCRIPTORS, *known, *told)]
    if odd := [c for c in choices if c.startswith("accuracy_")]:
        raise UserError(
            f"{path}: column {odd[0]} is not a training: these are accuracy_1, accuracy_2, ...; leave it out"
        )
    if wrong := [c for c in known if c in (NETWORK, *trainings) or known.count(c) > 1]:
        raise UserError(f"{path}: costs must be columns of costs, each once; got {', '.join(known)} ({wrong[0]})")
    if wrong := [c for c in told if c in (NETWORK, *trainings, *known) or told.count(c) > 1]:
        raise UserError(f"{path}: descriptors must be other columns than costs, each once; got {wrong[0]}")
    if missing := [c for c in (*known, *told) if c not in columns]:
        raise UserError(f"{path}: has no column {missing[0]}")
    if len(known) > 3:
        raise UserError(f"{path}: has {len(known)} costs ({', '.join(known)}); choose one to three of them by --costs")
    if not trainings or not 1 <= len(known) <= 3 or not choices:
        raise UserError(
            f"{path}: needs a column accuracy or accuracy_1, one to three of {', '.join(COSTS)}, and choices; "
            f"it has {', '.join(columns)}"
        )
    accuracy = np.array([[_share(row[c], path, line, c) for c in trainings] for line, row in rows])
    cost = np.array([[_finite(row[c], path, line, c) for c in known] for line, row in rows])
    described = np.array([[_finite(row[c], path, line, c) for c in told] for line, row in rows])
    space = {c: _distribution([row[c] for _, row in rows]) for c in choices}
    given = [tuple(_value(space[c], row[c]) for c in choices) for _, row in rows]
    place: dict[tuple[str | int, ...], int] = {}
    first: dict[str, int] = {}
    same = []
    for i, (key, (line, row)) in enumerate(zip(given, rows, strict=True)):
        if place.setdefault(key, i) != i:
            raise UserError(f"{path}: line {line} repeats the choices of line {rows[place[key]][0]}")
        same.append(first.setdefault(row.get(NETWORK) or str(i), i))
    mean = accuracy.mean(axis=1)
    worst = float(np.quantile(mean, 0.25)) if least_accuracy is None else least_accuracy
    reference = np.array([1 - worst, *cost.max(axis=0)])
    truth = hypervolume(np.concatenate([1 - mean[same][:, None], cost], axis=1), reference)
    if truth <= 0:
        raise UserError(f"{path}: no network is above the least accuracy, {worst:g}, and below the greatest cost")

    walk = None
    if "macs" in columns:
        macs = np.array([_finite(row["macs"], path, line, "macs") for line, row in rows])
        networks = np.array(sorted(set(same)))  # a row of each
        front = networks[non_dominated(np.column_stack([-macs, cost[:, 0]])[networks])]
        front = front[np.argsort(cost[front, 0], kind="stable")]
        walk = partial(along, [dict(zip(choices, given[i], strict=True)) for i in front])

    def seen(params: Params, seed: int) -> float:
        row = same[place[_key(params, choices)]]
        return float(accuracy[row, np.random.default_rng([seed, crc32(repr(given[row]).encode())]).integers(
            len(trainings)
        )])  # fmt: skip

    return Task(
        space,
        costs=lambda many: _rows(cost, many, place, choices),
        mean=lambda many: mean[[same[place[_key(p, choices)]] for p in many]],
        seen=seen,
        canonical=lambda p: (
            dict(zip(choices, given[same[place[_key(p, choices)]]], strict=True)) if _key(p, choices) in place else p
        ),
        reference=reference,
        truth=truth,
        feasible=lambda p: _key(p, choices) in place,
        networks=len(set(same)),
        describe=(lambda many: _rows(described, many, place, choices)) if told else None,
        walk=walk,
    )


def _key(params: Params, choices: Sequence[str]) -> tuple[str | int, ...]:
    return tuple(params[c] for c in choices)


def _rows(cost: Array, many: list[Params], place: dict[tuple[str | int, ...], int], choices: Sequence[str]) -> Array:
    """Costs or descriptors (n, k); the greatest for what is not in the table."""
    found = [place.get(_key(p, choices)) for p in many]
    return np.array([cost.max(axis=0) if i is None else cost[i] for i in found]).reshape(-1, cost.shape[1])


def _distribution(values: Sequence[str]) -> BaseDistribution:
    """Whole numbers at even steps in their order; else categories."""
    distinct = list(dict.fromkeys(values))
    try:
        numbers = sorted({int(v) for v in distinct})
    except ValueError:
        return CategoricalDistribution(distinct)
    steps = set(np.diff(numbers).tolist())
    exact = max(map(abs, numbers)) <= 2**53  # beyond, floating point cannot tell neighbours apart
    if not exact or len(numbers) != len(distinct) or len(steps) > 1:
        return CategoricalDistribution(distinct)
    return IntDistribution(numbers[0], numbers[-1], step=steps.pop() if steps else 1)


def _value(distribution: BaseDistribution, text: str) -> str | int:
    return int(text) if isinstance(distribution, IntDistribution) else text


def _finite(text: str, path: Path, line: int, column: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise UserError(f"{path}: {column} must be a finite number; line {line} has {text!r}")
    return value


def _share(text: str, path: Path, line: int, column: str) -> float:
    value = _finite(text, path, line, column)
    if not 0 <= value <= 1:
        raise UserError(f"{path}: {column} must be a fraction from 0 to 1; line {line} has {text!r}")
    return value
