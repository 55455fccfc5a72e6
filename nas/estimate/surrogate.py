"""What is learned of one objective: a Gaussian process over features, on a scale where errors are alike."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_solve, solve_triangular
from scipy.linalg.lapack import dpotri
from scipy.optimize import minimize

from nas.estimate.matern import correlation, distances, matern
from nas.pareto import Array

STEPS = 60  # of L-BFGS for the length scales
LENGTH = 0.5  # expected log length scale, in units of the root of their number
SPREAD = 1.0, 0.5  # its deviation: without trends, and with them, which leave what is smooth
BEND = 1.5  # of features in which the targets may bend
OUTPUT = 2.0, 0.15  # shape and rate of the outputscale's gamma distribution
NOISE = -4.0, 1.0  # of the log noise: expected, deviation
MEAN = 1.0  # variance of the unknown mean, and of each trend's slope at most about so much
FLAT = 1e6  # length scale of a feature that is only a trend
WORST = 1e10  # of a covariance that is not positive


@dataclass(frozen=True)
class Scale:
    """How an objective's values become what is learned: lower is better, roughly Gaussian."""

    sign: float  # -1: the study maximises it
    share: bool  # all values lie in [0, 1], as accuracies do: the logarithm of what is missing to the best
    low: float = 0.0  # values beyond these are held to them: a diverged training says that it is bad, not how bad
    high: float = 0.0

    def learned(self, values: Array) -> Array:
        better = self.sign * values + (1.0 if self.share and self.sign < 0 else 0.0)
        held = np.clip(better, self.low, self.high)
        return np.log(held) if self.share else held

    def lost(self, learned: Array) -> Array:
        """The values behind what is learned, lower is better: of accuracies what is missing to 1."""
        return np.exp(learned) if self.share else learned


def choose_scale(values: Array, maximise: bool) -> Scale:
    """The scale for the values (n,) of one objective that were seen."""
    sign = -1.0 if maximise else 1.0
    seen = sign * values[np.isfinite(values)]
    if not len(seen):
        return Scale(sign, False, 0.0, 0.0)
    if (np.abs(seen - 0.5 * sign) <= 0.5).all() and np.ptp(seen) > 0:
        missing = seen + (1.0 if maximise else 0.0)
        least = missing[missing > 0].min() / 2
        return Scale(sign, True, max(least, 1e-6) if maximise else least, 1.0)  # 1 - accuracy has no more digits
    first, middle, third = np.quantile(seen, [0.25, 0.5, 0.75])
    return Scale(sign, False, seen.min(), min(seen.max(), third + 5 * max(third - first, middle - seen.min())))


@dataclass(frozen=True)
class Hyperparameters:
    """What a fit found: of the kernel, in units of features scaled to [0, 1] and targets of mean 0 and deviation 1."""

    lengthscales: Array
    outputscale: float
    noise: float
    low: Array  # the features' range
    high: Array
    slopes: Array | None = None  # (k,): variance of the slope along each feature, of a linear trend beside the Matern
    constant: float = 0.0  # variance of an unknown mean, beside the targets' own


def fit(features: Array, targets: Array, trends: int = 0, bends: NDArray[np.bool_] | None = None) -> Hyperparameters:
    """The most probable hyperparameters for features (n, k) and targets (n,).

    A constant, Matern-5/2 with a length scale per feature, and a linear function of the last `trends` features, which
    are standardised and have no part in the Matern. A trend's slope has a variance of its own, which is 0 where the
    targets do not ask for it. The prior of the length scales widens with their number (Hvarfner et al., ICML 2024), and
    is narrow: with ten targets, dozens of scales cannot be learned one by one. With trends it stays wide for the
    features `bends` (k - trends,) that have their best in the middle, such as a learning rate. In NumPy: its gradient
    is simple.
    """
    smooth, linear = np.split(features, [features.shape[1] - trends], axis=1)
    k = smooth.shape[1]
    low = np.concatenate([smooth.min(axis=0), linear.mean(axis=0)])
    high = np.concatenate([smooth.max(axis=0), linear.mean(axis=0) + linear.std(axis=0)])
    x, t = np.split(_unit(features, low, high), [k], axis=1)
    y = _standard(targets, targets)
    products = t.T[:, :, None] * t.T[:, None, :]
    spread = np.full(k, SPREAD[trends > 0])
    if trends and bends is not None:
        spread[bends] = BEND
    start = np.concatenate([np.full(k, 0.5 * math.log(max(k, 1))), [0.0, math.log(0.02)], np.full(trends, 0.5)])
    bounds = [(math.log(0.025), math.log(1e4))] * k + [(-7.0, 7.0), (math.log(1e-4), 5.0)] + [(0.0, None)] * trends
    found = minimize(
        lambda p: _loss(p, x, y, products, spread), start, jac=True, method="L-BFGS-B", bounds=bounds,
        options={"maxiter": STEPS},
    ).x  # fmt: skip
    return Hyperparameters(
        np.concatenate([np.exp(found[:k]), np.full(trends, FLAT)]), math.exp(found[k]), math.exp(found[k + 1]),
        low, high, np.concatenate([np.zeros(k), found[k + 2 :] ** 2]), MEAN,
    )  # fmt: skip


