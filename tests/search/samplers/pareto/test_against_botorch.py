"""Expected improvement, boxes and posterior beside BoTorch's own."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from botorch.acquisition.multi_objective.analytic import ExpectedHypervolumeImprovement
from botorch.models import SingleTaskGP
from botorch.models.deterministic import GenericDeterministicModel
from botorch.posteriors import Posterior
from botorch.utils.multi_objective.box_decompositions.non_dominated import NondominatedPartitioning
from gpytorch.distributions import MultitaskMultivariateNormal
from gpytorch.kernels import MaternKernel, ScaleKernel
from gpytorch.likelihoods import GaussianLikelihood

from nas.estimate.surrogate import Hyperparameters, Surrogate
from nas.pareto import hypervolume
from nas.search.samplers.pareto.acquisition import expected_improvement, free_cells


def front(m: int, n: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).random((n, m))


class Gaussian(GenericDeterministicModel):
    """A model whose posterior at the k-th point is the k-th of given Gaussians, independent over objectives."""

    def __init__(self, mean: np.ndarray, deviation: np.ndarray) -> None:
        super().__init__(lambda x: x, num_outputs=mean.shape[1])
        self.mean, self.variance = torch.from_numpy(mean), torch.from_numpy(deviation**2)

    def posterior(self, x: torch.Tensor, *args: object, **kwargs: object) -> Posterior:
        from botorch.posteriors import GPyTorchPosterior

        rows = x[:, 0, 0].long()
        mean, variance = self.mean[rows][:, None], self.variance[rows]
        return GPyTorchPosterior(MultitaskMultivariateNormal(mean, torch.diag_embed(variance)))


@pytest.mark.parametrize("m", [2, 3, 4])
def test_expected_improvement_is_botorchs(m: int) -> None:
    rng = np.random.default_rng(m)
    mean, deviation = rng.random((20, m)), rng.uniform(0.02, 0.4, (20, m))
    reference, points = np.full(m, 1.1), front(m, 12, m)
    ours = expected_improvement(mean, deviation, free_cells(points, reference))
    theirs = ExpectedHypervolumeImprovement(
        Gaussian(-mean, deviation), ref_point=(-reference).tolist(),
        partitioning=NondominatedPartitioning(torch.from_numpy(-reference), torch.from_numpy(-points)),
    )(torch.arange(20, dtype=torch.float64)[:, None, None])  # fmt: skip
    assert ours == pytest.approx(theirs.detach().numpy(), rel=1e-6, abs=1e-9)
    assert ours.max() > 0


def test_what_is_far_from_any_result_adds_nothing_and_is_a_number() -> None:
    """A parabola of a learning rate promises errors of e^800 beyond its range."""
    reference, points = np.array([1.0, 1.0]), front(2, 6, 0)
    mean, deviation = np.array([[800.0, 0.1], [-2.0, 0.1], [-1.0, 0.1]]), np.array([[40.0, 0], [40.0, 0], [0.1, 0]])
    found = expected_improvement(mean, deviation, free_cells(points, reference), [0])
    assert np.isfinite(found).all() and found[0] < 1e-6 and found[2] > 0


@pytest.mark.parametrize("m", [2, 3, 4])
def test_an_exactly_known_candidate_adds_what_the_hypervolume_says(m: int) -> None:
    reference, points = np.full(m, 1.0), front(m, 10, 7 + m)
    new = front(m, 30, 70 + m) * 0.8
    ours = expected_improvement(new, np.zeros_like(new), free_cells(points, reference))
    before = hypervolume(points, reference)
    added = [hypervolume(np.concatenate([points, p[None]]), reference) - before for p in new]
    assert ours == pytest.approx(np.array(added), abs=1e-12)


@pytest.mark.parametrize("m", [2, 3, 4])
def test_the_free_boxes_fill_what_the_front_leaves(m: int) -> None:
    """Over the unit cube: the boxes are disjoint, and their volume is the cube's without what the front dominates."""
    points, reference = front(m, 15, m), np.ones(m)
    lower, upper = free_cells(points, reference)
    sides = np.clip(upper, 0, 1) - np.clip(lower, 0, 1)
    assert sides.min() >= 0
    assert sides.prod(axis=1).sum() == pytest.approx(1 - hypervolume(points, reference))
    for seen in np.random.default_rng(10 + m).random((200, m)):
        dominated = (points <= seen).all(axis=1).any()
        inside = ((lower < seen) & (seen <= upper)).all(axis=1).sum()
        assert inside == (0 if dominated else 1)


def test_the_posterior_is_botorchs() -> None:
    rng = np.random.default_rng(0)
    x, y, new = rng.random((25, 4)), rng.standard_normal(25), rng.random((50, 4))
    found = Hyperparameters(np.array([0.3, 0.8, 1.5, 4.0]), 1.7, 0.05, np.zeros(4), np.ones(4))
    kernel = ScaleKernel(MaternKernel(2.5, ard_num_dims=4)).double()
    kernel.outputscale, kernel.base_kernel.lengthscale = 1.7, torch.tensor([[0.3, 0.8, 1.5, 4.0]])
    likelihood = GaussianLikelihood().double()
    likelihood.noise = 0.05
    standard = torch.from_numpy((y - y.mean()) / y.std())[:, None]
    model = SingleTaskGP(
        torch.from_numpy(x), standard, covar_module=kernel, likelihood=likelihood, outcome_transform=None
    )
    model.mean_module.constant.data.zero_()
    posterior = model.posterior(torch.from_numpy(new))
    mean, deviation = Surrogate(x, y, found).predict(new)
    theirs = posterior.mean.detach().numpy()[:, 0] * y.std() + y.mean()
    assert mean == pytest.approx(theirs, abs=1e-6)
    assert deviation == pytest.approx(posterior.variance.detach().numpy()[:, 0] ** 0.5 * y.std(), rel=1e-4)


def test_the_improvement_of_a_logarithm_is_that_of_draws() -> None:
    """The first objective's logarithm is Gaussian; the second is known."""
    rng = np.random.default_rng(0)
    points, reference = np.array([[0.1, 3.0], [0.2, 2.0], [0.4, 1.0]]), np.array([0.5, 4.0])
    cells = free_cells(points, reference)
    mean, deviation = np.array([[np.log(0.15), 1.5], [np.log(0.3), 0.5]]), np.array([[0.3, 0.0], [0.6, 0.0]])
    ours = expected_improvement(mean, deviation, cells, [0])
    before = hypervolume(points, reference)
    for found, (log, cost), spread in zip(ours, mean, deviation[:, 0], strict=True):
        drawn = np.exp(log + spread * rng.standard_normal(4000))
        added = [hypervolume(np.concatenate([points, [[y, cost]]]), reference) - before for y in drawn]
        assert found == pytest.approx(np.mean(added), abs=4 * np.std(added) / np.sqrt(4000))
