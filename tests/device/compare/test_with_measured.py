"""A profile against measured networks: what is priced, what is not, and what was fitted to."""

from __future__ import annotations

from pathlib import Path

import pytest

from nas.device.compare.with_measured import Measured, check
from nas.device.profile import load_device
from nas.device.tables.validation import Validation
from nas.space.network import Network
from nas.space.reference import reference_network
from tests.device.hand_made import BODY, HEAD, NETWORK, STEM, hand_made

SHORT = Network((STEM, BODY, HEAD))  # 2 + 3 + 0.5 = 5.5 ms, 10 + 20 + 1 = 31 mJ


def test_predictions_stand_beside_what_was_measured(tmp_path: Path) -> None:
    found = check(
        hand_made(tmp_path / "p"),
        [Measured("long", NETWORK, "fp32", 10.0, 50.0), Measured("short", SHORT, "fp32", 5.0)],
    )
    assert [(p.row.network, p.row.predicted_ms, p.row.predicted_mj) for p in found.priced] == [
        ("long", pytest.approx(8.5), pytest.approx(51)), ("short", pytest.approx(5.5), None)
    ]  # fmt: skip
    assert found.agreement["fp32", "latency"].mean == pytest.approx((0.15 + 0.10) / 2)
    assert found.agreement["fp32", "energy"].networks == 1
    assert (found.unpriced, found.in_fit) == ((), 0)


def test_what_has_no_price_is_named_with_what_it_lacks(tmp_path: Path) -> None:
    foreign = reference_network("mobilenet_v2", 96)
    found = check(
        hand_made(tmp_path / "p"),
        [Measured("ours", NETWORK, "fp32", 9.0), Measured("ours", NETWORK, "int8", 9.0),
         Measured("foreign", foreign, "fp32", 9.0), Measured("cut", NETWORK, "fp32", 9.0, unread=("Mystery",))],
    )  # fmt: skip
    assert [p.row.network for p in found.priced] == ["ours"]
    lacking = {(u.network, u.precision): u.lacking for u in found.unpriced}
    assert lacking["ours", "int8"] == "int8 (the profile has fp32)"
    assert lacking["foreign", "fp32"].startswith("conv-3x96x96-") and "more" in lacking["foreign", "fp32"]
    assert lacking["cut", "fp32"] == "Mystery"


def test_networks_that_a_profile_was_fitted_to_are_counted() -> None:
    network = reference_network("mobilenet_v2", 224, 1001, 1.0)
    names = ("mobilenet_v2-1@224", "mobilenet_v2-1@999")
    found = check(load_device("raspberry-pi-4"), [Measured(name, network, "fp32", 70.0) for name in names])
    assert (len(found.priced), found.in_fit) == (2, 1)


def test_networks_that_only_checked_a_profile_are_held_out(tmp_path: Path) -> None:
    profile = hand_made(tmp_path / "p", validation=(Validation("net", "fp32", "held-out", 9.0, 8.5),))
    assert check(profile, [Measured("net", NETWORK, "fp32", 9.0)]).in_fit == 0
