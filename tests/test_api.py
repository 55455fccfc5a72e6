"""The package as programs use it: the words of the command line."""

from __future__ import annotations

import inspect
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import nas
from nas.errors import UserError
from nas.run import Run
from tests.cli.bench import small_onnx
from tests.data.pictures import write_folder
from tests.runs import make_run

COLUMNS = (
    "trial", "accuracy", "latency_ms", "energy_mj", "params", "macs", "size_mb", "peak_memory_mb", "precision",
    "latency_basis", "energy_basis", "candidate",
)  # fmt: skip
SMALL = {"max_latency_ms": 1.0}  # so that a training takes a second
QUICK = {"epochs": 1, "data_share": 0.1}


def test_spaces_and_devices_are_loaded_by_name() -> None:
    space, device = nas.load_space("mobilenet-v3"), nas.load_device("raspberry-pi-4")
    assert (space.name, device.name) == ("mobilenet-v3", "raspberry-pi-4")
    network = space.network(space.sample(np.random.default_rng(0)))
    assert nas.predict(network, device, "int8").latency_ms < nas.predict(network, device).latency_ms


def test_a_timm_model_costs_what_the_board_measured() -> None:
    """MLPerf Inference v2.0 on rpi4-tflite-v2.7.1-ruy: MobileNetV2 1.0 at 224 in fp32 takes 73.9 ms and 372 mJ."""
    found = nas.predict("timm:mobilenetv2_100@224", "raspberry-pi-4")
    assert found.latency_ms == pytest.approx(73.9, rel=0.1)
    assert found.energy_mj == pytest.approx(372, rel=0.1)
    assert found.unknown == ()
    assert re.fullmatch(r"Prediction\([\d.]+ ms \([\d.]+ to [\d.]+\), [\d.]+ mJ, fitted\)", repr(found))
    low, high = found.latency_interval_ms or (0.0, 0.0)
    assert low < found.latency_ms < high


def test_an_onnx_file_is_priced(tmp_path: Path) -> None:
    found = nas.predict(str(small_onnx(tmp_path / "small.onnx")), "raspberry-pi-4", "int8")
    assert found.latency_ms > 0 and (found.energy_mj or 0) > 0
    assert [part.name.split()[0] for part in found.parts] == ["standard", "global_pool", "linear"]


def test_a_search_returns_a_run_whose_front_is_a_data_frame(tmp_path: Path) -> None:
    seen = []
    run = nas.search(
        "raspberry-pi-4", "tiny", "digits", trials=2, proxy=QUICK, budgets=SMALL, sampler="random", seed=3,
        out=tmp_path / "run", on_progress=seen.append,
    )  # fmt: skip
    assert isinstance(run, Run) and run.path == tmp_path / "run"
    assert set(COLUMNS) <= set(run.front.columns) == set(run.trials_frame.columns)
    assert 1 <= len(run.front) <= len(run.trials_frame) == 2
    assert run.front["latency_ms"].between(0, 1.0).all()
    assert run.front["test_accuracy"].between(0, 1).all()
    assert (run.settings.space, run.settings.seed, run.settings.sampler) == ("tiny", 3, "random")
    assert 0 < run.hypervolume < 1
    assert seen[-1].done == 2
    again = nas.load_run(tmp_path / "run")
    assert again.trials == run.trials
    assert again.front.equals(run.front)
    written = nas.build(run, pick=nas.pick(run), onnx=tmp_path / "out.onnx")
    assert written.path.stat().st_size == pytest.approx(1e6 * written.megabytes)


def test_a_search_on_ones_own_images_says_once_what_it_uses_and_leaves_out(tmp_path: Path) -> None:
    write_folder(tmp_path / "set", 5)
    (tmp_path / "set/red/.ipynb_checkpoints").mkdir()
    said: list[str] = []
    nas.search(
        "raspberry-pi-4", "tiny", f"folder:{tmp_path / 'set'}", trials=1, proxy=QUICK, budgets=SMALL, sampler="random",
        out=tmp_path / "run", on_note=said.append,
    )  # fmt: skip
    about = [line for line in said if line.startswith("folder:")]
    assert len(about) == 1 and "9 images for training" in about[0]
    assert about[0].endswith("; left out: 1 hidden files and folders")


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"device": "raspbery-pi-4"}, "did you mean 'raspberry-pi-4'"),
        ({"objectives": []}, "needs an objective"),
        ({"objectives": ["acuracy"]}, "did you mean 'accuracy'"),
        ({"budgets": {"max_latency": 5.0}}, "unknown budget 'max_latency'; did you mean 'max_latency_ms'"),
        ({"budgets": {"max_latency_ms": -5.0}}, "must be above 0; got -5"),
        ({"proxy": {"epoch": 1}}, "unknown proxy setting 'epoch'; did you mean 'epochs'"),
        ({"trials": 0}, "at least 1 trial"),
        ({"time": -1.0}, "time must be a length of time above 0, .* got -1.0"),
    ],
)
def test_bad_arguments_are_errors_of_the_user(changed: dict, message: str, tmp_path: Path) -> None:
    given = {"device": "raspberry-pi-4", "trials": 2, "proxy": QUICK, "out": tmp_path / "run"} | changed
    with pytest.raises(UserError, match=message):
        nas.search(**given)
    assert not (tmp_path / "run").exists()


