"""nas pick --remeasure: a front measured whole through ONNX Runtime, on this machine and over ssh."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from nas.run import Run, load_run
from nas.search.api import search_front
from tests.cli.command import call
from tests.profiling.boards.ssh_board import running_board


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return search_front(
        "raspberry-pi-4", trials=4, sampler="random", proxy={"epochs": 1, "data_share": 0.2},
        out=tmp_path_factory.mktemp("runs") / "run", test=False,
    )  # fmt: skip


@pytest.fixture
def run(searched: Run, tmp_path: Path) -> Run:
    return load_run(shutil.copytree(searched.path, tmp_path / "run"))


def test_what_breaks_a_budget_when_measured_loses_its_place(
    run: Run, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    best = json.loads(call(capsys, monkeypatch, "pick", str(run.path), "--json").out)
    assert best["measured"] is None
    said = call(capsys, monkeypatch, "pick", str(run.path), "--remeasure")
    assert said.status == 0, said.err
    front = {t.trial for t in run.front_trials}
    measured = load_run(run.path).measured
    assert set(measured) == front and all(0 < m.latency_ms <= m.latency_p90_ms for m in measured.values())
    assert "predicted ms" in said.out and "ONNX Runtime" in said.err and "Raspberry Pi 4" in said.err
    assert max(len(line) for line in said.out.split("trial ", 1)[1].split("rebuild")[0].splitlines()) <= 80
    assert [p.name for p in (run.path / "measured").iterdir()] == ["results.json"]
    # a budget between the two: by its prediction the best network would keep it, as measured it does not
    ms = measured[best["trial"]].latency_ms
    again = json.loads(
        call(capsys, monkeypatch, "pick", str(run.path), "--max-latency", f"{0.999 * ms}ms", "--json").out
    )
    assert again["trial"] != best["trial"] or again["measured"]["latency_ms"] <= 0.999 * ms


def test_a_board_measures_the_front_over_ssh(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with running_board(tmp_path / "board") as board:
        (tmp_path / ".ssh").mkdir(mode=0o700)
        shutil.copy(board.key, tmp_path / ".ssh" / "id_ed25519")
        shutil.copy(board.known_hosts, tmp_path / ".ssh" / "known_hosts")
        monkeypatch.setenv("HOME", str(tmp_path))
        monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
        said = call(capsys, monkeypatch, "pick", str(run.path), "--remeasure", "--ssh", board.target, "--json")
        assert said.status == 0, said.err
        left = [p.name for p in board.home.iterdir()]
    measured = load_run(run.path).measured
    assert set(measured) == {t.trial for t in run.front_trials}
    assert json.loads(said.out)["measured"]["latency_ms"] > 0
    assert "measured on" in said.err and left == ["bin"]  # what was copied there is gone again


def test_what_cannot_be_asked_is_said_before_measuring(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from tests.runs import make_run

    run = make_run(tmp_path / "run")
    for arguments, message in (
        (["--ssh", "pi@board"], "they need --remeasure"),
        (["--remeasure", "--max-latency", "-3ms"], "above 0"),
        (["--remeasure", "--knee"], "has changed since"),
        (["--remeasure", "--max-memory", "0MB"], "above 0"),
        (["--remeasure", "--trial", "99"], "has no trial 99"),
        (["--meter", "rapl"], "they need --remeasure"),
    ):
        said = call(capsys, monkeypatch, "pick", str(run.path), *arguments)
        assert said.status == 2 and message in said.err and len(said.err.splitlines()) == 1
    assert not (run.path / "measured.csv").exists()
