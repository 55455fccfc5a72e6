"""Built networks against timm's own, weight for weight, and against counted forward passes."""

import csv
from collections import Counter

import numpy as np
import pytest
import timm
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from nas.errors import UserError
from nas.models.builder import build
from nas.space.block import Block
from nas.space.candidate import Candidate
from nas.space.layer import Layer
from nas.space.network import Network, imported
from nas.space.reference import reference_network
from nas.space.search_space import load_space
from tests.shared_data import shared_data

TIMM = {
    "mobilenet_v2": ("mobilenetv2_100", 3_504_872),
    "mobilenet_v3_large": ("mobilenetv3_large_100", 5_483_032),
    "efficientnet_lite0": ("efficientnet_lite0", 4_652_008),
    "efficientnet_b0": ("efficientnet_b0", 5_288_548),
    "mobilenet_v3_small": ("mobilenetv3_small_100", 2_542_856),
    "mobilenet_v1": ("mobilenetv1_100", 4_231_976),
}


def counted_params(model: nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())


def counted_macs(model: nn.Module, network: Network) -> int:
    """Half the floating-point operations of convolutions and products, as torch counts them while they run."""
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        model.eval()(torch.zeros(1, *network.input_shape))
    return counter.get_total_flops() // 2


@pytest.mark.parametrize("name", TIMM)
def test_reference_network_is_timms(name: str) -> None:
    timm_name, published_params = TIMM[name]
    theirs = timm.create_model(timm_name).eval()
    network = reference_network(name, resolution=96)
    ours = build(network).eval()
    assert counted_params(ours) == counted_params(theirs) == network.params == published_params
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for module in theirs.modules():  # batch norms that do something, so that a lost one shows
            if isinstance(module, nn.BatchNorm2d):
                module.running_mean.normal_(0, 0.1, generator=generator)
                module.running_var.uniform_(0.5, 1.5, generator=generator)
    ours.load_state_dict(theirs.state_dict(), strict=True)
    images = torch.rand(2, 3, 96, 96, generator=generator)
    with torch.no_grad():
        torch.testing.assert_close(ours(images), theirs(images), rtol=1e-4, atol=1e-5)
    assert counted_macs(ours, network) == counted_macs(theirs, network) == network.macs


def fbnet_like() -> Network:
    """Every kind that timm's references lack: grouped and shuffled, a bare projection, a stem without stride."""
    shape, stem, wide = (3, 16, 16), (16, 16, 16), (32, 8, 8)
    blocks = (
        Block("conv", shape, stem, 3, 1, activation="relu"),
        Block("shuffle", stem, stem, 3, 1, mid=16, groups=2, activation="relu"),
        Block("shuffle", stem, wide, 5, 2, mid=48, groups=2, activation="relu"),
        Block("shuffle", wide, wide, 3, 1, mid=32, groups=4, activation="relu"),
        Block("conv", wide, (64, 4, 4), 1, 2),
        Block("mbconv", (64, 4, 4), (64, 4, 4), 5, 1, mid=192, se=24, activation="swish", gate="sigmoid"),
        Block("conv", (64, 4, 4), (96, 4, 4), 1, 1, activation="relu"),
        Block("conv", (96, 4, 4), (128, 4, 4), 1, 1, activation="relu"),
        Block("pool_linear", (128, 4, 4), (7, 1, 1)),
    )
    return Network(blocks, (0, 1, 2, 2, 3, 3, 4, 5, 5))


def test_params_and_macs_of_fbnets_blocks_match_a_counted_forward_pass() -> None:
    network = fbnet_like()
    model = build(network)
    assert counted_params(model) == network.params
    assert counted_macs(model, network) == network.macs
    assert [len(stage) for stage in model.blocks] == [1, 2, 2, 1]