def test_a_folder_that_is_not_free_is_refused_before_anything_takes_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Networks are scored and trainings timed before a search begins: seconds."""
    from nas.search import api

    monkeypatch.setattr(api, "feasible_pool", lambda *given: pytest.fail("it went on"))
    (tmp_path / "file").write_text("mine")
    (tmp_path / "holiday").mkdir()
    (tmp_path / "holiday/a.jpg").write_text("mine")
    make_run(tmp_path / "run")
    for name, message in (
        ("file", "not a run folder"),
        ("holiday", "not a run folder"),
        ("run", "holds a run already"),
    ):
        with pytest.raises(UserError, match=message):
            nas.search("raspberry-pi-4", out=tmp_path / name)


@pytest.mark.parametrize("first", ["nas.search.loop", "nas.search", "nas.search.api", "nas"])
def test_search_can_be_called_whatever_was_imported_first(first: str) -> None:
    """`nas.search` is a package and a function: importing what is in it must not hide the function."""
    code = f"import {first}, nas\ntry:\n  nas.search('nowhere')\nexcept nas.errors.UserError as e:\n  print(e)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("unknown device 'nowhere'")


def test_the_search_shows_its_signature_and_its_package_can_be_imported_from() -> None:
    assert inspect.isfunction(nas.search)
    assert list(inspect.signature(nas.search).parameters)[:4] == ["device", "space", "dataset", "objectives"]
    assert "Pareto front" in (nas.search.__doc__ or "")
    code = (
        "import nas, inspect; nas.search; from nas.search import ParetoSampler; import nas.search.loop as loop\n"
        "from nas.search.loop import search; print(ParetoSampler.__name__, inspect.isfunction(nas.search))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "ParetoSampler True\n"


def test_an_unknown_word_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'serch'"):
        nas.serch  # noqa: B018


def test_a_network_is_picked_and_a_report_written_as_by_the_command_line(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    assert nas.pick(run, max_latency_ms=15.0).trial == nas.pick(run.path, max_latency_ms=15.0).trial == 0
    assert nas.report(str(run.path), ["md"]) == [run.path / "report.md"]
    other = make_run(tmp_path / "other", seed=1)
    assert nas.report([run, other.path], ["json"], out=tmp_path / "both") == [tmp_path / "both" / "comparison.json"]
    for wrong, message in (
        ({"runs": []}, "at least one run"),
        ({"runs": [run, str(run.path)]}, "given twice"),
        ({"runs": run, "out": tmp_path}, "out is for several runs"),
        ({"runs": run, "formats": ["pdf"]}, "unknown format 'pdf'"),
        ({"runs": tmp_path / "none"}, "run.toml"),
    ):
        with pytest.raises(UserError, match=message):
            nas.report(**wrong)


@pytest.mark.parametrize("first", ["nas.report.page", "nas.report", "nas"])
def test_report_is_a_function_whatever_was_imported_first(first: str) -> None:
    """`nas.report` is a package and a function; the package is found by importing from it."""
    code = (
        f"import {first}, nas, inspect; from nas.report import write_report; from nas.report.page import page\n"
        "import nas.report.page as module; assert module.page is page\n"
        "print(inspect.isfunction(nas.report), list(inspect.signature(nas.report).parameters))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "True ['runs', 'formats', 'out']\n"


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda run: nas.load_device(5), "a name or a path"), (lambda run: nas.load_space(None), "a name or a path"),
        (lambda run: nas.load_run(5), "a run must be a folder"), (lambda run: nas.pick(5), "a run must be a folder"),
        (lambda run: nas.pick(run, max_latency_ms="3"), "max_latency_ms must be a number; got '3'"),
        (lambda run: nas.report(5), "runs must be a run"),
        (lambda run: nas.report(run, "html"), "formats must be a list"),
        (lambda run: nas.report(run, out=5), "out must be a folder"),
        (lambda run: nas.build(run, pick="knee", onnx="x.onnx"), "pick must be a trial, or its number; got 'knee'"),
        (lambda run: nas.build(run, pick=1, onnx=5), "onnx must be a path"),
        (lambda run: nas.predict("timm:resnet18", 5), "a name or a path"),
        (lambda run: nas.search(5), "a name or a path"), (lambda run: nas.search("pixel-1", 3), "a name or a path"),
        (lambda run: nas.search("pixel-1", dataset=3), "dataset must be text"),
        (lambda run: nas.search("pixel-1", objectives="latency"), "objectives must be a list"),
        (lambda run: nas.search("pixel-1", objectives=[1, 2]), "an objective must be a name; got 1"),
        (lambda run: nas.search("pixel-1", precisions="int8"), "precisions must be a list"),
        (lambda run: nas.search("pixel-1", trials="5"), "trials must be a whole number; got '5'"),
        (lambda run: nas.search("pixel-1", trials=2.5), "trials must be a whole number; got 2.5"),
        (lambda run: nas.search("pixel-1", seed="a"), "seed must be a whole number"),
        (lambda run: nas.search("pixel-1", time=[2]), "time must be a length of time"),
        (lambda run: nas.search("pixel-1", budgets={"max_latency_ms": "3"}), "max_latency_ms must be a number"),
        (lambda run: nas.search("pixel-1", budgets=[1]), "budgets must be numbers by name"),
        (lambda run: nas.search("pixel-1", sampler=3), "sampler must be a name"),
        (lambda run: nas.search("pixel-1", storage=5), "storage must be text"),
        (lambda run: nas.search("pixel-1", out=5), "out must be a folder"),
    ],
)  # fmt: skip
def test_an_argument_of_another_type_is_named(tmp_path: Path, call: Callable[[Run], object], message: str) -> None:
    run = make_run(tmp_path / "run")
    with pytest.raises(UserError, match=re.escape(message)):
        call(run)
