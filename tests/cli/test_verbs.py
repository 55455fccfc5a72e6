"""What the verbs promise: help with an example, JSON for programs, and a quick start."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.bench import small_onnx
from tests.cli.command import call, start
from tests.runs import ROWS, make_run

VERBS = (
    "search", "report", "pick", "train", "build", "compress", "export", "deploy", "verify", "monitor", "calibrate",
    "federate", "switch", "predict", "profile",
    "spaces", "devices", "devices show", "devices fit", "devices import", "devices validate", "devices diff", "bench",
)  # fmt: skip
PREDICT = "predict small.onnx --device raspberry-pi-4"
ROW = {
    "trial", "accuracy", "latency_ms", "energy_mj", "params", "macs", "size_mb", "peak_memory_mb", "precision",
    "latency_basis", "energy_basis", "candidate",
}  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the verbs run: with a run and an ONNX file, and without profiles of the user's own."""
    small_onnx(tmp_path / "small.onnx")
    make_run(tmp_path / "run")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NAS_HOME", str(tmp_path / "home"))
    return tmp_path


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("flag", ["--help", "-h"])
def test_help_shows_an_example(
    verb: str, flag: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    said = call(capsys, monkeypatch, *verb.split(), flag)
    assert said.status == 0 and said.err == ""
    assert f"Example: nas {verb} " in " ".join(said.out.split())


def test_the_list_above_is_that_of_the_command_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def listed(*before: str) -> list[str]:
        lines = call(capsys, monkeypatch, *before, "--help").out.split("Commands:")[1].splitlines()
        return [line.split()[0] for line in lines if line.startswith("  ") and not line.startswith("   ")]

    every = [*listed(), *(f"devices {verb}" for verb in listed("devices"))]
    assert sorted(every) == sorted(VERBS)


@pytest.mark.parametrize(
    ("arguments", "keys"),
    [
        ("devices", {"name", "board", "runtime", "precisions", "energy", "basis", "errors", "sha256"}),
        ("devices show raspberry-pi-4", {"name", "board", "soc", "runtime", "source", "statistic", "limits", "errors"}),
        ("spaces", {"name", "title", "networks", "source"}),
        ("spaces tiny", {"name", "title", "networks", "source", "sha256", "proxy", "choices"}),
        (PREDICT, {"latency_ms", "latency_interval_ms", "energy_mj", "energy_interval_mj", "peak_memory_mb", "size_mb",
                   "params", "macs", "latency_basis", "energy_basis", "latency_partial",
                   "energy_partial", "unknown", "costliest"}),
        ("report run", {"run", "hypervolume", "front", "written"}),
        ("pick run --knee", ROW | {"build"}),
    ],
)  # fmt: skip
def test_json_has_the_keys_that_programs_read(
    arguments: str, keys: set[str], folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    said = call(capsys, monkeypatch, *arguments.split(), "--json")
    assert said.status == 0 and said.err == ""
    found = json.loads(said.out)
    for entry in found if isinstance(found, list) else [found]:
        assert keys <= entry.keys()


def test_json_says_what_the_run_holds(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """tests/runs.py's front is, cheapest first, trials 2, 0, 1, 5 and 6; under 15 ms trial 0 is the most accurate."""
    report = json.loads(call(capsys, monkeypatch, "report", "run", "--json").out)
    assert [row["trial"] for row in report["front"]] == [2, 0, 1, 5, 6]
    assert all(row.keys() >= ROW for row in report["front"])
    assert all((folder / path).stat().st_size for path in report["written"])
    picked = json.loads(call(capsys, monkeypatch, "pick", "run", "--max-latency", "15ms", "--json").out)
    assert (picked["trial"], picked["accuracy"], picked["latency_ms"]) == (0, 0.9, 10.0)
    assert picked["build"] == "nas build run --pick 0 --onnx trial-0.onnx"
    assert picked["candidate"]["stage2.block2.kernel"] == 5


def test_a_picture_is_drawn_again_only_when_the_run_has_changed(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    picture = folder / "run" / "front.png"

    def drawn() -> int:
        assert call(capsys, monkeypatch, "report", "run").status == 0
        return picture.stat().st_ino  # a file that is written anew is another file

    first = drawn()
    assert drawn() == first
    make_run(folder / "run", ROWS[:3])
    second = drawn()
    assert second != first
    picture.write_bytes(b"half a picture")
    assert drawn() and picture.read_bytes().startswith(b"\x89PNG")


def test_predict_counts_by_hand(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """3x3 convolution of 3 to 8 channels over 16x16 places, then 8 to 10: 55,296 + 80 MACs, 216 + 80 weights."""
    found = json.loads(call(capsys, monkeypatch, *PREDICT.split(), "--json").out)
    assert (found["macs"], found["params"]) == (55_376, 296)
    low, high = found["latency_interval_ms"]
    assert 0 < low <= found["latency_ms"] <= high
    assert found["unknown"] == [] and found["costliest"][0]["layer"].startswith("standard 3x3")
    assert found["costliest"] == sorted(found["costliest"], key=lambda part: -part["latency_ms"])


def test_what_cannot_be_priced_is_named_and_the_status_is_1(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    said = call(capsys, monkeypatch, "predict", "small.onnx", "--device", "samsung-note10")
    assert said.status == 1
    assert "standard 3x3 s2 3x32x32 > 8x16x16" in said.out.split("which are left out:")[1]


@pytest.mark.parametrize(
    ("arguments", "slow"),
    [
        ("devices", "torch timm torchvision optuna pandas scipy sklearn matplotlib onnx"),
        ("devices show raspberry-pi-4", "torch timm torchvision optuna pandas scipy sklearn matplotlib onnx"),
        ("spaces", "torch timm torchvision optuna pandas scipy sklearn matplotlib onnx"),
        ("pick run --knee", "torch timm torchvision optuna pandas scipy sklearn matplotlib onnx"),
        (PREDICT, "torch timm torchvision optuna pandas scipy sklearn matplotlib onnxruntime"),
        ("report run", "torch timm torchvision optuna pandas scipy sklearn onnx"),
        ("--help", "torch timm torchvision optuna pandas scipy sklearn matplotlib onnx pydantic"),
    ],
)
def test_what_answers_at_once_loads_no_slow_library(arguments: str, slow: str, folder: Path) -> None:
    """Start-up below 0.7 s hangs on this: PyTorch alone takes seconds."""
    tell = "print('LOADED', *sorted(sys.modules), file=sys.stderr)"
    said = start(folder, *arguments.split(), afterwards=tell)
    assert said.status == 0
    loaded = said.err.split("LOADED ")[1].split()
    assert "nas.cli.app" in loaded
    assert set(slow.split()) & set(loaded) == set()


def test_a_network_without_any_figure_has_no_number(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The profile is a lookup table of the tiny space, which holds none of the file's layers."""
    said = call(capsys, monkeypatch, "predict", "small.onnx", "--device", "cloud-xeon-tiny", "--json")
    found = json.loads(said.out)
    assert (said.status, found["latency_ms"], found["latency_interval_ms"]) == (1, None, None)
    assert found["latency_partial"] and len(found["unknown"]) == 3
    said = call(capsys, monkeypatch, "predict", "small.onnx", "--device", "cloud-xeon-tiny")
    assert "latency  -  (no prediction: the profile has a figure for no part of it)" in said.out
    assert "held-out" not in said.out and "-0" not in said.out and said.status == 1
