"""Hyperparameters of the Gaussian process for few labels: one length scale for each group of features."""

from __future__ import annotations

import math

import numpy as np
from scipy.linalg import cho_factor, cho_solve
from scipy.optimize import minimize

from nas.estimate.surrogate import Hyperparameters
from nas.pareto import Array

STEPS = 100  # of L-BFGS
LENGTH = 1.5  # times the root of a group's features: the length scale expected of standardised features
NOISE = 0.05  # expected, as a share of the targets' variance
JITTER = 1e-6  # the least noise
SPREADS = 1.0, 1.5, 1.5, 1.5  # deviation of the logarithms of length scale, outputscale, noise, slopes
WORST = 1e10  # of a covariance that is not positive


def fit_shared(features: Array, targets: Array, groups: np.ndarray, *, trend: bool = False) -> Hyperparameters:
    """The most probable hyperparameters for standardised features (n, k) and targets (n,).

    Matern-5/2 over one length scale for each of `groups` (k,), numbers from 0: with twenty labels a length scale per
    feature cannot be learned, and one for structure, one for a score and one for the fidelity can. A group of few
    features is expected to tell as much as one of many. With `trend` a linear function of the features is added, its
    slopes of one variance a group. Log-normal priors; in NumPy, milliseconds for a hundred labels.
    """
    members = np.eye(int(groups.max()) + 1)[groups]  # (k, groups)
    sizes = members.sum(axis=0)
    y = (targets - targets.mean()) / (targets.std() or 1.0)
    columns = [features[:, groups == g] for g in range(len(sizes))]
    squares = [np.maximum(_squares(x), 0.0) for x in columns]
    products = [x @ x.T for x in columns] if trend else []
    expected = np.concatenate(
        [np.log(LENGTH * np.sqrt(sizes)), [0.0, math.log(NOISE)], -np.log(sizes[: len(products)])]
    )
    spread = np.repeat(SPREADS, [len(sizes), 1, 1, len(products)])

    def loss(p: Array) -> tuple[float, Array]:
        """Minus the log posterior and its gradient at log length scales, outputscale, noise and slopes."""
        lengths, rest = np.exp(p[: len(sizes)]), np.exp(p[len(sizes) :])
        parts = [5 * square / length**2 for square, length in zip(squares, lengths, strict=True)]
        r = np.sqrt(sum(parts))
        decay = np.exp(-r)
        matern = rest[0] * (1 + r + r**2 / 3) * decay
        linear = [slope * product for slope, product in zip(rest[2:], products, strict=True)]
        covariance = matern + sum(linear) + (rest[1] + JITTER) * np.eye(len(y))
        try:
            factor = cho_factor(covariance, lower=True)
        except np.linalg.LinAlgError:
            return WORST, np.zeros_like(p)
        weights = cho_solve(factor, y)
        away = (p - expected) / spread
        value = 0.5 * y @ weights + np.log(np.diag(factor[0])).sum() + 0.5 * away @ away
        slope = 0.5 * (cho_solve(factor, np.eye(len(y))) - np.outer(weights, weights))
        shrink = rest[0] / 3 * (1 + r) * decay
        gradient = [(slope * shrink * part).sum() for part in parts]
        gradient += [(slope * matern).sum(), rest[1] * np.trace(slope), *((slope * x).sum() for x in linear)]
        return float(value), np.array(gradient) + away / spread

    found = minimize(
        loss, expected, jac=True, method="L-BFGS-B", bounds=list(zip(expected - 5, expected + 5, strict=True)),
        options={"maxiter": STEPS},
    ).x  # fmt: skip
    lengths, rest = np.exp(found[: len(sizes)]), np.exp(found[len(sizes) :])
    k = features.shape[1]
    return Hyperparameters(
        members @ lengths, float(rest[0]), float(rest[1] + JITTER), np.zeros(k), np.ones(k),
        members @ rest[2:] if trend else None,
    )  # fmt: skip


def _squares(x: Array) -> Array:
    """Squared distances (n, n) of the rows of x (n, k)."""
    norms = (x**2).sum(axis=1)
    return np.asarray(norms[:, None] + norms - 2 * x @ x.T)
