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
