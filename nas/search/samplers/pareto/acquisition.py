"""Expected hypervolume improvement where some objectives are known exactly and the others are Gaussian."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from scipy.special import log_ndtr, ndtr

from nas.pareto import Array, non_dominated

AT_ONCE = 4_000_000  # candidates times cells that are held at once


def free_cells(front: Array, reference: Array) -> tuple[Array, Array]:
    """Lower and upper corners (cells, m) of disjoint boxes that fill what `front` (n, m) leaves undominated.

    Every objective is minimised; the boxes reach down to -inf and up to `reference` (m,) (Yang et al., JOGO 2019).
    """
    from botorch.utils.multi_objective.box_decompositions.non_dominated import FastNondominatedPartitioning

    points = front[(front < reference).all(axis=1)]
    points = points[non_dominated(points)]
    partitioning = FastNondominatedPartitioning(-torch.from_numpy(reference), -torch.from_numpy(points))
    lower, upper = partitioning.get_hypercell_bounds().numpy()
    return -upper, -lower


def expected_improvement(
    mean: Array, deviation: Array, cells: tuple[Array, Array], logs: Sequence[int] = ()
) -> Array:  # fmt: skip
    """Expected hypervolume (n,) that candidates add: objectives independent, Gaussian; deviation 0: exactly known.

    `mean` and `deviation` are (n, m), minimised; of the objectives `logs` they are those of the logarithm, which is
    Gaussian, above 0. `cells` come from `free_cells`, none in logarithms. What a point y adds to a box is the
    product over objectives of max(upper - y, 0) - max(lower - y, 0), and the expectation of a product of independent
    factors is the product of their expectations (Emmerich et al., CEC 2011).
    """
    lower, upper = cells
    step = max(1, AT_ONCE // max(len(lower), 1))
    parts = [np.ones((len(m), len(lower))) for m in np.array_split(mean, range(step, len(mean), step))]
    for k, part in enumerate(parts):
        rows = slice(k * step, k * step + len(part))
        for j in range(mean.shape[1]):
            edges, place = np.unique(np.concatenate([lower[:, j], upper[:, j]]), return_inverse=True)
            expected = _expected_log_below if j in logs else _expected_below
            below = expected(edges, mean[rows, j, None], deviation[rows, j, None])
            part *= below[:, place[len(lower) :]] - below[:, place[: len(lower)]]
    return np.concatenate([part.sum(axis=1) for part in parts])


def _expected_below(edges: Array, mean: Array, deviation: Array) -> Array:
    """E[max(edge - y, 0)] (n, k) for edges (k,) and y of mean and deviation (n, 1)."""
    gap = edges - mean
    with np.errstate(divide="ignore", invalid="ignore"):
        z = np.where(np.isfinite(gap), gap / deviation, -np.inf)
        soft = np.where(np.isfinite(z), gap * ndtr(z) + deviation * np.exp(-0.5 * z**2) / np.sqrt(2 * np.pi), 0.0)
    return np.where(deviation > 0, np.maximum(soft, 0.0), np.maximum(gap, 0.0))


def _expected_log_below(edges: Array, mean: Array, deviation: Array) -> Array:
    """E[max(edge - exp(y), 0)] (n, k) for edges (k,) and y of mean and deviation (n, 1), as of an option to sell."""
    positive = np.maximum(edges, 1e-300)
    z = (np.log(positive) - mean) / deviation
    share = mean + deviation**2 / 2 + log_ndtr(z - deviation)  # of exp(y) below the edge, in logarithms: it is no more
    found = positive * ndtr(z) - np.exp(np.minimum(share, np.log(positive)))
    return np.where(edges > 0, np.maximum(found, 0.0), 0.0)
