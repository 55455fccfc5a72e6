"""The walk: candidates along the front of what a descriptor promises against the known costs."""

from __future__ import annotations

import numpy as np

from nas.pareto import Array, hypervolume, non_dominated
from nas.search.samplers.pareto.pool import WHOLE, Candidates, Points
from nas.search.samplers.pareto.space import FEW, levels, number_at

CHANGED = 512  # changes of the front's candidates, so many times
ROUNDS = 48
KEPT = 400  # of the front at each, spread evenly along it
WEIGHED = 160  # of them in the end
BEYOND = 1.1  # the reference point, in units of the front's range


def next_on_walk(candidates: Candidates, codes: Array, values: Array, which: int, rng: np.random.Generator
) -> Array | None:  # fmt: skip
    """The code (d,) on the front of a descriptor that adds most to what the trials so far promise.

    What a candidate promises is its descriptor, as if the learned objectives rose with its logarithm; what it adds is
    hypervolume of promise and known costs, on scales where the front's range is 1: first where the front bends most,
    then in its gaps. codes (n, d) and objectives (n, m) are of the trials. None: nothing is left on the front.
    """
    front = promising(candidates, codes, which, rng)
    if not len(front):
        return None
    known = ~np.isnan(front.values).any(axis=0)
    ours, tried = candidates.describe(front.codes)[:, which], candidates.describe(codes)[:, which]
    if min(ours.min(), tried.min(initial=np.inf)) > 0:
        ours, tried = np.log(ours), np.log(tried)
    points = np.column_stack([-ours, front.values[:, known]])
    low, span = points.min(axis=0), np.ptp(points, axis=0)
    span[span == 0] = 1.0
    points, done = (points - low) / span, (np.column_stack([-tried, values[:, known]]) - low) / span
    reference = np.full(points.shape[1], BEYOND)
    before = hypervolume(done, reference)
    gains = np.array([hypervolume(np.concatenate([done, point[None]]), reference) - before for point in points])
    return _with_numbers(candidates, front.codes[gains.argmax()], len(codes), rng) if gains.max() > 0 else None


def _with_numbers(candidates: Candidates, code: Array, trial: int, rng: np.random.Generator) -> Array:
    """The code (d,) with a value of each number that neither costs nor descriptors depend on, such as a learning rate.

    In the middle of its range at first, then a quarter of the range above or below: near enough to the middle for what
    the trial tells of the rest, and far enough for what it tells of the number.
    """
    for j, distribution in enumerate(candidates.decisions.space.values()):
        if levels(distribution) <= FEW or np.isnan(code[j]):
            continue
        both = np.stack([code, code])
        both[1, j] = number_at(distribution, 0.5 if trial == 0 else rng.choice((0.25, 0.75)))
        values, feasible = candidates.price(both)
        told = candidates.describe(both)
        if feasible.all() and np.array_equal(values[0], values[1], equal_nan=True) and (told[0] == told[1]).all():
            code = both[1]
    return code


def promising(candidates: Candidates, parents: Array, which: int, rng: np.random.Generator) -> Points:
    """The front of a descriptor, maximised, against the known objectives: at most WEIGHED new candidates."""

    def front(points: Points, most: int) -> Points:
        known = ~np.isnan(points.values).any(axis=0)
        least = np.column_stack([-candidates.describe(points.codes)[:, which], points.values[:, known]])
        rows = np.flatnonzero(non_dominated(least))
        rows = rows[np.argsort(least[rows, 0], kind="stable")]
        return points.rows(rows[np.unique(np.linspace(0, len(rows) - 1, min(len(rows), most)).round().astype(int))])

    points = candidates.pool(parents, rng)
    for _ in range(ROUNDS if candidates.decisions.size > WHOLE and len(points) else 0):
        points = front(points, KEPT)
        points += candidates.fresh(candidates.decisions.mutate(points.codes, CHANGED, rng))
    return front(points, WEIGHED) if len(points) else points
