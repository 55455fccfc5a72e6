"""A run that was begun with relative paths is gone on with, reported, picked from and built from any folder."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from nas.catalog import lasting_dataset, shipped
from nas.run import load_run, read_settings
from tests.cli.command import call
from tests.data.pictures import write_folder


def test_a_run_of_relative_paths_can_be_used_from_another_folder(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    here, elsewhere = tmp_path / "here", tmp_path / "elsewhere"
    elsewhere.mkdir()
    (here / "profiles").mkdir(parents=True)
    shutil.copy(shipped("search_spaces") / "tiny.toml", here / "mine.toml")
    shutil.copytree(shipped("device_profiles") / "raspberry-pi-4", here / "profiles/board")
    write_folder(here / "pictures", 6)
    monkeypatch.chdir(here)
    arguments = (
        "search --space mine.toml --device profiles/board --dataset folder:pictures --out run --max-latency 1ms "
        "--trials 1 --epochs 1 --batch-size 4 --sampler random"
    )
    assert call(capsys, monkeypatch, *arguments.split()).status == 0
    kept = read_settings(Path("run"))
    assert (kept.space, kept.device) == (str(here / "mine.toml"), str(here / "profiles/board"))
    assert kept.dataset == f"folder:{here / 'pictures'}"
    assert (kept.space_name, kept.device_name) == ("mine", "board")
    monkeypatch.chdir(elsewhere)
    run = str(here / "run")
    for command in (
        f"search --resume {run} --trials 2", f"report {run}", f"pick {run} --knee",
        f"build {run} --pick knee --onnx net.onnx",
    ):  # fmt: skip
        said = call(capsys, monkeypatch, *command.split())
        assert said.status == 0, (command, said)
    assert len(load_run(run).trials) == 2 and (elsewhere / "net.onnx").exists()


def test_a_name_stays_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/me")
    kept = {
        "digits": "digits", "cifar10": "cifar10", "npz:/a/b.npz": "npz:/a/b.npz", "folder:~/x": "folder:/home/me/x",
        "npz:c.npz": f"npz:{tmp_path}/c.npz", "folder:": "folder:",
    }  # fmt: skip
    assert {given: lasting_dataset(given) for given in kept} == kept
