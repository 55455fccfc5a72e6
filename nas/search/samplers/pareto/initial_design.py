"""The first trials, before anything can be learned: spread over the known costs, then over the choices."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nas.pareto import Array
from nas.search.samplers.pareto.pool import POOL, WHOLE, Candidates, Points, ends

CLIMBS = 4  # steps towards the cheapest and the dearest candidates
FARTHEST = 32  # candidates that are farthest in cost, and how many drawn of them compete in their choices
DRAWN = 8


def start_size(choices: int) -> int:
    """How many trials come before the sampler learns."""
    return min(max(choices + 2, 8), 16)


def next_start(candidates: Candidates, codes: Array, values: Array, rng: np.random.Generator) -> Array | None:
    """The code (d,) that lies farthest from the trials so far: codes (n, d), objectives (n, m). None: nothing is left.

    Random candidates crowd around the middle of the costs; a model that has seen only those knows neither end.
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
    near = rng.permutation(_far_in_cost(pool, values))[:DRAWN]
    if not len(codes):
        return np.asarray(pool.codes[near[0]])
    features = candidates.decisions.features(np.concatenate([pool.codes[near], codes]))
    apart = np.abs(features[: len(near), None] - features[None, len(near) :]).sum(axis=-1).min(axis=1)
    return np.asarray(pool.codes[near[apart.argmax()]])


def _far_in_cost(pool: Points, tried: Array) -> NDArray[np.intp]:
    """Rows of the pool that are farthest from what was tried (n, m) in the logarithms of the known objectives."""
    known = ~np.isnan(pool.values).any(axis=0)
    if not known.any():
        return np.arange(len(pool))
    both = np.concatenate([pool.values[:, known], tried[:, known]])
    positive = (both > 0).all(axis=0)
    both = np.where(positive, np.log(np.where(positive, both, 1.0)), both)
    unit = (both - both.min(axis=0)) / np.where(np.ptp(both, axis=0) > 0, np.ptp(both, axis=0), 1.0)
    ours, theirs = unit[: len(pool)], unit[len(pool) :]
    if not len(theirs):
        return np.argsort(np.abs(ours - 0.5).max(axis=1), kind="stable")[:FARTHEST]
    return np.argsort(-np.abs(ours[:, None] - theirs[None]).max(axis=-1).min(axis=1), kind="stable")[:FARTHEST]
