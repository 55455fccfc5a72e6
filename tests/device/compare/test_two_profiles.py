"""Two profiles side by side, by hand."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from nas.device.compare.two_profiles import (
    block_ratios,
    compare,
    differences,
    network_ratios,
    slower,
    space_ratios,
    verdict,
)
from nas.device.profile import load_device
from nas.device.tables.validation import Validation
from nas.space.search_space import load_space
from tests.device.hand_made import STEM, TIMES, hand_made


def test_ratios_are_the_seconds_over_the_firsts() -> None:
    found = compare({"a": 1.0, "b": 2.0, "c": 4.0, "only": 1.0}, {"a": 1.0, "b": 1.0, "c": 6.0, "other": 1.0})
    assert found is not None
    assert (found.n, found.median, found.off, found.most) == (3, 1.0, pytest.approx(1 / 3), 0.5)
    assert found.largest == (("b", 0.5), ("c", 1.5), ("a", 1.0))  # half is farther than one and a half
    assert found.low == pytest.approx(0.55) and found.high == pytest.approx(1.45)
    assert compare({"a": 1.0}, {"b": 1.0}) is None


def test_blocks_and_networks_are_compared_by_name_and_precision(tmp_path: Path) -> None:
    checks = (Validation("net", "fp32", "held-out", 8.0, 8.5), Validation("alone", "fp32", "held-out", 5.0, 5.0))
    one = hand_made(tmp_path / "one", validation=checks)
    dearer = (replace(TIMES[0], median_ms=2.5), *TIMES[1:])
    again = (Validation("net", "fp32", "network", 10.0, 8.5), Validation("net", "fp32", "family", 10.0, 9.0))
    other = hand_made(tmp_path / "other", dearer, validation=again, name="other", threads=2)
    blocks = block_ratios(one, other)["fp32"]
    assert (blocks.n, blocks.most) == (3, pytest.approx(0.25)) and blocks.largest[0] == (STEM.key, 1.25)
    networks = network_ratios(one, other)["fp32"]
    assert (networks.n, networks.off) == (1, pytest.approx(0.25))
    assert differences(one, other) == [("threads", "-", "2")]


def test_profiles_with_nothing_in_common_say_so(tmp_path: Path) -> None:
    one, other = hand_made(tmp_path / "one"), load_device("pixel-1")
    assert (block_ratios(one, other), network_ratios(one, other)) == ({}, {})
    assert verdict({}, 0.03, "networks") == (None, "no networks in common: whether they agree is not known")


def test_the_verdict_is_of_the_mean_in_every_precision() -> None:
    near, far = compare({"a": 100.0, "b": 100.0}, {"a": 102.0, "b": 97.0}), compare({"a": 100.0}, {"a": 104.0})
    assert near is not None and far is not None
    agree, line = verdict({"fp32": near}, 0.03, "networks")
    assert agree is True and line == "agree within 3% on 2 networks: fp32 2.5% on average, at most 3.0%"
    agree, line = verdict({"fp32": near, "int8": far}, 0.03, "networks")
    assert agree is False
    assert line == "do NOT agree within 3% on networks: int8 4.0% on average over 1, worst +4.0% (a)"


def test_a_profile_predicts_a_space_as_its_twin_of_double_times() -> None:
    one, space = load_device("pixel-1"), load_space("proxylessnas")
    table = tuple(replace(t, median_ms=2 * t.median_ms) for t in one.lookup_table)
    even = space_ratios(one, replace(one, lookup_table=table), space, 50, 1, {"fp32": 2.0})["fp32"]
    assert even.ratios is not None and even.ratios.off == pytest.approx(0)
    found = space_ratios(one, replace(one, lookup_table=table), space, 50, seed=1)["fp32"]
    assert found.ratios is not None
    assert (found.ratios.n, found.unpriced, found.spearman) == (50, 0, pytest.approx(1))
    assert (found.ratios.low, found.ratios.high) == (pytest.approx(2), pytest.approx(2))


def test_networks_without_a_price_are_passed_over_and_counted() -> None:
    """The Note10's table has many resolutions; without its blocks of one, networks of that one have no price."""
    one, space = load_device("samsung-note10"), load_space("mobilenet-v3")
    table = tuple(t for t in one.lookup_table if not t.block.startswith("conv-3x160x160"))
    found = space_ratios(one, replace(one, lookup_table=table), space, 50, seed=1)["fp32"]
    assert found.ratios is not None and found.ratios.n == 50 and found.unpriced > 0
    none = space_ratios(one, replace(one, lookup_table=one.lookup_table[:1]), space, 50, seed=1)["fp32"]
    assert (none.ratios, none.spearman) == (None, None) and none.unpriced >= 50


def test_how_much_slower_the_machine_was_is_known_by_a_shared_reference_alone(tmp_path: Path) -> None:
    one = hand_made(tmp_path / "one", reference="net-a", reference_ms={"fp32": 4.0, "int8": 2.0})
    other = hand_made(tmp_path / "other", name="other", reference="net-a", reference_ms={"fp32": 5.0})
    assert slower(one, other) == {"fp32": 1.25}
    assert slower(one, hand_made(tmp_path / "alone", name="alone", reference="net-b", reference_ms={"fp32": 5.0})) == {}
    assert slower(load_device("pixel-1"), load_device("pixel-1")) == {}
