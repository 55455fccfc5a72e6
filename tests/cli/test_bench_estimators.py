"""nas bench estimators, as a user sees it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.cli.command import Said, call
from tests.estimate.bench.test_comparison import SMALL


def test_the_command_prints_a_table_and_draws_tau_against_seconds(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("NAS_HOME", str(tmp_path / "home"))

    def nas(arguments: str) -> Said:
        return call(capsys, monkeypatch, *arguments.split())

    Path("small.toml").write_text(SMALL)
    rows = [f"{d}{k}{e},{0.5 + d / 10 + e / 30 + k / 99:.4f}" for d in range(3) for k in range(2) for e in range(3)]
    Path("known.csv").write_text("\n".join(["arch,accuracy", *rows]) + "\n")
    command = "bench estimators --table known.csv --space small.toml --networks 12 --initializations 1"
    scores = " --dataset digits --estimators depth+swap+trainability,depth+jacobian-covariance+swap"
    said = nas(command + scores)
    assert said.status == 0 and all(len(line) <= 80 for line in said.out.splitlines()), said.err
    assert re.search(r"depth\+swap\+trainability +-?0\.\d\d ±0\.\d\d +", said.out)
    assert re.search(
        r"\n depth\+ .*\n +jacobian-covariance\+swap +\n", said.out
    )  # a name that would take too much room
    assert "12 networks" in said.out and re.search(r"\n macs +[01]\.\d\d", said.out)
    assert Path("bench-known/tau.png").read_bytes().startswith(b"\x89PNG")
    assert Path("bench-known/agreement.csv").read_text().startswith("estimator,networks,tau,low,high,")
    found = json.loads(nas(command + scores + " --json").out)
    assert found["best_baseline"] in ("depth", "macs", "params", "operations", "stage-sum", "layers")
    assert [e["baseline"] for e in found["estimators"]] == [False] * 2 + [True] * 6

    assert "swap looks at images" in nas(command + " --estimators swap --out fresh").err
    assert "did you mean 'swap'" in nas(command + " --estimators swop --out fresh").err
    assert "must be some of" in nas(command + " --estimators , --out fresh").err
    assert nas(command.replace("known.csv", "none.csv") + scores + " --out fresh").status == 2
    assert "must have as many networks" in nas(command + scores + " --skip 17 --out fresh").err
    assert not Path("fresh").exists()
    assert nas(command + " --estimators depth --out known.csv").err.count("\n") == 1


def test_tables_without_a_space_and_self_checks(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("NAS_HOME", str(tmp_path / "home"))

    def nas(arguments: str) -> Said:
        return call(capsys, monkeypatch, "bench", "estimators", *arguments.split())

    rows = [
        f"{m},{w},{0.3 + m / 90 + (w * 7 % 5) / 50:.4f},{0.5 + m / 60 + w / 40:.4f}"
        for m in range(1, 8)
        for w in range(5)
    ]
    Path("known.csv").write_text("\n".join(["macs,width,acc_1,top1", *rows]) + "\n")
    said = nas(
        "--table known.csv --accuracy top1 --features macs,w* --curve acc_* --first 1 --estimators curve:9,combined:9"
    )
    assert said.status == 0 and all(len(line) <= 80 for line in said.out.splitlines()), said.err
    assert re.search(r"combined:9 +0\.\d\d ±0\.\d\d ", said.out) and re.search(r"\n acc_1 +", said.out)
    assert "35 networks; what learns: means over 20 draws" in said.out
    assert Path("bench-known/agreement.csv").read_text().startswith("estimator,networks,tau,")
    found = json.loads(nas("--table known.csv --accuracy top1 --features macs --estimators combined:9 --json").out)
    assert [e["name"] for e in found["estimators"]] == ["combined:9", "macs"]

    Path("small.toml").write_text(SMALL)
    check = "--self-check --space small.toml --dataset digits --networks 3 --estimators proxy,swap"
    said = nas(f"{check} --epochs 1 --data-share 0.1 --initializations 1")
    assert said.status == 0 and all(len(line) <= 80 for line in said.out.splitlines()), said.err
    assert re.search(r"\n swap +-?[01]\.\d\d ±", said.out) and "3 random networks of small" in said.out
    assert Path("self-check-small/self_check.csv").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("", "give --table with networks of known accuracy, or --self-check"),
        ("--self-check", "--self-check needs --space and --dataset"),
        ("--self-check --space tiny --dataset digits --table t.csv", "and no --table"),
        ("--table t.csv", "give --space, if the networks are of one, or --features"),
        ("--table t.csv --space tiny --features a", "--features and --curve are for a table without a space"),
        ("--table t.csv --features a --dataset digits", "--dataset is for networks of a search space"),
        ("--table t.csv --features a --accuracy b,c", "--accuracy must name one column"),
        ("--table t.csv --features a", "t.csv"),
        ("--self-check --space tiny --dataset digits --data-share 2", "data_share must lie above 0 and at most at 1"),
    ],
)
def test_options_that_do_not_go_together_are_one_line(
    arguments: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    said = call(capsys, monkeypatch, "bench", "estimators", *arguments.split())
    assert said.status == 2 and message in said.err and said.err.count("\n") == 1
    assert not list(tmp_path.iterdir())
