"""Each score against a case counted by hand, and what holds of all of them."""

from __future__ import annotations

from math import log

import pytest
import torch
from torch import nn

from nas.errors import UserError
from nas.estimate.zero_cost import SCORES
from nas.estimate.zero_cost.activation_patterns import activations
from nas.estimate.zero_cost.block_features import entropies
from nas.estimate.zero_cost.expressivity import expressivity
from nas.estimate.zero_cost.initialization import initialized
from nas.estimate.zero_cost.jacobian_covariance import jacobian_covariance
from nas.estimate.zero_cost.naswot import naswot
from nas.estimate.zero_cost.progressivity import progressivity
from nas.estimate.zero_cost.swap import swap
from nas.estimate.zero_cost.synflow import synflow
from nas.estimate.zero_cost.trainability import spectral_norm, trainability
from nas.estimate.zero_cost.zico import zico
from nas.space.layer import Layer
from nas.space.network import Network, imported
from tests.compress.networks import network as small_network
from tests.estimate.zero_cost.networks import Map, by_hand, chain, convolution, shown


def test_naswot_of_two_units() -> None:
    """Active units (both, the first): they agree on one of two; |2 1; 1 2| = 3."""
    assert naswot(by_hand([[1.0, 2.0], [3.0, -1.0]], nn.ReLU())) == pytest.approx(log(3))


def test_naswot_of_images_that_look_alike_is_the_least() -> None:
    assert naswot(by_hand([[1.0, 2.0], [3.0, 4.0]], nn.ReLU())) == -float("inf")


def test_swap_counts_the_patterns_of_units_once() -> None:
    """Over two images the four units show 11, 10, 00 and once more 10."""
    assert swap(by_hand([[1.0, 1.0, -1.0, 2.0], [1.0, -1.0, -1.0, -3.0]], nn.ReLU())) == 3


def test_swap_sees_every_activation_and_at_most_sixteen_images() -> None:
    twice = by_hand([[1.0, -1.0], [1.0, -1.0]], nn.ReLU(), Map(lambda x: torch.tensor([[1.0], [-1.0]])), nn.SiLU())
    assert swap(twice) == 3  # 11 and 00 of the first, 10 of the second
    assert swap(by_hand([[1.0]] * 40, nn.ReLU())) == 1


def test_synflow_of_a_linear_network() -> None:
    """R = (1 + 2 + 3) (2 + 1) = 18, and each of two layers passes all of it: log 36."""
    first, second = nn.Conv2d(3, 1, 1, bias=False), nn.Linear(1, 2, bias=False)
    first.weight.data = torch.tensor([1.0, -2.0, 3.0]).reshape(1, 3, 1, 1)
    second.weight.data = torch.tensor([[2.0], [-1.0]])
    modules = [m.requires_grad_(False) for m in (first, nn.ReLU6(), nn.Flatten(), second)]
    given = by_hand([[9.0, 9.0, 9.0]], *modules)
    assert synflow(given) == pytest.approx(log(36))
    assert first.weight[0, 1].item() == -2  # the network is left as it was


