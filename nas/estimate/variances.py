"""Where differences between measured accuracies come from: structure, the network itself, or the noise of training."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.linalg import cho_factor, cho_solve
from scipy.optimize import OptimizeResult, minimize

from nas.estimate.matern import by_log_lengthscale, correlation, distances
from nas.pareto import Array

FITTED = 200  # networks, spread evenly: a fit takes a time that grows with the cube of their number
STEPS = 40  # of L-BFGS
DRAWN = 64  # variances around the most probable ones
PARTS = 16  # of these that stand for all
TAIL = 5  # degrees of freedom of what they are drawn from
STEP = 1e-3  # of the second differences
LEVEL = 4.0  # prior variance of the level of all log errors around their mean


@dataclass(frozen=True)
class Variances:
    """Of the logarithm of the error, between networks.

    lengthscale: of the part that structure explains, in root mean square distances of a feature.
    structure: variance of that part. own: variance of what is a network's own, whatever its structure.
    dispersion: of one training's accuracy, in units of the binomial variance p (1 - p) / images.
    """

    lengthscale: float
    structure: float
    own: float
    dispersion: float


# Means and standard deviations of the logarithms, for when there are few networks: errors of the networks of a space
# differ by a factor of two or so, most of it explained; noise is binomial, give or take. Of the noise it is Student's t
# with PRIOR_TAIL degrees of freedom, for some trainings are much noisier. With many networks the priors do not matter.
PRIOR = np.array([[0.0, 1.0], [math.log(0.25), 1.5], [math.log(0.05), 2.0], [0.0, 0.35]])
PRIOR_TAIL = 2
BOUNDS = [(-2.5, 3.5), (-9.0, 3.0), (-12.0, 1.0), (-4.0, 7.0)]
START = Variances(1.0, 0.25, 0.01, 1.0)


def fit_variances(
    points: Array, log_errors: Array, binomial: Array, spread: float, freedom: int, start: Variances = START
) -> Variances:
    """The most probable variances.

    points (n, k): features of networks, scaled. log_errors (n,): logarithm of each one's mean error. binomial (n,): its
    variance were training without noise. spread: sum of squares of single trainings around their network's mean, in
    units of the binomial variance, of so many degrees of freedom.
    """
    return _of(_fit(_loss(points, log_errors, binomial, spread, freedom), start).x)


def likely_variances(
    points: Array, log_errors: Array, binomial: Array, spread: float, freedom: int, start: Variances = START
) -> list[tuple[float, Variances]]:
    """Up to PARTS variances with their weights, which add up to 1: the posterior, by importance sampling.

    They are drawn from Student's t around the most probable ones, with the curvature there, and resampled. Arguments as
    of `fit_variances`.
    """
    loss = _loss(points, log_errors, binomial, spread, freedom)
    best = _fit(loss, start).x
    curvature = np.array([(loss(best + e)[1] - loss(best - e)[1]) / (2 * STEP) for e in STEP * np.eye(4)])
    values, axes = np.linalg.eigh((curvature + curvature.T) / 2)
    width = axes / np.sqrt(np.maximum(values, 0.25))  # the curvature of the widest prior: no further than that would go
    rng = np.random.default_rng(0)
    normal = rng.standard_normal((DRAWN, 4)) / np.sqrt(rng.chisquare(TAIL, DRAWN) / TAIL)[:, None]
    low, high = np.array(BOUNDS).T
    drawn = np.clip(best + normal @ width.T, low, high)
    logs = np.array([-loss(theta)[0] for theta in drawn])
    logs += (TAIL + 4) / 2 * np.log1p((normal**2).sum(axis=1) / TAIL)
    weights = np.exp(logs - logs.max())
    chosen = np.searchsorted(np.cumsum(weights), weights.sum() * (np.arange(PARTS) + 0.5) / PARTS)
    return [(times / PARTS, _of(drawn[i])) for i, times in zip(*np.unique(chosen, return_counts=True), strict=True)]


def _loss(
    points: Array, log_errors: Array, binomial: Array, spread: float, freedom: int
) -> Callable[[Array], tuple[float, Array]]:
    """The negative log posterior of the logarithms of the variances (4,), and its gradient."""
    of = np.linspace(0, len(points) - 1, min(len(points), FITTED)).round().astype(int)
    apart, y, base = distances(points[of], points[of]), log_errors[of] - log_errors.mean(), binomial[of]

    def loss(theta: Array) -> tuple[float, Array]:
        lengthscale, structure, own, dispersion = np.exp(theta)
        smooth = correlation(apart / lengthscale)
        covariance = structure * smooth + LEVEL
        covariance[np.diag_indices(len(of))] += own + dispersion * base + 1e-9
        factor = cho_factor(covariance, lower=True)
        inverse = cho_solve(factor, np.eye(len(of)))
        weights = inverse @ y
        slopes = inverse - np.outer(weights, weights)
        gradient = 0.5 * np.array([
            structure * (slopes * by_log_lengthscale(apart / lengthscale)).sum(), structure * (slopes * smooth).sum(),
            own * np.trace(slopes), dispersion * (np.diag(slopes) * base).sum() + freedom - spread / dispersion,
        ])  # fmt: skip
        value = 0.5 * (y @ weights + freedom * theta[3] + spread / dispersion) + np.log(np.diag(factor[0])).sum()
        away = (theta - PRIOR[:, 0]) / PRIOR[:, 1]
        heavy = 1 + away[3] ** 2 / PRIOR_TAIL
        value += 0.5 * (away[:3] ** 2).sum() + (PRIOR_TAIL + 1) / 2 * math.log(heavy)
        away[3] *= (PRIOR_TAIL + 1) / PRIOR_TAIL / heavy
        return float(value), gradient + away / PRIOR[:, 1]

    return loss


def _fit(loss: Callable[[Array], tuple[float, Array]], start: Variances) -> OptimizeResult:
    begin = np.log([start.lengthscale, start.structure, start.own, start.dispersion])
    return minimize(loss, begin, jac=True, method="L-BFGS-B", bounds=BOUNDS, options={"maxiter": STEPS})


def _of(theta: Array) -> Variances:
    return Variances(*map(float, np.exp(theta)))
