"""Runs that differ only in their seed, taken together: samplers are compared over several seeds."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

import numpy as np

from nas.pareto import Array
from nas.run import SAME, Run, Trial, expected

TOLD_BY = ("sampler", "device", "space", "dataset", "objectives", "budgets", "precisions", "early_stopping", "proxy")


@dataclass(frozen=True)
class Group:
    """Runs with equal settings but the seed."""

    name: str
    runs: tuple[Run, ...]

    @property
    def seeds(self) -> str:
        return ", ".join(str(r.settings.seed) for r in self.runs)


def groups_of(runs: Sequence[Run]) -> list[Group]:
    """The groups in the order of their first runs, each with a name of its own; a single run has its path."""
    grouped: dict[str, list[Run]] = {}
    for r in runs:
        key = repr([_plain(getattr(r.settings, name)) for name in SAME if name != "seed"])
        grouped.setdefault(key, []).append(r)
    several = list(grouped.values())
    names = [_name(group, several) for group in several]
    return [
        Group(name if names.count(name) == 1 else f"{name} ({group[0].path})", tuple(group))
        for name, group in zip(names, several, strict=True)
    ]


def spread(values: Sequence[float], shown: Callable[[float], str]) -> str:
    """The median, with the lowest and the highest where there are several values."""
    if len(values) < 2 or shown(min(values)) == shown(max(values)):
        return shown(median(values)) if values else "-"
    return f"{shown(median(values))} ({shown(min(values))} to {shown(max(values))})"


def attained(fronts: Sequence[Sequence[Trial]], column: str) -> tuple[Array, Array]:
    """What several runs reach at a cost: the costs (n,), and the expected accuracies (3, n) that all, half and any of
    them reach.

    NaN where so many of them have no network of that cost. These are attainment surfaces (Fonseca and Fleming, PPSN
    1996): of an even number of runs, the middle one is reached by half of them at least.
    """
    costs = np.array(sorted({t.value(column) for front in fronts for t in front}))
    best = np.full((len(fronts), len(costs)), -np.inf)
    for row, front in zip(best, fronts, strict=True):
        for t in front:
            place = np.searchsorted(costs, t.value(column))
            row[place] = max(row[place], expected(t))
    best = np.maximum.accumulate(best, axis=1)
    ordered = np.sort(best, axis=0)[::-1]  # the best run first
    reached = np.stack([ordered[-1], ordered[(len(fronts) + 1) // 2 - 1], ordered[0]])
    return costs, np.where(np.isfinite(reached), reached, np.nan)


def _name(group: Sequence[Run], several: Sequence[Sequence[Run]]) -> str:
    if len(group) == 1:
        return str(group[0].path)
    first = group[0].settings
    differ = [
        name for name in TOLD_BY if len({repr(_plain(getattr(g[0].settings, name))) for g in several if len(g) > 1}) > 1
    ]
    told = [_words(name, getattr(first, name)) for name in differ or ["sampler"]]
    return ", ".join([*told, f"{len(group)} seeds"])


def _words(name: str, value: Any) -> str:
    if isinstance(value, Mapping):
        return f"{name} " + (" ".join(f"{k}={v}" for k, v in value.items()) or "none")
    if isinstance(value, bool):
        return f"{name.replace('_', ' ')} {'on' if value else 'off'}"
    return "+".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def _plain(value: Any) -> Any:
    """Equal for equal settings, whatever the order of their keys."""
    return sorted(value.items()) if isinstance(value, Mapping) else value
