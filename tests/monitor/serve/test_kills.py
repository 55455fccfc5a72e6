"""kill -9 at every moment of serving and switching loses nothing, and always one whole version is served."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from tests.cli.command import ROOT


def test_serving_and_switching_go_on_from_every_file_operation(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.monitor.serve.kills", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["moments"] >= 50 and found["wrong"] == {}
