"""What is learned of one objective: a Gaussian process over features, on a scale where errors are alike."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass

import numpy as np
import torch
from scipy.linalg import cho_solve, solve_triangular

from nas.estimate.matern import matern
from nas.pareto import Array

with warnings.catch_warnings():
    warnings.simplefilter("ignore", FutureWarning)  # linear_operator uses what PyTorch has deprecated
    from botorch.models import SingleTaskGP
    from botorch.optim.fit import fit_gpytorch_mll_scipy
    from gpytorch.constraints import GreaterThan  # type: ignore[import-untyped]
    from gpytorch.kernels import MaternKernel, ScaleKernel  # type: ignore[import-untyped]
    from gpytorch.likelihoods import GaussianLikelihood  # type: ignore[import-untyped]
    from gpytorch.mlls import ExactMarginalLogLikelihood  # type: ignore[import-untyped]
    from gpytorch.priors import GammaPrior, LogNormalPrior  # type: ignore[import-untyped]

STEPS = 60  # of L-BFGS for the length scales


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


def fit(features: Array, targets: Array) -> Hyperparameters:
    """The most probable hyperparameters for features (n, k) and targets (n,): Matern-5/2, a length scale per feature.

    The priors widen with the number of features (Hvarfner et al., ICML 2024).
    """
    low, high = features.min(axis=0), features.max(axis=0)
    x, y = _unit(features, low, high), _standard(targets, targets)
    k = features.shape[1]
    lengthscale = LogNormalPrior(math.sqrt(2) + 0.5 * math.log(k), math.sqrt(3))
    matern = MaternKernel(2.5, ard_num_dims=k, lengthscale_prior=lengthscale, lengthscale_constraint=GreaterThan(0.025))
    matern.lengthscale = math.sqrt(k)
    kernel = ScaleKernel(matern, outputscale_prior=GammaPrior(2.0, 0.15))
    likelihood = GaussianLikelihood(noise_prior=LogNormalPrior(-4.0, 1.0), noise_constraint=GreaterThan(1e-4))
    likelihood.noise = 0.02
    model = SingleTaskGP(
        torch.from_numpy(x), torch.from_numpy(y)[:, None], covar_module=kernel.double(),
        likelihood=likelihood.double(), outcome_transform=None,
    )  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it stopped at STEPS, and of hardly any spread in few targets
        fit_gpytorch_mll_scipy(ExactMarginalLogLikelihood(model.likelihood, model), options={"maxiter": STEPS})
    with torch.no_grad():
        return Hyperparameters(
            matern.lengthscale[0].numpy().copy(), float(kernel.outputscale), float(likelihood.noise), low, high
        )


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
        prior = self.found.outputscale + (x * x) @ self.slopes
        variance = np.maximum(prior - (explained**2).sum(axis=0), 1e-10)
        return self.mean + self.deviation * (cross @ self.weights), self.deviation * np.sqrt(variance)

    def _scaled(self, features: Array) -> Array:
        return _unit(features, self.found.low, self.found.high) / self.found.lengthscales

    def _kernel(self, a: Array, b: Array) -> Array:
        smooth = self.found.outputscale * matern(a, b)
        return np.asarray(smooth if self.found.slopes is None else smooth + (a * self.slopes) @ b.T)


def _unit(features: Array, low: Array, high: Array) -> Array:
    return np.asarray((features - low) / np.where(high > low, high - low, 1.0))


def _standard(values: Array, of: Array) -> Array:
    return np.asarray((values - of.mean()) / (of.std() or 1.0))
