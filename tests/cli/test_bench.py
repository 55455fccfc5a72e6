"""nas bench search, as a user sees it."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pytest

from tests.cli.command import Said, call
from tests.search.bench.test_run import search_here, write_table


def test_the_command_prints_a_table_and_draws_curves(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    search_here(monkeypatch)

    def nas(arguments: str) -> Said:
        return call(capsys, monkeypatch, *arguments.split())

    write_table(tmp_path / "networks.csv")
    command = "bench search --table networks.csv --samplers random,pareto --seeds 2 --evaluations 16 --costs latency_ms"
    said = nas(command)
    assert said.status == 0 and all(len(line) <= 80 for line in said.out.splitlines())
    assert re.search(r"pareto +[0-9.]+ ±[0-9.]+", said.out) and "bench-networks/curves.png" in said.out
    assert (tmp_path / "bench-networks/curves.png").read_bytes().startswith(b"\x89PNG")
    found = json.loads(nas(command + " --json").out)
    assert found["share"]["pareto"]["16"]["mean"] > found["share"]["random"]["16"]["mean"]
    assert "did you mean 'pareto'" in nas("bench search --table networks.csv --samplers paretto").err
    assert nas("bench search --table nothing.csv").status == 2
    said = nas("bench search --samplers random --seeds 1 --evaluations 8 --json")  # the table that is shipped
    assert json.loads(said.out)["share"]["random"]["8"]["mean"] > 0 and Path("bench-digits/results.csv").exists()
    assert "must name one of pareto" in nas("bench search --table networks.csv --samplers ,").err
    assert "networks.csv exists and is not a folder" in nas("bench search --table networks.csv --out networks.csv").err
    monkeypatch.setattr("sys.path", [p for p in sys.path if p])
    (tmp_path / "mine.py").write_text("from optuna.samplers import RandomSampler\nclass Mine(RandomSampler): ...\n")
    said = nas("bench search --table networks.csv --samplers mine:Mine --seeds 1 --evaluations 4 --out mine")
    assert said.status == 0 and "Mine" in said.out
