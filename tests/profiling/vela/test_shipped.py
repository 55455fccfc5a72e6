"""The estimates that ship are what their command makes, and closer than the MACs."""

from __future__ import annotations

import csv
import shlex

import pytest

from nas.catalog import names
from nas.device.profile import load_device
from nas.space.block_table import all_blocks
from nas.space.search_space import load_space

SHIPPED = ("ethos-u55-128", "ethos-u65-256", "ethos-u85-256")


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_estimate_has_the_blocks_of_its_command_and_is_closer_than_the_macs(name: str) -> None:
    profile, folder = load_device(name), names("device_profiles")[name]
    words = shlex.split(str(profile.about.command))
    given = dict(zip(words[3::2], words[4::2], strict=True))
    assert words[:3] == ["nas", "profile", "vela"] and given["--config"] == name
    spaces = [load_space(space) for space in given["--space"].split(",")]
    assert {t.block for t in profile.lookup_table} == {b.key for space in spaces for b in all_blocks(space)}
    with (folder / "validation.csv").open() as opened:
        rows = list(csv.DictReader(opened))
    assert len(rows) == len(spaces) * int(given["--networks"]) >= 20 * len(spaces)
    (error,) = profile.errors
    assert error.mean < 0.02 and error.macs > 5 * error.mean and error.networks == len(rows)
    assert profile.about.sram_kib == int(given["--sram"])
    assert profile.basis == "compiler estimate" and "no board" in profile.about.board
