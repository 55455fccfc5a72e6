"""Ctrl-C in a terminal: the search says how it goes on. And a terminal's bar."""

from __future__ import annotations

import os
import pty
import re
import select
import signal
import sys
import time
from pathlib import Path

import pytest

from nas.run import load_run
from tests.cli.command import ROOT, call

SEARCH = (
    "search --device raspberry-pi-4 --max-latency 1ms --trials 500 --epochs 1 --data-share 0.1 --no-test --out run "
    "--sampler random"
)


ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def in_terminal(folder: Path, *arguments: str, until: bytes) -> tuple[int, str]:
    """Runs nas in a terminal of its own and presses Ctrl-C when it has shown `until`; the status and what it showed."""
    child, terminal = pty.fork()
    if child == 0:
        os.chdir(folder)
        os.environ |= {"PYTHONPATH": str(ROOT), "COLUMNS": "80", "TERM": "xterm"}
        signal.signal(signal.SIGINT, signal.default_int_handler)
        os.execv(sys.executable, [sys.executable, "-m", "nas", *arguments])
    shown, pressed, end = b"", False, time.monotonic() + 600  # only against a hang
    while time.monotonic() < end:
        if not select.select([terminal], [], [], 1.0)[0]:
            continue
        try:
            part = os.read(terminal, 65536)
        except OSError:  # the terminal's other side is closed
            break
        shown += part
        if not pressed and re.search(until, shown):
            os.write(terminal, b"\x03")
            pressed = True
        if not part:
            break
    else:
        os.kill(child, signal.SIGKILL)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    os.close(terminal)
    return status, shown.decode()


@pytest.fixture(scope="module")
def interrupted(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, int, str]:
    folder = tmp_path_factory.mktemp("terminal")
    return folder, *in_terminal(folder, *SEARCH.split(), until=rb" [1-9]/500")


def test_ctrl_c_in_a_terminal_says_that_resume_goes_on(
    interrupted: tuple[Path, int, str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, status, shown = interrupted
    assert status == 130, shown
    last = ESCAPES.sub("", shown).strip().splitlines()[-1]
    assert re.fullmatch(r"nas: stopped after \d+ of 500 trials; --resume goes on \(nas search --resume run\)", last)
    assert "Traceback" not in shown
    done = len(load_run(folder / "run").trials)
    monkeypatch.chdir(folder)
    said = call(capsys, monkeypatch, "search", "--resume", "run", "--trials", str(done + 1), "--no-test")
    assert said.status == 0, said.err
    assert len(load_run(folder / "run").trials) == done + 1


def test_the_bar_tells_time_left_from_time_gone(interrupted: tuple[Path, int, str]) -> None:
    shown = ESCAPES.sub("", interrupted[2])
    assert re.search(r" \d+/500 front \d+, hypervolume 0\.\d{3}, \d+:\d\d left, \d+:\d\d elapsed", shown), shown
    assert max(len(line.rstrip()) for line in re.split(r"[\r\n]+", shown) if "hypervolume" in line) <= 80
