"""nas train: what it prints, and that an interrupt and a kill lose nothing."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from nas.data.catalog import load_dataset
from nas.models.trained import load_trained
from nas.train.full_folder import read_result
from tests.cli.command import ROOT, call, run_in
from tests.cli.test_interrupt import ESCAPES, in_terminal
from tests.deploy.runs import make_tiny_run

TRAIN = "train run --pick 1 --epochs 3 --batch-size 128"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With a run on digits, whose trial 1 was trained in full into `whole`."""
    place = tmp_path_factory.mktemp("train")
    make_tiny_run(place / "run", load_dataset("digits"))
    said = run_in(place, *TRAIN.split(), "--out", "whole", "--json")
    assert said.status == 0, said.err
    (place / "said.json").write_text(said.out)
    (place / "said.err").write_text(said.err)
    return place


def weights(folder: Path) -> bytes:
    return (folder / "weights.safetensors").read_bytes()


def test_json_and_notes_tell_what_came_of_it(folder: Path) -> None:
    found = json.loads((folder / "said.json").read_text())
    assert (found["trial"], found["folder"], found["epochs"], found["teacher"]) == (1, "whole", 3, "none")
    result = read_result(folder / "whole")
    assert found["accuracy"]["int8"] == result.accuracy["int8"].model_dump() and result.accuracy["int8"].test > 0.2
    lines = (folder / "said.err").read_text().splitlines()
    assert lines[0].startswith("digits: 1,151 images for training")
    form = r"epoch [123] of 3, loss \d\.\d{3}, validation \d+\.\d%, \d+:\d\d left"
    assert lines[1].startswith("training: 3 epochs, about ")
    assert len(lines) == 5 and all(re.fullmatch(form, line) for line in lines[2:]), lines
    assert load_trained(folder / "whole").lineage.trial == 1


def test_the_same_command_again_says_the_same_at_once(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    said = call(capsys, monkeypatch, *TRAIN.split(), "--out", "whole")
    accuracy = read_result(folder / "whole").accuracy["int8"]
    assert said.status == 0 and said.err.count("\n") == 1
    form = (
        rf"whole: trial 1, 3 epochs in [\d.]+ \w+; int8: {100 * accuracy.test:.1f}% of 359 test images, .* 287 val.*\n"
    )
    assert re.fullmatch(form, said.out), said.out
    other = call(capsys, monkeypatch, *TRAIN.split(), "--out", "whole", "--seed", "1")
    assert other.status == 2 and "whole holds the model of another training; nas train replaces" in other.err


def test_ctrl_c_in_a_terminal_says_how_to_go_on(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    status, shown = in_terminal(folder, *TRAIN.split(), until=rb"epoch 2 of 3, loss")
    assert status == 130, shown
    text = ESCAPES.sub("", shown)
    last = text.strip().splitlines()[-1]
    assert re.fullmatch(r"nas: stopped in epoch [23] of 3; the same command goes on, and so does --resume", last), shown
    assert re.search(r"epoch 2 of 3, loss \d\.\d+, validation \d+\.\d%, \d+:\d\d left", text), shown
    assert max(len(line.rstrip()) for line in re.split(r"[\r\n]+", text) if "epoch 2" in line) <= 80
    assert not (folder / "run/trained/1").exists()
    said = call(capsys, monkeypatch, "-q", "train", "run", "--pick", "1", "--resume")
    assert said.status == 0 and said.err == "" and "Traceback" not in shown
    assert weights(folder / "run/trained/1") == weights(folder / "whole")
    assert [p.name for p in (folder / "run/trained").iterdir()] == ["1"]


def test_a_killed_process_loses_nothing(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    command = [sys.executable, "-m", "nas", *TRAIN.split(), "--out", "killed"]
    process = subprocess.Popen(
        command, cwd=folder, stderr=subprocess.PIPE, text=True, env=os.environ | {"PYTHONPATH": str(ROOT)}
    )
    assert process.stderr
    while not process.stderr.readline().startswith("epoch 1 of 3"):
        assert process.poll() is None, process.stderr.read()
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (folder / "killed").exists()
    assert call(capsys, monkeypatch, *TRAIN.split(), "--out", "killed").status == 0
    assert weights(folder / "killed") == weights(folder / "whole")
    assert not (folder / ".killed.training").exists()
