"""Several scores as one: the sum of the logarithms of their ranks in a pool."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

Array = np.ndarray


@dataclass(frozen=True, slots=True, eq=False)
class LogRanks:
    """Ranks scores against a fixed pool, so that a network's value does not depend on what else was seen.

    `pool` has the scores of the pool's networks, each (m,), and `weights` a weight for each score. AZ-NAS (Lee and Ham,
    CVPR 2024) takes the logarithm, so that one bad rank outweighs several middling ones.
    """

    pool: Mapping[str, Array]
    weights: Mapping[str, float]

    def value(self, scores: Mapping[str, float]) -> float:
        """The weighted sum of the logarithms of the ranks, each a share of the pool; more is better."""
        return sum(weight * float(np.log(rank_share(self.pool[s], scores[s]))) for s, weight in self.weights.items())


def rank_share(pool: Array, score: float) -> float:
    """The rank of a score among those of the pool (m,), from the worst, as a share of m + 1.

    Equal scores share the mean of their ranks. Between the pool's scores the rank is interpolated. Above its best it
    rises with the score, past 1: a search must tell apart networks that are better than all of the pool. Below its
    worst it falls towards 0.
    """
    values, counts = np.unique(pool, return_counts=True)
    shares = (np.cumsum(counts) - (counts - 1) / 2) / (len(pool) + 1)
    middle = float(np.median(pool))
    worst, best = float(values[0]), float(values[-1])
    if score > best:
        return float(shares[-1] + (shares[-1] / 2 * (score - best) / (best - middle) if best > middle else 0.0))
    if score < worst:
        return float(shares[0] / (1 + (worst - score) / (middle - worst))) if middle > worst else float(shares[0] / 2)
    return float(np.interp(score, values, shares))
