"""What a device lacks of a space, said in lines that a terminal holds."""

from __future__ import annotations

import re

import pytest

from nas.device.profile import load_device
from nas.search.problem.costs import DevicePricer
from nas.space.search_space import load_space


@pytest.mark.parametrize(
    ("device", "space", "said"),
    [
        ("raspberry-pi-4", "efficientnet", r"raspberry-pi-4: no figure for (one part|\d+ parts), extrapolated\n  such"),
        (
            "cloud-xeon-efficientnet-lite",
            "efficientnet-lite",
            r"[a-z-]+: no figure for \d+ parts; \d+% of networks left out\n  such",
        ),
        ("cloud-xeon-tiny", "tiny", r"$"),
    ],
)
def test_a_gap_is_said_within_80_columns(device: str, space: str, said: str) -> None:
    table = load_space(space)
    note = DevicePricer(load_device(device), table, table.table.classes).gap()
    assert re.match(said, note)
    assert all(len(line) <= 80 for line in note.splitlines())
