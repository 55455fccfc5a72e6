"""Blocks fitted to whole networks: times that are known are found again, outliers or not."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

import numpy as np
import pytest

from nas.device.calibration import Line
from nas.device.cost import BASES, price
from nas.device.fit.blocks import fit_blocks, solve
from nas.device.formats.help import NETWORK_FORMATS
from nas.device.formats.network_table import NetworkTable
from nas.device.profile import load_device
from nas.errors import UserError
from nas.space.block_table import block_table
from nas.space.search_space import load_space
from tests.shared_data import shared_data

OFFSET_MS = 2.0


@lru_cache(maxsize=1)
def known() -> tuple[NetworkTable, np.ndarray]:
    """600 random networks of fbnet-cifar, and a time for each of their blocks, 0.1 to 1.1 ms."""
    space = load_space("fbnet-cifar")
    rng = np.random.default_rng(5)
    blocks = block_table(space, space.sample_codes(600, rng))
    per_block = 0.1 + rng.random(len(blocks.blocks))
    ms = OFFSET_MS + blocks.total(per_block)
    return NetworkTable(tuple(f"n{i}" for i in range(600)), blocks, ms), ms


def test_networks_that_add_up_are_predicted_as_they_are() -> None:
    table, ms = known()
    found = fit_blocks(table)
    assert found.errors[0].mean < 0.005 < 0.02 < found.errors[0].macs
    assert (found.errors[0].networks, found.errors[0].split) == (600, "network")
    per_block = {t.block: t.median_ms for t in found.times}
    sums = found.offset_ms + table.blocks.total(np.array([per_block[b.key] for b in table.blocks.blocks]))
    assert np.abs(sums / ms - 1).max() < 0.005


def test_slow_outliers_do_not_move_the_fit() -> None:
    """A tenth of the timings is half again as long; squares would answer with 5% too much."""
    table, ms = known()
    slow = np.random.default_rng(0).random(600) < 0.1
    found = fit_blocks(replace(table, latency_ms=np.where(slow, 1.5 * ms, ms)))
    per_block = {t.block: t.median_ms for t in found.times}
    sums = found.offset_ms + table.blocks.total(np.array([per_block[b.key] for b in table.blocks.blocks]))
    assert np.median(np.abs(sums / ms - 1)) < 0.01


def test_a_prediction_does_not_depend_on_the_network_that_it_predicts() -> None:
    table, ms = known()
    changed = ms.copy()
    changed[0] *= 3  # network 0 is listed
    before, after = fit_blocks(table).validation[0], fit_blocks(replace(table, latency_ms=changed)).validation[0]
    assert after.measured_ms == pytest.approx(3 * before.measured_ms)
    assert after.predicted_ms == pytest.approx(before.predicted_ms, rel=1e-6)


def test_two_unknowns_are_solved() -> None:
    features = np.array([[1.0, 0.0], [1.0, 1.0], [1.0, 2.0], [1.0, 4.0]])
    assert solve(features, np.array([2.0, 5.0, 8.0, 14.0])) == pytest.approx([2, 3], rel=1e-2)


def test_a_part_is_never_negative() -> None:
    features = np.array([[1.0, 0.0], [1.0, 1.0], [1.0, 2.0]])
    assert solve(features, np.array([3.0, 2.0, 1.0])).min() >= 0


def test_too_few_networks_are_refused() -> None:
    table, ms = known()
    few = NetworkTable(table.names[:99], table.blocks.of(np.arange(99)), ms[:99])
    with pytest.raises(UserError, match="needs at least 100 networks; got 99"):
        fit_blocks(few)


@pytest.mark.parametrize(
    ("device", "form", "platform", "most"),
    [("titan-x-fbnet", "help-fbnet", "titanx_1", 0.004), ("titan-rtx-ofa", "help-ofa", "titan_rtx_1", 0.03)],
)
def test_a_shipped_profile_prices_its_networks_as_its_errors_say(
    device: str, form: str, platform: str, most: float
) -> None:
    file = {"help-fbnet": "fbnet_help/fbnet_latency_ms.csv", "help-ofa": "ofa_help/ofa_mbv3_latency_ms.csv"}[form]
    networks = NETWORK_FORMATS[form](shared_data(file), platform)
    profile = load_device(device)
    prices = price(profile, networks.blocks, "fp32")
    assert np.mean(np.abs(prices.latency_ms / networks.latency_ms - 1)) < profile.errors[0].mean < most
    assert {BASES[b] for b in prices.latency_basis} == {"fitted"}
    assert profile.about.calibration["fp32"] == Line(slope=1.0, offset_ms=profile.about.calibration["fp32"].offset_ms)


@pytest.mark.parametrize(("device", "space"), [("xeon-6240-fbnet", "fbnet-cifar"), ("v100-ofa", "mobilenet-v3")])
def test_every_network_of_the_space_has_a_price(device: str, space: str) -> None:
    codes = load_space(space).sample_codes(3000, np.random.default_rng(1))
    assert np.isfinite(price(load_device(device), block_table(load_space(space), codes), "fp32").latency_ms).all()
