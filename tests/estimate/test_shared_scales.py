"""The process for few labels: its posterior against GPyTorch's, its scales against what the data were made of."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from gpytorch.kernels import LinearKernel, MaternKernel, ScaleKernel

from nas.estimate.shared_scales import fit_shared
from nas.estimate.surrogate import Hyperparameters, Surrogate


def test_the_posterior_with_a_trend_is_that_of_gpytorchs_kernels() -> None:
    rng = np.random.default_rng(0)
    x, y, new = rng.normal(size=(15, 3)), rng.normal(size=15), rng.normal(size=(6, 3))
    lengths, slopes = np.array([0.7, 1.5, 3.0]), np.array([0.3, 0.0, 2.0])
    found = Hyperparameters(lengths, 1.3, 0.1, np.zeros(3), np.ones(3), slopes)
    mean, deviation = Surrogate(x, y, found).predict(new)

    matern = ScaleKernel(MaternKernel(2.5, ard_num_dims=3)).double()
    matern.outputscale, matern.base_kernel.lengthscale = 1.3, torch.from_numpy(lengths)
    linear = LinearKernel().double()
    linear.variance = 1.0
    both = torch.from_numpy(np.concatenate([x, new]))
    scaled = both * torch.from_numpy(np.sqrt(slopes))
    kernel = (matern(both).to_dense() + linear(scaled).to_dense()).detach().numpy()
    seen, cross = kernel[:15, :15] + 0.1 * np.eye(15), kernel[15:, :15]
    gain = cross @ np.linalg.inv(seen)
    assert mean == pytest.approx(y.mean() + gain @ (y - y.mean()))
    variance = np.diag(kernel)[15:] - (gain * cross).sum(axis=1)
    assert deviation == pytest.approx(y.std() * np.sqrt(variance))


def test_a_group_that_tells_nothing_gets_a_long_length_scale() -> None:
    rng = np.random.default_rng(1)
    x = rng.normal(size=(80, 4))
    y = np.sin(2 * x[:, 0]) + np.sin(2 * x[:, 1]) + 0.05 * rng.normal(size=80)
    found = fit_shared(x, y, np.array([0, 0, 1, 1]))
    assert found.lengthscales[0] == found.lengthscales[1] < found.lengthscales[2] == found.lengthscales[3]
    assert found.slopes is None and found.noise < 0.1


def test_noise_is_found_and_a_trend_is_where_there_is_one() -> None:
    rng = np.random.default_rng(2)
    x = rng.normal(size=(100, 2))
    noise = rng.normal(size=100)
    straight = fit_shared(x, x[:, 0] + 0.5 * noise, np.array([0, 1]), trend=True)
    assert straight.slopes is not None and straight.slopes[0] > 2 * straight.slopes[1]
    assert straight.noise == pytest.approx(0.25 / 1.25, rel=0.4)  # a share of the variance
    beyond = Surrogate(x, x[:, 0] + 0.5 * noise, straight).predict(np.array([[4.0, 0.0]]))[0]
    assert beyond == pytest.approx(4, abs=0.7)  # it is followed where no label is


def test_hyperparameters_are_the_most_probable() -> None:
    """No small change of any of them has a greater likelihood, with priors taken away by many labels."""
    rng = np.random.default_rng(3)
    x = rng.normal(size=(150, 2))
    y = np.sin(x[:, 0]) + 0.3 * x[:, 1] + 0.2 * rng.normal(size=150)
    groups = np.array([0, 1])
    found = fit_shared(x, y, groups, trend=True)
    assert found.slopes is not None

    def likelihood(scale: np.ndarray) -> float:
        changed = Hyperparameters(
            found.lengthscales * scale[:2], found.outputscale * scale[2], found.noise * scale[3], found.low, found.high,
            found.slopes * scale[4:],
        )  # fmt: skip
        model = Surrogate(x, y, changed)
        standard = (y - y.mean()) / y.std()
        return float(-0.5 * standard @ model.weights - np.log(np.diag(model.factor)).sum())

    best = likelihood(np.ones(6))
    for i in range(6):
        for factor in (0.5, 2.0):
            scale = np.ones(6)
            scale[i] = factor
            assert likelihood(scale) < best + 1.0  # what a prior of this width may cost


def test_equal_targets_and_constant_features_are_no_error() -> None:
    x = np.zeros((5, 2))
    found = fit_shared(x, np.ones(5), np.array([0, 0]), trend=True)
    mean, deviation = Surrogate(x, np.ones(5), found).predict(np.ones((1, 2)))
    assert mean == pytest.approx(1.0) and np.isfinite(deviation).all()
