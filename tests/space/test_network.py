"""A network's backbone, heads and taps, and what waits in memory for a head."""

from __future__ import annotations

import pytest

from nas.space.block import Block
from nas.space.layer import Layer
from nas.space.network import Network, imported
from nas.space.reference import reference_network
from nas.space.search_space import load_space

IMAGE, LARGE, SMALL = (3, 8, 8), (4, 8, 8), (8, 4, 4)
BACKBONE = (Block("conv", IMAGE, LARGE, 3), Block("conv", LARGE, SMALL, 3, 2), Block("conv", SMALL, SMALL, 1))


def test_the_classifier_is_the_first_head_and_reads_the_end_of_the_backbone() -> None:
    network = Network((*BACKBONE, Block("pool_linear", SMALL, (10, 1, 1))))
    assert network.backbone == BACKBONE
    assert (network.taps, network.heads) == ((2,), (3,))


@pytest.mark.parametrize("name", ["mobilenet_v2", "mobilenet_v3_large"])
def test_a_known_networks_head_begins_where_it_pools(name: str) -> None:
    network = reference_network(name, resolution=32)
    assert [b.kind for b in network.blocks[network.heads[0] :]] == (
        ["pool_linear"] if name == "mobilenet_v2" else ["pool", "conv", "linear"]
    )


def test_a_candidates_network_has_its_classifier_as_head() -> None:
    import numpy as np

    space = load_space("tiny")
    network = space.network(space.sample(np.random.default_rng(0)))
    assert network.heads == (len(network.blocks) - 1,)


def test_a_network_read_from_a_file_has_no_head() -> None:
    network = imported([Layer("conv", (3, 8, 8), (8, 8, 8)), Layer("global_pool", (8, 8, 8), (8, 1, 1))])
    assert network.heads == network.taps == () and network.backbone == network.blocks


def test_params_and_macs_are_those_of_backbone_and_heads() -> None:
    """Two heads, as a detector has: 1x1 convolutions of two sizes of the image."""
    heads = (Block("conv", LARGE, (5, 8, 8), norm=False), Block("conv", SMALL, (5, 4, 4), norm=False))
    network = Network((*BACKBONE, *heads), taps=(0, 2), heads=(3, 4))
    assert network.backbone == BACKBONE
    assert network.params == Network(BACKBONE).params + (4 * 5 + 5) + (8 * 5 + 5)
    assert network.macs == Network(BACKBONE).macs + 4 * 5 * 64 + 8 * 5 * 16


def test_what_a_head_reads_is_held_from_its_tap_on() -> None:
    # with nothing held, the second block is the largest: it reads 4 x 8 x 8 and writes 8 x 4 x 4
    head = Block("conv", LARGE, (1, 8, 8), norm=False)
    network = Network((*BACKBONE, head), taps=(0,), heads=(3,))
    # the third block reads and writes 8 x 4 x 4 while the 4 x 8 x 8 of the first wait: as much as the second, whose
    # input they are: 256 + 128 and 128 + 128 + 256
    assert network.peak_memory_mb("fp32") == (128 + 128 + 256) * 4 / 1e6
    assert Network(BACKBONE).peak_memory_mb("fp32") == (3 * 64 + 256) * 4 / 1e6


def test_a_tap_is_held_while_its_own_block_goes_on() -> None:
    """An activation after the convolution that reads the tap: its input and output are one, beside the tap's."""
    second = Block("conv", LARGE, (64, 8, 8), 3, activation="relu")
    last = Block("conv", (64, 8, 8), SMALL, 3, 2)
    network = Network((BACKBONE[0], second, last, Block("conv", LARGE, LARGE)), taps=(0,), heads=(3,))
    # convolution: 256 read, 4,096 written; activation: 4,096 and the 256 that wait; last: 4,096 + 128 + 256
    assert network.peak_memory_mb("int8") == (4096 + 128 + 256) / 1e6


@pytest.mark.parametrize(("taps", "heads"), [((1,), (3,)), ((3,), (3,)), ((0, 2), (3,)), ((-1,), (3,))])
def test_a_head_must_read_what_its_tap_gives(taps: tuple[int, ...], heads: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="head"):
        Network((*BACKBONE, Block("conv", LARGE, LARGE)), taps=taps, heads=heads)


def _repeated(shared: tuple[int, ...] = ()) -> Network:
    """A stem, three equal inverted residuals and a classifier."""
    shape = (8, 4, 4)
    equal = Block("mbconv", shape, shape, 3, 1, mid=16, activation="relu")
    ends = Block("conv", (3, 4, 4), shape, 3, 1, activation="relu"), Block("pool_linear", shape, (10, 1, 1))
    return Network((ends[0], equal, equal, equal, ends[1]), (0, 1, 1, 1, 2), shared=shared)


def test_shared_weights_are_counted_once_and_compute_each_time() -> None:
    """By hand: a block has 8 16 + 9 16 + 16 8 = 400 weights and norms of 16, 16 and 8 channels."""
    plain, shared = _repeated(), _repeated((0, 1, 1, 1, 4))
    stem, block, head = 3 * 9 * 8 + 2 * 8, 400 + 2 * (16 + 16 + 8), 8 * 10 + 10
    assert plain.params == stem + 3 * block + head and shared.params == stem + block + head
    assert plain.macs == shared.macs == 16 * (3 * 9 * 8 + 3 * 400) + 80
    assert shared.size_mb("int8") == pytest.approx((216 + 4 * 8 + 400 + 4 * (16 + 16 + 8) + 80 + 4 * 10) / 1e6)
    assert shared.peak_memory_mb("fp32") == plain.peak_memory_mb("fp32")
    assert shared != plain and _repeated((0, 1, 2, 1, 4)).params == stem + 2 * block + head


@pytest.mark.parametrize(
    ("shared", "message"),
    [
        ((0, 1, 1), "each of 5 blocks has weights; got those of 3"),
        ((0, 2, 2, 3, 4), "block 1 must share the weights of an earlier one with its own; got 2"),
        ((0, 1, 1, 2, 4), "block 3 must share the weights of an earlier one with its own; got 2"),
        ((0, 0, 2, 3, 4), "block 1 must be equal to block 0"),
        ((0, -1, 2, 3, 4), "got -1"),
    ],
)
def test_a_block_shares_only_with_an_equal_one_before_it(shared: tuple[int, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        _repeated(shared)