def halves(x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """Each half of the channels convolved with its own half of the weights."""
    return torch.cat([nn.functional.conv2d(x.chunk(2, 1)[i], weight.chunk(2)[i]) for i in (0, 1)], 1)


def test_grouped_block_convolves_in_groups_shuffles_and_adds_its_input() -> None:
    network = fbnet_like()
    block = build(network).blocks[0][0].eval()
    x = torch.randn(2, 16, 16, 16)
    with torch.no_grad():
        hidden = block.bn1(halves(x, block.conv_pw.weight))
        shuffled = hidden[:, [0, 8, 1, 9, 2, 10, 3, 11, 4, 12, 5, 13, 6, 14, 7, 15]]  # two halves, interleaved
        out = block.bn2(block.conv_dw[1](shuffled))
        torch.testing.assert_close(block(x), block.bn3(halves(out, block.conv_pwl.weight)) + x)


def test_activations_are_the_blocks_own() -> None:
    model = build(reference_network("mobilenet_v3_large", resolution=64))
    kinds = Counter(type(m).__name__ for m in model.modules())
    # 15 blocks of two activated layers less the first's one, stem and two of the head: 20 h-swish; SE adds 8 ReLU
    assert kinds["Hardswish"] == 2 * 9 + 3 and kinds["ReLU"] == 1 + 2 * 5 + 8 and kinds["Hardsigmoid"] == 8


def test_stages_may_be_empty_and_the_body_too() -> None:
    shape, stem = (3, 8, 8), (8, 8, 8)
    blocks = (Block("conv", shape, stem, 3, 1, activation="relu"), Block("pool_linear", stem, (4, 1, 1)))
    model = build(Network(blocks, (0, 5)))
    assert model(torch.zeros(2, *shape)).shape == (2, 4)
    assert counted_params(model) == 3 * 8 * 9 + 16 + 8 * 4 + 4


def test_equal_seeds_draw_equal_weights_and_leave_the_global_generator_alone() -> None:
    network = fbnet_like()
    before = torch.get_rng_state()
    first, again, other = build(network, seed=1), build(network, seed=1), build(network, seed=2)
    assert torch.equal(before, torch.get_rng_state())
    assert torch.equal(first.conv_stem.weight, again.conv_stem.weight)
    assert torch.equal(first.blocks[2][1].conv_pw.weight, again.blocks[2][1].conv_pw.weight)
    assert not torch.equal(first.conv_stem.weight, other.conv_stem.weight)


def test_a_stride_in_the_middle_of_a_stage_is_built() -> None:
    """timm's own builder drops it without a word."""
    network = Network(fbnet_like().blocks, (0, 1, 1, 1, 1, 1, 1, 2, 2))
    model = build(network)
    assert counted_macs(model, network) == network.macs
    assert model.blocks[0][1].conv_dw[1].stride == (2, 2)


def test_a_network_read_from_a_file_cannot_be_built() -> None:
    with pytest.raises(UserError, match="read from a file"):
        build(imported([Layer("conv", (3, 8, 8), (8, 8, 8))]))


def test_only_one_head_at_the_end_can_be_built() -> None:
    blocks = (*fbnet_like().blocks[:3], Block("conv", (16, 16, 16), (4, 16, 16)))
    with pytest.raises(UserError, match="one head, after its last block"):
        build(Network(blocks, taps=(1,), heads=(3,)))


SPACES = ("tiny", "mobilenet-v2", "mobilenet-v3", "efficientnet-lite", "efficientnet", "fbnet-cifar", "nas-bench-macro")


@pytest.mark.parametrize("name", SPACES)
def test_candidates_of_the_shipped_spaces_are_built_as_they_are_priced(name: str) -> None:
    space, rng = load_space(name), np.random.default_rng(5)
    for _ in range(3):
        network = space.network(space.sample(rng))
        model = build(network)
        assert counted_params(model) == network.params
        assert counted_macs(model, network) == network.macs


def test_nas_bench_macro_networks_have_the_published_params_and_macs() -> None:
    with shared_data("nas_bench_macro/nas_bench_macro.csv").open() as file:
        rows = [row for number, row in enumerate(csv.DictReader(file)) if number % 937 == 0]
    space = load_space("nas-bench-macro")
    depths = {1: 2, 2: 3, 3: 3}
    names = [f"stage{stage}.block{block + 1}.op" for stage in depths for block in range(depths[stage])]
    for row in rows:
        ops = [("identity", "e3_k3", "e6_k5")[int(op)] for op in row["arch"]]
        network = space.network(Candidate.of(dict(zip(names, ops, strict=True))))
        model = build(network)
        assert counted_params(model) == int(row["params"])
        assert counted_macs(model, network) == int(row["macs_recomputed"])
