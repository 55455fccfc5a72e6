"""Channels that leave together, and the network and the weights without them."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from nas.compress.channels import Group, groups_of, importance, pruned, resized
from nas.models.builder import build
from nas.models.trained import Preprocessing, TrainedModel
from nas.space.block import Block
from nas.space.network import Network

STEM, WIDE = (16, 16, 16), (24, 8, 8)
NETWORK = Network((
    Block("conv", (3, 16, 16), STEM, 3, 1, activation="hswish"),
    Block("ds", STEM, STEM, 3, 1, activation="relu", se=8),
    Block("fused_mbconv", STEM, STEM, 3, 1, mid=16, activation="relu"),
    Block("mbconv", STEM, WIDE, 3, 2, mid=64, activation="hswish"),
    Block("mbconv", WIDE, WIDE, 5, 1, mid=96, se=24, activation="hswish", gate="hsigmoid"),
    Block("fused_mbconv", WIDE, (40, 8, 8), 3, 1, mid=48, activation="relu"),
    Block("pool", (40, 8, 8), (40, 1, 1)),
    Block("conv", (40, 1, 1), (64, 1, 1), activation="hswish", norm=False),
    Block("linear", (64, 1, 1), (10, 1, 1)),
))  # fmt: skip
GROUPS = {  # by hand
    Group(16, ((0, "out"), (1, "in"), (1, "out"), (2, "in"), (2, "out"), (3, "in"))),
    Group(64, ((3, "mid"),)),
    Group(24, ((3, "out"), (4, "in"), (4, "out"), (5, "in"))),
    Group(96, ((4, "mid"),)),
    Group(48, ((5, "mid"),)),
    Group(40, ((5, "out"), (6, "in"), (6, "out"), (7, "in"))),
    Group(64, ((7, "out"), (8, "in"))),
}


def model() -> TrainedModel:
    """With statistics as training leaves them."""
    weights, generator = build(NETWORK, seed=1).state_dict(), torch.Generator().manual_seed(0)
    for name, tensor in weights.items():
        if name.endswith(("running_mean", "bias")):
            tensor.copy_(0.3 * torch.randn(tensor.shape, generator=generator))
        elif name.endswith("running_var"):
            tensor.copy_(0.5 + torch.rand(tensor.shape, generator=generator))
    return TrainedModel(NETWORK, weights, "classification", tuple("abcdefghij"), Preprocessing(16))


def test_channels_that_leave_together_are_found() -> None:
    assert set(groups_of(NETWORK)) == GROUPS


def test_what_a_grouped_convolution_touches_stays() -> None:
    blocks = (
        Block("conv", (3, 8, 8), STEM, 3, 1, activation="relu"),
        Block("shuffle", (16, 8, 8), WIDE, 3, 1, mid=64, groups=2, activation="relu"),
        Block("mbconv", WIDE, (32, 8, 8), 3, 1, mid=96, activation="relu"),
        Block("pool_linear", (32, 8, 8), (4, 1, 1)),
    )
    blocks = (Block("conv", (3, 8, 8), (16, 8, 8), 3, 1, activation="relu"), *blocks[1:])
    assert set(groups_of(Network(blocks))) == {Group(96, ((2, "mid"),)), Group(32, ((2, "out"), (3, "in")))}


def test_channels_that_do_nothing_leave_without_a_trace() -> None:
    """Every group loses its last channels, whose scales and biases are 0: the outputs stay as they are."""
    full = model()
    sizes = {group: group.channels - 8 for group in groups_of(NETWORK)}
    for name in full.weights:
        part, _, what = name.rpartition(".")
        dead = slice(-8, None)
        if ("bn" in part and what in ("weight", "bias")) or (part == "conv_head" and what in ("weight", "bias")):
            full.weights[name][dead] = 0.0
    worth = {group: torch.cat([torch.ones(group.channels - 8), torch.zeros(8)]) for group in sizes}
    in_any_order = dict(sorted(full.weights.items(), key=lambda item: item[0][::-1]))  # as a file may give them
    made = pruned(replace(full, weights=in_any_order), sizes, worth)
    images = torch.randn(4, 3, 16, 16, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        torch.testing.assert_close(made.module()(images), full.module()(images), rtol=1e-4, atol=1e-5)
    assert [b.out_shape[0] for b in made.network.blocks] == [8, 8, 8, 16, 16, 32, 32, 56, 10]
    assert [b.mid for b in made.network.blocks if b.kind.endswith("mbconv")] == [8, 56, 88, 40]
    assert made.network.params < full.network.params and made.network.macs < full.network.macs


def test_a_block_never_becomes_another_one() -> None:
    """Where the widths before and after a block of stride 1 become equal it would add its input."""
    wide = next(g for g in GROUPS if g.channels == 40)
    assert resized(NETWORK, {wide: 24}) is None and resized(NETWORK, {wide: 16}) is not None
    stem, expansion = (next(g for g in GROUPS if g.members[0] == first) for first in ((3, "out"), (5, "mid")))
    assert resized(NETWORK, {expansion: 24}) is None and resized(NETWORK, {expansion: 24, stem: 16}) is not None
    with pytest.raises(ValueError, match="make other blocks"):
        pruned(model(), {wide: 24}, importance(model(), [wide]))


def test_importance_is_that_of_what_a_channel_computes() -> None:
    """A batch norm's scale counts, not the size of the weights before it: the norm divides by that."""
    full, group = model(), next(g for g in GROUPS if g.members == ((4, "mid"),))
    even = importance(full, [group])[group]
    assert even.shape == (96,) and float(even.sum()) == pytest.approx(1) and even.min() > 0
    full.weights["blocks.3.0.conv_pw.weight"][5] *= 100  # the norm after it takes this away again
    full.weights["blocks.3.0.bn1.running_mean"][5] *= 100
    full.weights["blocks.3.0.bn1.running_var"][5] *= 1e4
    torch.testing.assert_close(importance(full, [group])[group], even, rtol=1e-3, atol=1e-6)
    full.weights["blocks.3.0.bn1.weight"][7] = 10.0
    assert int(importance(full, [group])[group].argmax()) == 7


