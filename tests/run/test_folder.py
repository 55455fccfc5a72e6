"""The run folder: what is written is read again; what is wrong is named with its file and line."""

from __future__ import annotations

import csv
import errno
import json
import os
import subprocess
import sys
import time
import tomllib
from dataclasses import replace
from pathlib import Path

import pytest

from nas.errors import UserError
from nas.run import check_same, load_run, locked, read_references, write_atomic
from tests.runs import make_run, settings, trial


def test_a_run_is_read_as_it_was_written(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", budgets={"max_latency_ms": 90.0}, proxy={"epochs": 6, "data_share": 1.0})
    assert load_run(tmp_path / "run") == run
    assert [r.precision for r in read_references(run.path)] == ["fp32", "int8"]
    check_same(run.path, replace(run.settings, trials=500, max_minutes=3.0))


def test_the_front_is_the_trained_trials_that_none_beats_cheapest_first(tmp_path: Path) -> None:
    """Trial 3 loses to 0 in all three objectives, 4 failed; 5 has less energy than 1 at equal accuracy."""
    run = make_run(tmp_path / "run")
    assert [t.trial for t in run.front_trials] == [2, 0, 1, 5, 6]
    assert run.front["trial"].tolist() == [2, 0, 1, 5, 6]
    assert run.front["latency_ms"].tolist() == [5.0, 10.0, 20.0, 25.0, 80.0]
    assert len(run.trials_frame) == 7


def test_frames_have_a_column_for_each_choice_and_a_run_says_what_it_is_in_a_line(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    assert run.front["stage2.block2.kernel"].tolist() == [5] * 5 and run.front["resolution"].tolist() == [32] * 5
    assert run.front.columns.is_unique and json.loads(run.front["candidate"][0])["resolution"] == 32
    assert repr(run) == f"Run('{tmp_path}/run': 7 trials, 5 on the front)"


def test_hypervolume_of_two_objectives_by_hand(tmp_path: Path) -> None:
    rows = ((0, 0.5, 20.0, None), (1, 0.8, 50.0, None))
    run = make_run(tmp_path / "run", rows, objectives=("accuracy", "latency"), reference_point={"latency_ms": 100.0})
    assert run.hypervolume == pytest.approx(0.5 * 0.8 + 0.3 * 0.5)  # 0.5 high from 20 on, 0.3 more from 50 on


def test_other_programs_can_read_the_tables(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    with (run.path / "pareto.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    wanted = "trial accuracy latency_ms energy_mj params macs size_mb peak_memory_mb precision candidate"
    assert {*wanted.split(), "latency_basis", "energy_basis"} <= rows[0].keys()
    assert json.loads(rows[0]["candidate"])["stage2.block2.kernel"] == 5
    front = json.loads((run.path / "pareto.json").read_text())
    assert [t["trial"] for t in front["front"]] == [2, 0, 1, 5, 6]
    assert front["front"][0]["candidate"]["precision"] == "fp32"
    assert tomllib.loads((run.path / "run.toml").read_text())["space_sha256"] == "a" * 64


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("peak_memory_mb", "peak", r"trials\.csv: needs the columns .*; missing peak_memory_mb"),
        ("0,trained,0.9,", "0,trained,1.9,", r"trials\.csv line 2: accuracy must be a fraction"),
        ("0,trained,0.9,", "0,trained,,", r"trials\.csv line 2: state must be trained, with an accuracy"),
        ("0,trained,0.9,", "0,lost,0.9,", "state must be trained"),
        (",10,5,20,", ",-10,5,20,", r"latency_ms must be a finite number of 0 or more; line 2 has '-10'"),
        (",10,5,20,", ",,5,20,", r"latency_ms must be a finite number of 0 or more; line 2 has ''"),
        (",10,5,20,", ",nan,5,20,", r"latency_ms must be a finite number .* line 2 has 'nan'"),
        ("\n1,trained", "\n0,trained", r"line 3: trial 0 is there twice"),
        ('""resolution"":32', "resolution", "a candidate must be a JSON object"),
        (",,1,,,,,,10,", ",,1,1.5,,,,,10,", "line 2: expected_accuracy must be a fraction from 0 to 1; got 1.5"),
        (",fp32,", ",fp64,", "precision must be the candidate's"),
        (",fitted,fitted,", ",guessed,fitted,", "latency_basis must be one of measured, fitted, extrapolated"),
        (",fitted,fitted,", ",fitted,guessed,", "energy_basis must be one of .*; got 'guessed'"),
        (",fitted,fitted,", ",,fitted,", "latency_basis must be one of .*; got ''"),
        ("\n1,trained,", "\n1,", r"a row must have 28 cells; line 3 has 27"),
    ],
)
def test_a_broken_table_is_named_with_its_line(tmp_path: Path, old: str, new: str, message: str) -> None:
    file = make_run(tmp_path / "run").path / "trials.csv"
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new, 1))
    with pytest.raises(UserError, match=message):
        load_run(tmp_path / "run")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("format = 2", "format = 9", "format: must be 2; got 9$"),
        (
            "format = 2",
            "format = 1",
            "format: must be 2; got 1; an older version of nas wrote this run, and can read it",
        ),
        ("sampler = ", "sampled = 1\nsampler = ", r"run\.toml: sampled: unknown key"),
        ('device = "raspberry-pi-4"', "", r"run\.toml: device: Field required"),
        ("seed = 0", 'seed = "0"', r"run\.toml: seed: .*valid integer.*'0'"),
        ('"energy"', '"watts"', "unknown objective 'watts'"),
        ("seed = 0", "seed = ", "not a readable TOML file"),
    ],
)
def test_broken_settings_are_named(tmp_path: Path, old: str, new: str, message: str) -> None:
    file = make_run(tmp_path / "run").path / "run.toml"
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new, 1))
    with pytest.raises(UserError, match=message):
        load_run(tmp_path / "run")