@pytest.mark.parametrize(("size", "stride"), [(4, 1), (4, 2), (5, 2)])
@pytest.mark.parametrize("weight", [1.0, 2.0])
def test_the_spectral_norm_of_a_multiplication_is_its_factor(weight: float, size: int, stride: int) -> None:
    x = torch.ones(2, 1, size, size)
    norm, out = spectral_norm(convolution(weight, stride), x, torch.Generator().manual_seed(0))
    assert norm == pytest.approx(weight) and out.shape[2] == -(-size // stride) and out.max() == weight


@pytest.mark.parametrize(("weight", "value"), [(1.0, 0.0), (2.0, -0.5), (0.5, -0.5)])
def test_trainability_is_best_where_gradients_keep_their_length(weight: float, value: float) -> None:
    """The stem does not count; the last of these blocks is a convolution before the pool, of the head."""
    blocks = convolution(7.0), convolution(weight), convolution(9.0)
    assert trainability(by_hand([[0.0]] * 4, *blocks)) == pytest.approx(value, abs=1e-4)


def test_entropies_of_one_and_of_three_directions() -> None:
    given = by_hand([[0.0, 0.0, 0.0]] * 4, nn.Identity(), Map(lambda x: x[:, :1].repeat(1, 2, 1, 1)), nn.Identity())
    three, one = entropies(given)
    assert one == pytest.approx(0, abs=1e-5) and log(3) - 0.15 < three <= log(3)
    assert expressivity(given) == pytest.approx(three + one) and progressivity(given) == pytest.approx(one - three)


def test_jacobian_covariance_of_gradients_that_do_not_correlate() -> None:
    """Gradients 1100 and 1010: both eigenvalues are 1, so the score is -2 (log 1 + 1/1), but for k."""
    given = by_hand([[1.0, 1.0, -1.0, -1.0], [1.0, -1.0, 1.0, -1.0]], nn.ReLU(), nn.Flatten())
    assert jacobian_covariance(given) == pytest.approx(-2, abs=1e-3)
    alike = by_hand([[1.0, 1.0, -1.0, -1.0], [2.0, 3.0, -1.0, -1.0]], nn.ReLU(), nn.Flatten())
    assert jacobian_covariance(alike) < -50_000  # an eigenvalue of 0: 1/k


def test_zico_of_one_layer() -> None:
    """Weights of 0 give p = 1/2; x is 1 in the first batch and 3 in the second: g = 1/2 and 3/2, mean 1, std 1/2.

    Each of the two weights has the ratio 2: log 4.
    """
    layer = nn.Linear(1, 2, bias=False)
    nn.init.zeros_(layer.weight)
    given = by_hand([[1.0]] * 3 + [[3.0]] * 3, nn.Flatten(), layer.requires_grad_(False))
    assert zico(given) == pytest.approx(log(4))
    assert not layer.weight.requires_grad
    assert zico(by_hand([[1.0]] * 4, nn.Flatten(), layer)) == 0  # no weight's gradient varies


@pytest.mark.parametrize("activation", ["relu", "relu6", "hswish", "swish"])
@pytest.mark.parametrize("name", SCORES)
def test_every_score_is_finite_of_mobile_networks_with_squeeze_excite(name: str, activation: str) -> None:
    value = SCORES[name](shown(chain(activation=activation, se=8)))
    assert torch.tensor(value).isfinite()


@pytest.mark.parametrize("name", SCORES)
def test_every_score_is_finite_of_every_kind_of_block(name: str) -> None:
    """Grouped, squeezed, bare and strided blocks; a convolution behind the pool."""
    assert torch.tensor(SCORES[name](shown(small_network()))).isfinite()


@pytest.mark.parametrize("name", SCORES)
def test_a_score_depends_on_its_seed_alone(name: str) -> None:
    state = torch.random.get_rng_state()
    first, again, other = (SCORES[name](shown(chain(), seed)) for seed in (1, 1, 2))
    assert first == again != other
    assert torch.equal(torch.random.get_rng_state(), state)


def test_no_score_changes_what_another_one_sees() -> None:
    given = shown(chain(se=8))
    alone = {name: score(shown(chain(se=8))) for name, score in SCORES.items()}
    assert {name: score(given) for name, score in SCORES.items()} == alone
    assert {name: score(given) for name, score in reversed(SCORES.items())} == alone


@pytest.mark.parametrize("score", [swap, naswot])
def test_patterns_do_not_change_with_the_scale_of_weights(score) -> None:  # type: ignore[no-untyped-def]
    given = shown(chain(), images=16)
    before = score(given)
    for parameter in given.blocks.parameters():
        if parameter.ndim == 4:
            parameter.mul_(4.0)  # a power of two: batch norm divides it out but for its epsilon
    assert score(given) == pytest.approx(before, rel=0.002)


@pytest.mark.parametrize("score", [swap, naswot, synflow])
def test_more_units_score_higher(score) -> None:  # type: ignore[no-untyped-def]
    narrow, wide, deep = (score(shown(n)) for n in (chain(8, 1), chain(32, 1), chain(8, 4)))
    assert wide > narrow and deep > narrow


def test_squeeze_excite_has_no_part_in_the_patterns() -> None:
    plain, squeezed = (activations(shown(chain(se=se)).blocks) for se in (0, 8))
    assert len(plain) == len(squeezed) == 1 + 2 * 2  # the stem's, two in each block


def test_a_network_that_cannot_be_built_is_refused() -> None:
    layer = Layer("conv", (3, 4, 4), (8, 4, 4))
    with pytest.raises(UserError, match="only a network made of blocks"):
        shown(imported([layer]))
    body = chain()
    two = Network((*body.blocks, body.blocks[-1]), taps=(2, 2), heads=(3, 4))
    with pytest.raises(UserError, match="one head; got 2"):
        initialized(two, torch.zeros(4, 3, 12, 12), torch.zeros(4), 0)
