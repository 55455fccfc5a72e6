"""Keys of blocks: equal for blocks that cost the same, and for those alone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from nas.device.profile import load_device
from nas.device.tables.blocks import KEY
from nas.space.block import Block
from nas.space.reference import REFERENCES, reference_network
from nas.space.search_space import load_space

SQUEEZED = Block("mbconv", (8, 16, 16), (8, 16, 16), 3, 1, mid=16, se=4, activation="relu", gate="hsigmoid")


@pytest.mark.parametrize("activation", ["relu", "relu6", "hswish", "swish"])
def test_blocks_of_two_gates_have_two_keys_that_a_profile_can_hold(activation: str) -> None:
    blocks = [replace(SQUEEZED, activation=activation, gate=gate) for gate in ("sigmoid", "hsigmoid")]
    first, second = (block.key for block in blocks)
    assert first != second and KEY.fullmatch(first) and KEY.fullmatch(second)
    assert replace(blocks[0], gate="").key == first  # what a block without a gate's name has


def test_a_gate_without_squeeze_excite_is_not_in_the_key() -> None:
    assert replace(SQUEEZED, se=0, gate="sigmoid").key == replace(SQUEEZED, se=0).key


@pytest.mark.parametrize("name", ["mobilenet-v3", "efficientnet"])
def test_the_keys_of_shipped_profiles_are_those_of_their_spaces(name: str) -> None:
    """A profile is measured at one resolution; every block with squeeze-excite in it has its figure."""
    space, measured = load_space(name), {key for key, _ in load_device(f"cloud-xeon-{name}").times}
    codes = space.sample_codes(400, np.random.default_rng(0))
    networks = [space.network(space.decode(code)) for code in codes]
    keys = {b.key for network in networks if network.blocks[0].key in measured for b in network.blocks if b.se}
    assert len(keys) > 30 and keys <= measured


@pytest.mark.parametrize("name", REFERENCES)
def test_published_networks_have_the_usual_gates(name: str) -> None:
    assert not [b.key for b in reference_network(name, resolution=64).blocks if "gate" in b.key]


def test_a_weight_of_low_rank_is_counted_as_its_factors() -> None:
    """By hand: 1x1 from 24 to 96 of rank 16 and back of rank 8; 3x3 with stride 2 from 32 to 64 of ranks 8 and 16."""
    shape = (24, 8, 8)
    block = Block("mbconv", shape, shape, 3, 1, mid=96, activation="relu", ranks=((16,), (8,)))
    factors = [24 * 16, 16 * 96, 9 * 96, 96 * 8, 8 * 24]
    assert [layer.weights for layer in block.layers if layer.op == "conv"] == factors
    assert sum(layer.params for layer in block.layers) == sum(factors) + 2 * (96 + 96 + 24)
    assert sum(layer.macs for layer in block.layers) == 64 * sum(factors)
    assert [layer.held for layer in block.layers if layer.op == "conv"] == [0] + 4 * [24 * 64]
    tucker = Block("conv", (32, 8, 8), (64, 4, 4), 3, 2, activation="relu", ranks=((8, 16),))
    assert [layer.macs for layer in tucker.layers[:3]] == [64 * 32 * 8, 16 * 9 * 8 * 16, 16 * 16 * 64]
    assert sum(layer.params for layer in tucker.layers) == 32 * 8 + 9 * 8 * 16 + 16 * 64 + 2 * 64
    linear = Block("pool_linear", shape, (10, 1, 1), ranks=((4,),))
    assert [layer.params for layer in linear.layers] == [0, 24 * 4 + 4, 4 * 10 + 10]


def test_a_block_of_low_rank_has_a_key_of_its_own() -> None:
    shape = (24, 8, 8)
    keys = [
        Block("mbconv", shape, shape, 3, 1, mid=96, activation="relu", ranks=ranks).key
        for ranks in ((), ((16,),), ((), (16,)), ((16,), (16,)))
    ]
    assert keys[1] == f"{keys[0]}-rank_16" and keys[2] == f"{keys[0]}-rank_0_16" and len(set(keys)) == 4
    assert Block("conv", shape, shape, 3, 1, ranks=((8, 16),)).key == "conv-24x8x8-24x8x8-k3-s1-rank_8x16"


@pytest.mark.parametrize(
    "block",
    [
        Block("mbconv", (8, 4, 4), (8, 4, 4), 3, 1, mid=16, ranks=((2, 2),)),
        Block("conv", (8, 4, 4), (8, 4, 4), 3, 1, ranks=((2,),)),
        Block("shuffle", (8, 4, 4), (8, 4, 4), 3, 1, mid=16, groups=2, ranks=((2,),)),
        Block("linear", (8, 1, 1), (4, 1, 1), ranks=((2, 2),)),
        Block("ds", (8, 4, 4), (8, 4, 4), 3, 1, ranks=((0,),)),
    ],
)
def test_ranks_that_a_weight_cannot_have_are_refused(block: Block) -> None:
    with pytest.raises(ValueError, match="cannot have the ranks"):
        list(block.layers)
