"""Where differences between measured accuracies come from: structure, the network itself, or the noise of training."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import astuple, dataclass

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
    dispersion: of one training's error, in units of the binomial variance that so many images give it.
    training: variance that a training's seed adds to that.
    """

    lengthscale: float
    structure: float
    own: float
    dispersion: float
    training: float

    def noise(self, binomial: Array) -> Array:
        """Variance of the log errors (n,) of single trainings, of which so much is the binomial distribution's."""
        return self.dispersion * binomial + self.training


@dataclass(frozen=True)
class Measured:
    """What was measured of n networks: all (n,) but the points.

    points (n, k): features, scaled. log_errors: logarithm of each one's mean error. binomial: variance that the number
    of images gives the log error of a single training. counts: of trainings. squares: sum of the squares by which
    single trainings differ from their mean, as shares of the error.
    """

    points: Array
    log_errors: Array
    binomial: Array
    counts: Array
    squares: Array


# Means and standard deviations of the logarithms, for when there are few networks: errors of the networks of a space
# differ by a factor of two or so, most of it explained; noise is binomial, give or take, and seeds add little unless
# trainings with other seeds show it, so that nothing is smoothed on suspicion. Of the noise the priors are Student's t
# with PRIOR_TAIL degrees of freedom, for some trainings are much noisier. With many networks, of which some were
# trained again, the priors do not matter.
PRIOR = np.array([[0.0, 1.0], [math.log(0.25), 1.5], [math.log(0.05), 2.0], [0.0, 0.35], [math.log(3e-4), 1.0]])
PRIOR_TAIL = 2
BOUNDS = [(-2.5, 3.5), (-9.0, 3.0), (-12.0, 1.0), (-4.0, 7.0), (-12.0, 1.0)]
START = Variances(1.0, 0.25, 0.01, 1.0, 3e-4)


def fit_variances(measured: Measured, start: Variances = START) -> Variances:
    """The most probable variances."""
    return _of(_fit(_loss(measured), start).x)


def likely_variances(measured: Measured, start: Variances = START) -> list[tuple[float, Variances]]:
    """Up to PARTS variances with their weights, which add up to 1: the posterior, by importance sampling.

    They are drawn from Student's t around the most probable ones, with the curvature there, and resampled.
    """
    loss = _loss(measured)
    best, size = _fit(loss, start).x, len(BOUNDS)
    curvature = np.array([(loss(best + e)[1] - loss(best - e)[1]) / (2 * STEP) for e in STEP * np.eye(size)])
    values, axes = np.linalg.eigh((curvature + curvature.T) / 2)
    width = axes / np.sqrt(np.maximum(values, 0.25))  # the curvature of the widest prior: no further than that would go
    rng = np.random.default_rng(0)
    normal = rng.standard_normal((DRAWN, size)) / np.sqrt(rng.chisquare(TAIL, DRAWN) / TAIL)[:, None]
    low, high = np.array(BOUNDS).T
    drawn = np.clip(best + normal @ width.T, low, high)
    logs = np.array([-loss(theta)[0] for theta in drawn])
    logs += (TAIL + size) / 2 * np.log1p((normal**2).sum(axis=1) / TAIL)
    weights = np.exp(logs - logs.max())
    chosen = np.searchsorted(np.cumsum(weights), weights.sum() * (np.arange(PARTS) + 0.5) / PARTS)
    return [(times / PARTS, _of(drawn[i])) for i, times in zip(*np.unique(chosen, return_counts=True), strict=True)]


def _loss(measured: Measured) -> Callable[[Array], tuple[float, Array]]:
    """The negative log posterior of the logarithms of the variances (5,), and its gradient."""
    n = len(measured.points)
    of = np.linspace(0, n - 1, min(n, FITTED)).round().astype(int)
    apart, y = distances(measured.points[of], measured.points[of]), measured.log_errors[of] - measured.log_errors.mean()
    base, counts = measured.binomial[of], measured.counts[of]
    again = measured.counts > 1
    freedom, squares, base_again = measured.counts[again] - 1, measured.squares[again], measured.binomial[again]

    def loss(theta: Array) -> tuple[float, Array]:
        lengthscale, structure, own, dispersion, training = np.exp(theta)
        smooth = correlation(apart / lengthscale)
        covariance = structure * smooth + LEVEL
        covariance[np.diag_indices(len(of))] += own + (dispersion * base + training) / counts + 1e-9
        factor = cho_factor(covariance, lower=True)
        inverse = cho_solve(factor, np.eye(len(of)))
        weights = inverse @ y
        slopes = inverse - np.outer(weights, weights)
        of_noise = np.diag(slopes) / counts
        noise = dispersion * base_again + training
        of_again = (freedom - squares / noise) / noise  # of trainings around their network's mean
        gradient = 0.5 * np.array([
            structure * (slopes * by_log_lengthscale(apart / lengthscale)).sum(), structure * (slopes * smooth).sum(),
            own * np.trace(slopes), dispersion * (of_noise @ base + of_again @ base_again),
            training * (of_noise.sum() + of_again.sum()),
        ])  # fmt: skip
        value = 0.5 * (y @ weights + freedom @ np.log(noise) + (squares / noise).sum())
        value += np.log(np.diag(factor[0])).sum()
        away = (theta - PRIOR[:, 0]) / PRIOR[:, 1]
        heavy = 1 + away[3:] ** 2 / PRIOR_TAIL
        value += 0.5 * (away[:3] ** 2).sum() + (PRIOR_TAIL + 1) / 2 * np.log(heavy).sum()
        away[3:] *= (PRIOR_TAIL + 1) / PRIOR_TAIL / heavy
        return float(value), gradient + away / PRIOR[:, 1]

    return loss


def _fit(loss: Callable[[Array], tuple[float, Array]], start: Variances) -> OptimizeResult:
    return minimize(
        loss, np.log(astuple(start)), jac=True, method="L-BFGS-B", bounds=BOUNDS, options={"maxiter": STEPS}
    )


def _of(theta: Array) -> Variances:
    return Variances(*map(float, np.exp(theta)))
