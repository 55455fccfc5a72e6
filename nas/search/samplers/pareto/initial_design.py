"""The first trials, before anything can be learned: where descriptors promise most, and spread over the known costs."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nas.pareto import Array
from nas.search.samplers.pareto.pool import POOL, WHOLE, Candidates, Points, ends
from nas.search.samplers.pareto.walk import next_on_walk

CLIMBS = 4  # steps towards the cheapest and the dearest candidates
FARTHEST = 32  # candidates that are farthest in cost, and how many drawn of them compete in their choices
DRAWN = 8
WALKED = 4  # trials on the fronts of descriptors before the model takes over, which goes on by what they told
GAP = 0.3  # of the range of the known costs, in logarithms: so much is not left unseen


def start_size(choices: int) -> int:
    """How many trials come before the sampler learns, where no descriptor says where to begin."""
    return min(max(choices + 2, 8), 16)


def next_start(
    candidates: Candidates, codes: Array, values: Array, rng: np.random.Generator, start: int
) -> Array | None:
    """The code (d,) of the next trial before the sampler learns: codes (n, d), objectives (n, m) of those so far.

    With descriptors: on the front of each in turn. What lies beyond the first WALKED, and every trial where nothing on
    a front is left or there are none, is spread. None: nothing is left.
    """
    n, descriptors = len(codes), candidates.descriptors
    if n < max(start, WALKED) or n % 2:
        for which in range(n, n + descriptors):
            if (code := next_on_walk(candidates, codes, values, which % descriptors, rng)) is not None:
                return code
    return spread(candidates, codes, values, rng)


def spread(
    candidates: Candidates, codes: Array, values: Array, rng: np.random.Generator, gap: float = 0.0
) -> Array | None:
    """The code (d,) that lies farthest from the trials so far: codes (n, d), objectives (n, m).

    Random candidates crowd around the middle of the costs; a model that has seen only those knows neither end. None:
    nothing is left, or nothing is farther than `gap` from all trials, in units of the range of a known objective.
    """
    if candidates.inferred and (code := candidates.unpriced(rng)) is not None:
        return code
    pool = candidates.pool(codes, rng)
    if not len(pool):
        return None
    if candidates.decisions.size > WHOLE:
        for _ in range(CLIMBS):
            if not len(outer := ends(pool.values, 8)):
                break
            pool += candidates.fresh(candidates.decisions.mutate(pool.codes[outer], POOL // 2, rng))
    far, distance = _far_in_cost(pool, values)
    if distance <= gap > 0:
        return None
    near = rng.permutation(far)[:DRAWN]
    if not len(codes):
        return np.asarray(pool.codes[near[0]])
    features = candidates.decisions.features(np.concatenate([pool.codes[near], codes]))
    apart = np.abs(features[: len(near), None] - features[None, len(near) :]).sum(axis=-1).min(axis=1)
    return np.asarray(pool.codes[near[apart.argmax()]])


def _far_in_cost(pool: Points, tried: Array) -> tuple[NDArray[np.intp], float]:
    """Rows of the pool that are farthest from what was tried (n, m) in the logarithms of the known objectives.

    And how far the farthest is, in units of the objectives' ranges.
    """
    known = ~np.isnan(pool.values).any(axis=0)
    if not known.any():
        return np.arange(len(pool)), 0.0
    both = np.concatenate([pool.values[:, known], tried[:, known]])
    positive = (both > 0).all(axis=0)
    both = np.where(positive, np.log(np.where(positive, both, 1.0)), both)
    unit = (both - both.min(axis=0)) / np.where(np.ptp(both, axis=0) > 0, np.ptp(both, axis=0), 1.0)
    ours, theirs = unit[: len(pool)], unit[len(pool) :]
    if not len(theirs):
        return np.argsort(np.abs(ours - 0.5).max(axis=1), kind="stable")[:FARTHEST], 1.0
    distance = np.abs(ours[:, None] - theirs[None]).max(axis=-1).min(axis=1)
    return np.argsort(-distance, kind="stable")[:FARTHEST], float(distance.max())
