"""A folder that a kill or a full disk left is always accepted by the same command, which comes to the same end."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.kills import moments_of, run_kills


def test_a_search_goes_on_from_every_file_operation(tmp_path: Path, pytestconfig: pytest.Config) -> None:
    """Killed before it, with a disk that is full from it on, and with files that may not grow."""
    killed, full, small = run_kills("tests.search.kills", tmp_path, moments_of(pytestconfig, 25))
    assert killed["operations"] > 80 and full["operations"] > 50 and small["moments"] == 11
    assert killed["moments"] >= 25 and full["moments"] >= 25
    assert (killed["wrong"], full["wrong"], small["wrong"]) == ({}, {}, {})


def test_a_search_that_confirms_goes_on_from_every_file_operation(tmp_path: Path, pytestconfig: pytest.Config) -> None:
    """Trainings with other seeds are lost as little as first ones."""
    (killed,) = run_kills("tests.search.kills", tmp_path, moments_of(pytestconfig, 25), "confirm")
    assert killed["operations"] > 100 and killed["moments"] >= 25 and killed["wrong"] == {}
