"""The covariance of the Gaussian processes: Matern-5/2, smooth but not too smooth (Rasmussen and Williams, 2006)."""

from __future__ import annotations

import numpy as np

from nas.pareto import Array


def matern(a: Array, b: Array) -> Array:
    """Correlations (n, m) of points (n, k) and (m, k) in units of the length scale."""
    return correlation(distances(a, b))


def distances(a: Array, b: Array) -> Array:
    """Euclidean distances (n, m)."""
    square = (a**2).sum(1)[:, None] + (b**2).sum(1) - 2 * a @ b.T
    return np.asarray(np.sqrt(np.maximum(square, 0)))


def correlation(distance: Array) -> Array:
    """The correlation at each distance, in units of the length scale."""
    r = np.sqrt(5) * distance
    return np.asarray((1 + r + r**2 / 3) * np.exp(-r))


def by_log_lengthscale(distance: Array) -> Array:
    """The derivative of `correlation` by the logarithm of the length scale."""
    r = np.sqrt(5) * distance
    return np.asarray(r**2 * (1 + r) / 3 * np.exp(-r))
