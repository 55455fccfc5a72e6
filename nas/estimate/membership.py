"""Which networks are on the front, where accuracies are not known exactly."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nas.pareto import Array

LEAST = 3.0  # standard deviations: a network that is further behind a cheaper one is never on the front


def front_probability(draws: Array, costs: Array, mean: Array, deviation: Array) -> Array:
    """Probability (n,) that no other of n networks is at least as good in every objective.

    draws (s, n): accuracies that may be the true ones, from their joint distribution. mean and deviation (n,): of each
    alone. costs (n, m): exact, minimized; m may be 0. Of equal networks the first is on the front.
    """
    no_dearer = _no_dearer(costs)
    low, high = mean - LEAST * deviation, mean + LEAST * deviation
    rivals = np.array([not (low[no_dearer[:, j]] > high[j]).any() for j in range(len(costs))], dtype=bool)
    found = np.zeros(len(costs))
    among, drawn = no_dearer[np.ix_(rivals, rivals)], draws[:, rivals]
    for place, j in enumerate(np.flatnonzero(rivals)):
        others = among[:, place]
        best = drawn[:, others].max(axis=1, initial=-np.inf)
        earlier = drawn[:, others & (np.arange(len(among)) < place)].max(axis=1, initial=-np.inf)
        beaten = (best > drawn[:, place]) | (earlier >= drawn[:, place])
        dominated = others & ~among[place]  # cheaper in some cost: equal accuracy is enough
        beaten |= drawn[:, dominated].max(axis=1, initial=-np.inf) >= drawn[:, place]
        found[j] = 1 - beaten.mean()
    return found


def better_probability(draws: Array) -> Array:
    """Probability (n, n) that the first network of each pair is the more accurate one; ties count half.

    draws (s, n): accuracies from their joint distribution. Near 1/2 the two cannot be told apart.
    """
    more = np.array([(draws[:, [i]] > draws).mean(axis=0) for i in range(draws.shape[1])])
    return np.asarray((1 + more - more.T) / 2).reshape(draws.shape[1], draws.shape[1])


def _no_dearer(costs: Array) -> NDArray[np.bool_]:
    """Whether the first of each pair of networks (n, n) costs no more than the second in anything; not of itself."""
    found = np.ones((len(costs), len(costs)), dtype=bool)
    for column in costs.T:
        found &= column[:, None] <= column
    np.fill_diagonal(found, False)
    return found
