"""The command line, called in this process (quick) or in one of its own (as a user does)."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Said:
    """What a command said, and its exit status."""

    status: int
    out: str
    err: str


def run_in(folder: Path, *arguments: str) -> Said:
    """Runs `nas` with these arguments in this process and a folder, for a fixture of more than one test."""
    from nas.cli import main

    out, err = StringIO(), StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
        patch.chdir(folder)
        patch.setattr(sys, "argv", ["nas", *arguments])
        with pytest.raises(SystemExit) as stopped:
            main()
    return Said(int(stopped.value.code or 0), out.getvalue(), err.getvalue())


def call(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *arguments: str) -> Said:
    """Runs `nas` with these arguments in this process."""
    from nas.cli import main

    capsys.readouterr()
    monkeypatch.setattr(sys, "argv", ["nas", *arguments])
    with pytest.raises(SystemExit) as stopped:
        main()
    said = capsys.readouterr()
    return Said(int(stopped.value.code or 0), said.out, said.err)


def start(folder: Path, *arguments: str, afterwards: str = "pass") -> Said:
    """Runs `nas` in a process of its own, which executes `afterwards` before it ends."""
    script = f"import sys; from nas.cli import main\ntry:\n  main()\nfinally:\n  {afterwards}"
    done = subprocess.run(
        [sys.executable, "-c", script, *arguments], cwd=folder, capture_output=True, text=True, check=False,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    return Said(done.returncode, done.stdout, done.stderr)
