"""Blocks slower in int8, and what tells them from the rest."""

from __future__ import annotations

from pathlib import Path

import pytest

from nas.device.compare.slower_blocks import in_common, slower_blocks, traits
from nas.device.tables.blocks import BlockTime
from tests.device.hand_made import TIMES, hand_made

KEYS = [
    "mbconv-24x28x28-24x28x28-k3-s1-m72-se24-hswish", "mbconv-24x28x28-24x28x28-k5-s1-m72-se24-hswish",
    "mbconv-24x28x28-40x14x14-k5-s2-m72-se24-hswish", "mbconv-24x28x28-24x28x28-k3-s1-m72-se24-relu",
    "mbconv-24x28x28-24x28x28-k3-s1-m72-hswish", "mbconv-24x28x28-24x28x28-k5-s1-m72-relu",
    "conv-3x32x32-16x16x16-k3-s2-hswish", "pool_linear-960x7x7-1000x1x1",
]  # fmt: skip


def test_traits_are_read_from_the_key() -> None:
    assert traits(KEYS[2]) == {"mbconv", "kernel 5", "stride 2", "squeeze-excite", "hswish"}
    assert traits("shuffle-16x8x8-16x8x8-k3-s1-m16-g2-relu") == {"shuffle", "kernel 3", "stride 1", "groups", "relu"}
    assert traits(KEYS[-1]) == {"pool_linear"}


def test_two_traits_together_are_found_where_neither_alone_tells() -> None:
    found = in_common(KEYS[:3], KEYS)
    assert found is not None
    assert (found.words, found.slower, found.every) == ("hswish with squeeze-excite", 3, 3)


def test_one_trait_is_enough_where_it_tells_all() -> None:
    found = in_common([KEYS[0], KEYS[2], KEYS[4], KEYS[1], KEYS[6]], KEYS)
    assert found is not None and found.words == "hswish"


def test_nothing_is_claimed_of_few_blocks_or_of_all() -> None:
    assert in_common(KEYS[:2], KEYS) is None
    assert in_common(KEYS[:3], KEYS[:3]) is None


def test_slower_blocks_come_worst_first(tmp_path: Path) -> None:
    ours = {"conv-3x32x32-8x16x16-k3-s2-relu": 1.5, "mbconv-8x16x16-8x16x16-k3-s1-m16-relu": 9.0}
    int8 = [BlockTime(t.block, "int8", ours.get(t.block, 2.0), None, 9, None) for t in TIMES]
    profile = hand_made(tmp_path / "p", (*TIMES, *int8), precisions=["fp32", "int8"])
    found = slower_blocks(profile)
    assert found is not None and found.compared == 3
    assert [(b.than_ms, b.ms) for b in found.blocks] == [(0.5, 2.0), (3.0, 9.0)]
    assert [b.ratio for b in found.blocks] == [pytest.approx(4), pytest.approx(3)]
    assert slower_blocks(hand_made(tmp_path / "q")) is None
