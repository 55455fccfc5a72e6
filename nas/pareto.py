"""The Pareto front: which points no other point beats, how much they dominate, and where the front bends."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nas.errors import UserError

Array = NDArray[np.float64]


def non_dominated(points: Array) -> NDArray[np.bool_]:
    """Mask (n,) of the points on the front of `points` (n, m); every objective is minimised.

    Of equal points the first is kept. A point that holds NaN is never on the front.
    """
    points = _matrix(points)
    mask = np.zeros(len(points), dtype=bool)
    alive = np.flatnonzero(~np.isnan(points).any(axis=1))
    alive = alive[np.lexsort((alive, *points[alive].T[::-1]))]  # a point can only be beaten by one sorted before it
    while len(alive):
        best, alive = alive[0], alive[1:]
        mask[best] = True
        alive = alive[(points[alive] < points[best]).any(axis=1)]
    return mask


def hypervolume(points: Array, reference: Array) -> float:
    """Volume dominated by `points` (n, m) and bounded by `reference` (m,); every objective is minimised.

    Exact. Points are taken with the last objective from worst to best; what one adds beyond the better ones is a slab
    over the other objectives, so its volume is one of a lower dimension (While et al., IEEE TEVC 2012). Points that are
    not better than the reference in every objective add nothing.
    """
    points, reference = _matrix(points), np.asarray(reference, dtype=np.float64)
    if reference.shape != points.shape[1:]:
        raise ValueError(f"reference has shape {reference.shape}, points have {points.shape[1]} objectives")
    inside = points[(points < reference).all(axis=1)]
    return _volume(inside, reference)


def _volume(points: Array, reference: Array) -> float:
    """`hypervolume` of points that are all inside the reference."""
    if not len(points):
        return 0.0
    if len(reference) == 1:
        return float(reference[0] - points.min())
    front = points[non_dominated(points)]
    if len(reference) == 2:
        front = front[np.argsort(front[:, 0])]  # then the second objective falls
        ceilings = np.concatenate((reference[1:], front[:-1, 1]))
        return float(((reference[0] - front[:, 0]) * (ceilings - front[:, 1])).sum())
    front = front[np.argsort(-front[:, -1], kind="stable")]
    total = 0.0
    for i, point in enumerate(front):
        side = np.prod(reference[:-1] - point[:-1])
        overlap = _volume(np.maximum(front[i + 1 :, :-1], point[:-1]), reference[:-1])
        total += float(reference[-1] - point[-1]) * (float(side) - overlap)
    return total


def knee(points: Array) -> int:
    """Row of the knee of a front `points` (n, m); every objective is minimised.

    Each objective is scaled to 0 at its best and 1 at its worst on the front; the knee is the point that lies farthest,
    towards the best, from the plane through the ends of the axes, where the scaled objectives add up to 1. With two
    objectives that is the line through the front's two ends (Das, Structural Optimization 1999; Branke et al., PPSN
    2004). Of equally far points it is the first. Raises UserError when there is no point.
    """
    points = _matrix(points)
    if not len(points):
        raise UserError("a knee needs at least one point on the front")
    low, high = points.min(axis=0), points.max(axis=0)
    scaled = (points - low) / np.where(high > low, high - low, 1.0)
    return int(scaled.sum(axis=1).argmin())


def _matrix(points: Array) -> Array:
    points = np.asarray(points, dtype=np.float64)
    if points.ndim != 2:
        raise ValueError(f"points must have shape (n, m); got {points.shape}")
    return points