def test_a_folder_without_a_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"is not a run folder: it has no run\.toml"):
        load_run(tmp_path)


@pytest.mark.parametrize("changed", [{"seed": 3}, {"space_sha256": "c" * 64}, {"proxy": {"epochs": 9}}])
def test_another_run_is_told_apart(tmp_path: Path, changed: dict[str, object]) -> None:
    make_run(tmp_path / "run")
    with pytest.raises(UserError, match=f"another run: its {next(iter(changed))}"):
        check_same(tmp_path / "run", settings(**changed))


def test_a_file_is_written_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "trials.csv"
    write_atomic(file, b"before")

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(UserError, match=r"cannot write .*trials\.csv: No space left on device"):
        write_atomic(file, b"after")
    assert file.read_bytes() == b"before"
    assert [p.name for p in tmp_path.iterdir()] == ["trials.csv"]


HOLD = "import sys,time; from pathlib import Path; from nas.run import locked\nwith locked(Path(sys.argv[1])):\n  print('held', flush=True); time.sleep(60)"  # noqa: E501


def test_the_lock_goes_with_the_process(tmp_path: Path) -> None:
    holder = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None and holder.stdout.readline() == "held\n"
    with pytest.raises(UserError, match="another process is writing in"), locked(tmp_path):
        pass
    holder.kill()
    holder.communicate()
    time.sleep(0.05)
    with locked(tmp_path):
        pass


def test_reading_a_run_needs_neither_torch_nor_pandas() -> None:
    code = "import sys, nas.run, nas.report; print(*{'torch','pandas','matplotlib','optuna','timm'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "\n"


def test_numbers_of_trials_survive_however_large(tmp_path: Path) -> None:
    row = (0, 0.123456789, 1e-3, 1e6)
    read = load_run(make_run(tmp_path / "run", (row,)).path).trials[0]
    assert read == trial(*row)