def _loss(p: Array, x: Array, y: Array, products: Array, spread: Array) -> tuple[float, Array]:
    """Minus the log posterior, and its gradient, at log length scales (k,), outputscale, noise, and root slopes (t,).

    x (n, k), y (n,), products (t, n, n) of the trends, spread (k,) of the log length scales' prior.
    """
    n, k = x.shape
    (log_scale, log_noise), roots = p[k : k + 2], p[k + 2 :]
    scale, noise = math.exp(log_scale), math.exp(log_noise)
    z = x / np.exp(p[:k])
    r = distances(z, z)
    smooth = scale * correlation(r)
    covariance = smooth + MEAN + np.tensordot(roots**2, products, axes=1)
    covariance[np.diag_indices(n)] += noise
    try:
        factor = np.linalg.cholesky(covariance)
    except np.linalg.LinAlgError:
        return WORST, np.zeros_like(p)
    weights = cho_solve((factor, True), y)
    inverse = dpotri(factor, lower=True)[0]
    inverse = np.tril(inverse) + np.tril(inverse, -1).T
    slope = 0.5 * (inverse - np.outer(weights, weights))  # of the loss by the covariance
    value = 0.5 * y @ weights + np.log(np.diag(factor)).sum()
    root5 = math.sqrt(5) * r
    pull = slope * (scale * 5 / 3 * (1 + root5) * np.exp(-root5))  # times a squared distance: by its log length scale
    gradient = np.empty_like(p)
    gradient[:k] = 2 * (pull.sum(axis=1) @ z**2 - np.einsum("id,id->d", z, pull @ z))
    gradient[k], gradient[k + 1] = (slope * smooth).sum(), noise * np.trace(slope)
    gradient[k + 2 :] = 2 * roots * np.tensordot(products, slope, axes=2)
    lengths = LENGTH + 0.5 * math.log(max(k, 1)), spread
    for at, (middle, deviation) in ((slice(0, k), lengths), (slice(k + 1, k + 2), NOISE)):
        away = (p[at] - middle) / deviation
        value += float(np.sum(0.5 * away**2 + p[at]))  # log-normal densities
        gradient[at] += away / deviation + 1
    value += OUTPUT[1] * scale - (OUTPUT[0] - 1) * log_scale + 0.5 * roots @ roots / MEAN
    gradient[k] += OUTPUT[1] * scale - (OUTPUT[0] - 1)
    gradient[k + 2 :] += roots / MEAN
    return float(value), gradient


class Surrogate:
    """The process given the data, with hyperparameters that may have been fitted to part of them."""

    def __init__(self, features: Array, targets: Array, found: Hyperparameters) -> None:
        self.found, self.targets = found, targets
        self.slopes = (
            np.zeros_like(found.lengthscales) if found.slopes is None else found.slopes * found.lengthscales**2
        )
        self.x = self._scaled(features)
        self.mean, self.deviation = float(targets.mean()), float(targets.std()) or 1.0
        covariance = self._kernel(self.x, self.x)
        covariance[np.diag_indices(len(covariance))] += found.noise
        self.factor = np.linalg.cholesky(covariance)
        self.weights = cho_solve((self.factor, True), (targets - self.mean) / self.deviation)

    def predict(self, features: Array) -> tuple[Array, Array]:
        """Mean and standard deviation (n,) of the objective without noise."""
        x = self._scaled(features)
        cross = self._kernel(x, self.x)
        explained = solve_triangular(self.factor, cross.T, lower=True)
        prior = self.found.outputscale + self.found.constant + (x * x) @ self.slopes
        variance = np.maximum(prior - (explained**2).sum(axis=0), 1e-10)
        return self.mean + self.deviation * (cross @ self.weights), self.deviation * np.sqrt(variance)

    def _scaled(self, features: Array) -> Array:
        return _unit(features, self.found.low, self.found.high) / self.found.lengthscales

    def _kernel(self, a: Array, b: Array) -> Array:
        smooth = self.found.outputscale * matern(a, b) + self.found.constant
        return np.asarray(smooth if self.found.slopes is None else smooth + (a * self.slopes) @ b.T)


def _unit(features: Array, low: Array, high: Array) -> Array:
    return np.asarray((features - low) / np.where(high > low, high - low, 1.0))


def _standard(values: Array, of: Array) -> Array:
    return np.asarray((values - of.mean()) / (of.std() or 1.0))
