"""How well an estimator's values rank networks: against accuracies that are known."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from nas.pareto import Array

RESAMPLES = 500  # of the networks, for an interval
SHUFFLES = 100  # of the networks, so that equal values are taken in no order
Mask = np.ndarray[tuple[int, ...], np.dtype[np.bool_]]

TOP = 0.1  # the best tenth
ROWS = 500  # networks at a time that are set against all others
FEWEST = 3  # networks of one depth that have a tau
FEWEST_TOP = 8  # of the best tenth


@dataclass(frozen=True, slots=True)
class Agreement:
    """What is known of an estimator's rank quality. NaN: not known, as there are too few networks."""

    networks: int
    tau: float  # Kendall's tau-b of values and accuracies; 0 where all values are equal
    low: float  # 90% of the bootstrap's taus lie between low and high
    high: float
    equal_depth: float  # mean tau among networks of one depth, each depth weighted by its networks
    top: float  # tau among networks of the true best tenth
    top_networks: int
    regret_1: float  # accuracy that is lost by taking the network with the highest value, 0 to 1
    regret_5: float  # by taking the truly best of the five highest


def agreement(values: Array, accuracies: Array, depths: Array, top: Mask, extra: Mask, *, seed: int = 0) -> Agreement:
    """The agreement of `values` (n,), higher is better, with `accuracies` (n,).

    `depths` (n,) tells networks of one depth, `top` (n,) those of the true best tenth. Networks of `extra` (n,) count
    for `top` only: they were drawn from the best tenth.
    """
    drawn = np.logical_not(extra)
    v, a, d = values[drawn], accuracies[drawn], depths[drawn]
    low, high = interval(v, a, seed=seed)
    groups = [
        (tau(v[d == depth], a[d == depth]), count) for depth in np.unique(d) if (count := (d == depth).sum()) >= FEWEST
    ]
    equal = sum(one * count for one, count in groups) / sum(count for _, count in groups) if groups else math.nan
    best = tau(values[top], accuracies[top]) if top.sum() >= FEWEST_TOP else math.nan
    return Agreement(
        len(v), tau(v, a), low, high, float(equal), best, int(top.sum()), regret(v, a, 1, seed),
        regret(v, a, 5, seed),
    )  # fmt: skip


def tau(values: Array, accuracies: Array) -> float:
    """Kendall's tau-b of values and accuracies (n,); 0 where all are equal."""
    return float(_taus(values, accuracies, np.ones((1, len(values))))[0])


def interval(values: Array, accuracies: Array, *, seed: int = 0) -> tuple[float, float]:
    """What 90% of the bootstrap's taus of values and accuracies (n,) lie between."""
    low, high = np.quantile(_taus(values, accuracies, _resamples(len(values), seed)), [0.05, 0.95])
    return float(low), float(high)


def _taus(values: Array, accuracies: Array, counts: Array) -> Array:
    """Kendall's tau-b of n networks in r samples, `counts` (r, n) how often each is in a sample: (r,).

    Equal values are neither right nor wrong; 0 where all are equal.
    """
    agree: Array = np.zeros(len(counts))
    differ, differ_truly = agree.copy(), agree.copy()
    for rows in np.array_split(np.arange(len(values)), -(-len(values) // ROWS)):
        one, other = (np.sign(x[:, None] - x[rows]) for x in (values, accuracies))  # each network against some
        weights = counts[:, rows]
        agree += ((counts @ (one * other)) * weights).sum(1)
        differ += ((counts @ np.abs(one)) * weights).sum(1)
        differ_truly += ((counts @ np.abs(other)) * weights).sum(1)
    scale = np.sqrt(differ * differ_truly)
    return np.where(scale > 0, agree / np.where(scale > 0, scale, 1.0), 0.0)


def _resamples(networks: int, seed: int) -> Array:
    """How often each network is in each of the bootstrap's samples, (r, n)."""
    rng = np.random.default_rng(seed)
    return rng.multinomial(networks, np.full(networks, 1 / networks), RESAMPLES).astype(np.float64)


def regret(values: Array, accuracies: Array, taken: int, seed: int) -> float:
    """The greatest accuracy less the greatest among so many networks of the highest values.

    The mean over shuffles: where values are equal, no order of the networks is preferred.
    """
    rng = np.random.default_rng(seed)
    lost = []
    for _ in range(SHUFFLES):
        order = rng.permutation(len(values))
        chosen = order[np.argsort(-values[order], kind="stable")][:taken]
        lost.append(accuracies.max() - accuracies[chosen].max())
    return float(np.mean(lost))


def share_better(values: Array, other: Array, accuracies: Array, *, seed: int = 0) -> float:
    """The share of resamples of the networks in which the tau of `values` (n,) is above that of `other` (n,)."""
    drawn = _resamples(len(values), seed)
    return float(np.mean(_taus(values, accuracies, drawn) > _taus(other, accuracies, drawn)))
