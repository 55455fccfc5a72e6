"""A tiny bundle, the agent run on it, and a clock for the agent."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

from nas.profiling.agent import energy, meters
from nas.profiling.agent.command import main


def refusal(capsys, *arguments: str) -> str:
    """The one line with which it refuses."""
    status = main(arguments)
    said = capsys.readouterr().err.splitlines()
    assert status == 2 and said[-1].startswith("agent: ") and "Traceback" not in "".join(said)
    return said[-1]


QUICK = {"runs": 2, "most_runs": 2, "visit_s": 0.0, "least_rounds": 1, "rounds": 2, "network_factor": 2, "within": 0.0}


ITEMS = 9  # two blocks and a network in three precisions


def change(folder: Path, **values) -> None:
    """Changes plan.json."""
    path = folder / "plan.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def keep_fp32(folder: Path) -> None:
    items = json.loads((folder / "plan.json").read_text())["items"]
    change(folder, items=[item for item in items if item["precision"] == "fp32"])


def command(bundle: Path, *arguments: str, python: str = sys.executable) -> list[str]:
    return [python, "-I", str(bundle / "agent.pyz"), "--out", str(bundle / "results.json"), *arguments]


def run(bundle: Path, *arguments: str, **kwargs) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(bundle, *arguments), capture_output=True, text=True, timeout=120, **kwargs)


def journal_of(bundle: Path) -> Path:
    return bundle / "measurements.jsonl"


SETTING = {"agent": "1", "plan": "abc", "threads": 1}


class Clock:
    """Stands in for the agent's `time`: it passes only when someone sleeps, and `each` microseconds at every look."""

    def __init__(self, each=0.0):
        self.now, self.each = 1000.0, each

    def monotonic(self):
        self.now += self.each
        return self.now

    def time(self):
        return 1.7e9 + self.now

    def sleep(self, seconds):
        self.now += seconds

    def localtime(self):
        return SimpleNamespace(tm_gmtoff=3600)


def set_time(monkeypatch, clock) -> None:
    """Puts `clock` in the place of the agent's `time` where it measures energy."""
    for module in (meters, energy):
        monkeypatch.setattr(module, "time", clock)
