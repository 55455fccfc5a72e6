"""The blocks that each position of a network may hold."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from nas.space.block_table import blocks_at
from nas.space.search_space import load_space, parse_space


@pytest.mark.parametrize("name", ["nas-bench-macro", "tiny", "fbnet-cifar", "mobilenet-v3", "efficientnetv2"])
def test_every_block_of_a_random_network_is_one_of_its_positions(name: str) -> None:
    space = load_space(name)
    table = blocks_at(space, 7)
    rng = np.random.default_rng(0)
    for _ in range(20):
        network = space.network(space.sample(rng), 7)
        seen: Counter[int] = Counter()
        for stage, block in zip(network.stages, network.blocks, strict=True):
            assert block in table[stage, seen[stage]]
            seen[stage] += 1


def test_where_the_first_block_may_be_an_identity_a_later_one_is_the_first_that_is_there() -> None:
    text = """
name = "small"
title = "Small"
source = "the tests"
resolution = 8
stage = [
  { block = "conv", channels = 8 },
  { block = "ops", op = ["skip", "a"], depth = 2, channels = 8 },
  { block = "ops", op = ["skip", "a"], depth = 2, channels = 16, stride = 2 },
  { block = "pool_linear" },
]
[ops]
skip = { block = "skip" }
a = { block = "mbconv" }
"""
    table = blocks_at(parse_space(text, Path("small.toml")), 10, 8)
    kinds = {position: [block.kind for block in blocks] for position, blocks in table.items()}
    assert kinds == {
        (0, 0): ["conv"], (1, 0): ["mbconv"], (1, 1): ["mbconv"],
        (2, 0): ["conv", "mbconv"], (2, 1): ["mbconv"], (3, 0): ["pool_linear"],
    }  # fmt: skip