def test_products_and_shared_blocks_are_pruned_as_whole_ones_are() -> None:
    """Channels of the products' outer sides leave, their ranks stay; of blocks that share, the same channels leave."""
    equal = Block("mbconv", WIDE, WIDE, 5, 1, mid=96, activation="relu", ranks=((16,), (8,)))
    plain = Block("conv", WIDE, WIDE, 3, 1, activation="relu", ranks=((8, 16),))
    network = Network(
        (
            Block("conv", (3, 8, 8), WIDE, 3, 1, activation="relu"), equal, equal, plain, plain,
            Block("ds", WIDE, WIDE, 3, 1, activation="relu"),
            Block("pool", WIDE, (24, 1, 1)), Block("linear", (24, 1, 1), (10, 1, 1), ranks=((8,),)),
        ),
        (0, 1, 1, 2, 2, 2, 3, 3), shared=(0, 1, 1, 3, 3, 5, 6, 7),
    )  # fmt: skip
    groups = {group.members: group for group in groups_of(network)}
    assert groups.keys() == {
        ((0, "out"), (1, "in"), (1, "out"), (2, "in"), (2, "out"), (3, "in"), (3, "out"), (4, "in"), (4, "out"),
         (5, "in"), (5, "out"), (6, "in"), (6, "out"), (7, "in")),
        ((1, "mid"), (2, "mid")),
    }  # fmt: skip
    full = TrainedModel(network, build(network, seed=1).state_dict(), "classification", tuple("abcdefghij"),
                        Preprocessing(8))  # fmt: skip
    for name in full.weights:
        part, _, what = name.rpartition(".")
        if "bn" in part and what in ("weight", "bias"):
            full.weights[name][-8:] = 0.0
    sizes = {group: group.channels - 8 for group in groups.values()}
    worth = {group: torch.cat([torch.ones(group.channels - 8), torch.zeros(8)]) for group in sizes}
    made = pruned(full, sizes, worth)
    assert made.network.blocks[1] == made.network.blocks[2] and made.network.blocks[1].ranks == equal.ranks
    assert made.network.shared == network.shared and made.network.blocks[3].out_shape[0] == 16
    images = torch.randn(4, 3, 8, 8, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        torch.testing.assert_close(made.module()(images), full.module()(images), rtol=1e-4, atol=1e-5)
    assert all(float(values.sum()) == pytest.approx(1) for values in importance(full, list(sizes)).values())


@pytest.mark.parametrize("kind", ["anchor_free", "ssdlite"])
def test_what_a_detectors_head_reads_leaves_with_the_tap(kind: str) -> None:
    """Boxes stay whole; channels that do nothing leave body and heads, and the boxes are as they were."""
    tapped, last = (32, 8, 8), (40, 4, 4)
    anchors = 6 if kind == "ssdlite" else 1
    heads = tuple(
        Block(kind, shape, (7 * anchors, *shape[1:]), 3, mid=shape[0], activation="relu6") for shape in (last, tapped)
    )
    network = Network(
        (
            Block("conv", (3, 16, 16), STEM, 3, 1, activation="relu"),
            Block("mbconv", STEM, tapped, 3, 2, mid=64, activation="relu"),
            Block("mbconv", tapped, last, 3, 2, mid=96, activation="relu"),
            *heads,
        ),
        (0, 1, 2, 3, 3), taps=(2, 1), heads=(3, 4),
    )  # fmt: skip
    groups = {group.members: group for group in groups_of(network)}
    own = {((number, "mid"),) for number in ((1, 2) if kind == "ssdlite" else (1, 2, 3, 4))}
    body = {((0, "out"), (1, "in")), ((1, "out"), (2, "in"), (4, "in")), ((2, "out"), (3, "in"))}
    assert groups.keys() == own | body
    full = TrainedModel(network, build(network, seed=1).state_dict(), "detection", ("a", "b", "c"), Preprocessing(16))
    for name in full.weights:
        part, _, what = name.rpartition(".")
        if "bn" in part and what in ("weight", "bias"):
            full.weights[name][-8:] = 0.0
        elif name.endswith("predict.weight"):
            full.weights[name] += 0.1 * torch.randn(
                full.weights[name].shape, generator=torch.Generator().manual_seed(2)
            )
    sizes = {group: group.channels - 8 for group in groups.values()}
    worth = {group: torch.cat([torch.ones(group.channels - 8), torch.zeros(8)]) for group in sizes}
    made = pruned(full, sizes, worth)
    assert [block.in_shape[0] for block in made.network.blocks] == [3, 8, 24, 32, 24]
    assert made.network.blocks[3].out_shape == heads[0].out_shape and made.network.macs < network.macs
    images = torch.randn(2, 3, 16, 16, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        before, after = full.module()(images), made.module()(images)
    assert before[..., :3].std() > 1e-3
    torch.testing.assert_close(after, before, rtol=1e-4, atol=1e-5)
    assert all(float(values.sum()) == pytest.approx(1) for values in importance(full, list(sizes)).values())
