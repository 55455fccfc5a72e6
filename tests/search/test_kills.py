"""A folder that a kill or a full disk left is always accepted by the same command, which comes to the same end."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from tests.cli.command import ROOT


def test_a_search_goes_on_from_every_file_operation(tmp_path: Path) -> None:
    """Killed before each one, with a disk that is full from each one on, and with files that may not grow."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.search.kills", str(tmp_path)], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    killed, full, small = map(json.loads, done.stdout.splitlines())
    assert killed["moments"] > 80 and full["moments"] > 50 and small["moments"] == 11
    assert (killed["wrong"], full["wrong"], small["wrong"]) == ({}, {}, {})
