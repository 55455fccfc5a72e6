"""A folder that a kill or a full disk left is always accepted by the same command, which comes to the same end."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.cli.command import ROOT


def counted(folder: Path, *words: str) -> list[dict[str, Any]]:
    """What `tests.search.kills` counted."""
    command = [sys.executable, "-m", "tests.search.kills", str(folder), *words]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_a_search_goes_on_from_every_file_operation(tmp_path: Path) -> None:
    """Killed before each one, with a disk that is full from each one on, and with files that may not grow."""
    killed, full, small = counted(tmp_path)
    assert killed["moments"] > 80 and full["moments"] > 50 and small["moments"] == 11
    assert (killed["wrong"], full["wrong"], small["wrong"]) == ({}, {}, {})


def test_a_search_that_confirms_goes_on_from_every_file_operation(tmp_path: Path) -> None:
    """Trainings with other seeds are lost as little as first ones."""
    (killed,) = counted(tmp_path, "confirm")
    assert killed["moments"] > 100 and killed["wrong"] == {}
