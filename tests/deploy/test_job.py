"""nas deploy: versions, resuming after kills, and what it refuses before it writes anything."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from nas.compress.qat import Qat
from nas.compress.quantize import Quantize
from nas.deploy import job as module
from nas.deploy import measure
from nas.deploy.build import build
from nas.deploy.card import read_card
from nas.deploy.facts import read_facts
from nas.deploy.folder import REQUIREMENTS, use_version, version_folder, versions_in, write_version
from nas.deploy.job import USUAL, Job, deploy, job_of_run
from nas.deploy.make import measured_on_images
from nas.deploy.source import load_source
from nas.deploy.train import TrainingOptions, train
from nas.deploy.verify import verify
from nas.errors import UserError
from nas.files.lock import locked
from nas.models.trained import load_trained, load_trial, save_trained
from nas.monitor.calibrate import Calibration, find_model
from nas.monitor.serve.adapt import Folding
from nas.run import load_run
from nas.runtimes.onnx.adapt import ARRAYS, GRAPH
from nas.runtimes.onnxruntime import OnnxRuntime
from tests.cli.command import call
from tests.deploy.deployments import FEW, TRIAL
from tests.kills import moments_of, run_kills
from tests.runs import make_run


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measure, "SETTINGS", FEW)


def job_of(made: Path) -> Job:
    return job_of_run(made / "run", TRIAL, ("fp32", "int8"), training=None)


def page_of(place: Path) -> str:
    return (place / "README.md").read_text()


def test_a_version_has_what_a_team_and_a_board_need(made: Path) -> None:
    place = version_folder(made / "out")
    assert {path.name for path in place.iterdir()} == {
        "model-fp32.onnx", "model-int8.onnx", "card.toml", "README.md", "requirements.txt", "SHA256SUMS",
        "preprocess.json", "run.py", "network.py", "pixels.py", "boxes.py", "adapt.onnx", "adapt.npz",
    }  # fmt: skip
    assert {path.name for path in (made / "out").iterdir()} == {"run.py", "serve.pyz", "current", "versions"}
    card, facts = read_card(place), read_facts(place)
    model = card.models["fp32"]
    assert (card.version, card.trial, card.weights, card.precision) == (1, TRIAL, "proxy", "fp32")
    assert card.budgets == {"max_latency_ms": 50.0, "max_size_mb": 20.0} and "dataset" in card.hashes
    assert model.test is not None and model.validation is not None and model.measured is not None
    assert model.validation.images == 12 and model.test.low < model.test.value < model.test.high
    assert model.predicted is not None and model.predicted.device == "raspberry-pi-4" and model.predicted.latency_ms
    assert list(facts.models) == ["fp32", "int8"] and card.models["int8"].megabytes < model.megabytes
    assert "convolutions" in " ".join(card.models["int8"].notes) and "first class is PyTorch's" in page_of(place)
    assert facts.classes == ("blue", "green", "red") and (facts.resolution, facts.side) == (24, 13)
    page = page_of(place)
    assert "good to measure with, not to deploy" in page and f"{100 * model.test.value:.1f}%" in page
    assert (place / "requirements.txt").read_text().splitlines() == [*REQUIREMENTS, "onnxruntime>=1.19.2"]
    sums = subprocess.run(["sha256sum", "-c", "SHA256SUMS"], cwd=place, capture_output=True, check=False)
    assert sums.returncode == 0


def test_the_same_command_makes_no_second_version_and_another_makes_the_next(
    made: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    assert deploy(job_of(made), out, tell=said.append) == out / "versions/1"
    assert said == ["version 1 was made by this command already; it is in use"]
    before = {path.name: path.read_bytes() for path in (out / "versions/1").iterdir()}
    card = out / "versions/1/card.toml"
    card.write_text(card.read_text().replace(read_card(card.parent).job, "another"))
    before["card.toml"] = card.read_bytes()
    said.clear()
    assert deploy(job_of(made), out, tell=said.append) == out / "versions/2"
    assert said[0].startswith("1. trial 0 of ") and "4. write" in said[3]
    assert versions_in(out) == [1, 2] and version_folder(out) == out / "versions/2"
    assert {path.name: path.read_bytes() for path in (out / "versions/1").iterdir()} == before
    use_version(out, 1)
    assert version_folder(out) == out / "versions/1"
    assert verify(out, versions=[2]).cards[2].version == 2
    with pytest.raises(UserError, match="has no version 3; its versions are 1, 2"):
        use_version(out, 3)
    place = out / "versions/1"
    with pytest.raises(UserError, match="exists, and a version is never changed"):
        write_version(out, load_trial(made / "run", TRIAL), read_card(place), {})


def test_a_version_that_is_no_longer_whole_is_not_put_into_use_again(made: Path, out: Path) -> None:
    """It is left as it is, and the same command makes the next one."""
    said: list[str] = []
    (out / "versions/1/model-int8.onnx").write_text("cut off")
    assert deploy(job_of(made), out, tell=said.append) == out / "versions/2"
    assert "1 was made by this command already, but" in said[0] and "model-int8.onnx: is not the file that" in said[0]
    assert version_folder(out) == out / "versions/2" and read_facts(out / "versions/2").resolution == 24
    assert (out / "versions/1/model-int8.onnx").read_text() == "cut off"
    assert deploy(job_of(made), out) == out / "versions/2"


def test_a_job_that_dies_goes_on_where_it_was(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After the export: nothing is exported again, and what was measured is not measured again."""
    said: list[str] = []

    def die(*given: object, **more: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "measured_on_images", die)
    with pytest.raises(KeyboardInterrupt):
        deploy(job_of(made), tmp_path / "new", tell=said.append)
    assert not (tmp_path / "new/current").exists() and said[-1] == "running the files on their images"
    monkeypatch.setattr(module, "measured_on_images", measured_on_images)
    monkeypatch.setattr(module, "write_version", die)
    with pytest.raises(KeyboardInterrupt):
        deploy(job_of(made), tmp_path / "new", tell=said.append)
    monkeypatch.setattr(module, "write_version", write_version)
    said.clear()
    deploy(job_of(made), tmp_path / "new", tell=said.append)
    assert len(said) == 4 and said[-1].startswith("4. ")
    assert not (tmp_path / "new/.work").exists() and versions_in(tmp_path / "new") == [1]


def test_kills_at_any_moment_lose_nothing(tmp_path: Path, pytestconfig: pytest.Config) -> None:
    (found,) = run_kills("tests.deploy.kills", tmp_path, moments_of(pytestconfig, 12))
    assert found["moments"] >= 12 and found["operations"] > 0 and found["wrong"] == {}


def test_what_cannot_be_deployed_is_one_line_and_nothing_is_written(
    made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run, new = str(made / "run"), tmp_path / "new"
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/thesis.txt").write_text("mine")
    (tmp_path / "file").write_text("mine")
    bare = make_run(tmp_path / "bare")
    for arguments, message in (
        ([run, "--pick", "0", "--out", str(tmp_path / "mine")], "is not a deployment folder: it holds thesis.txt"),
        ([run, "--pick", "0", "--out", str(tmp_path / "file")], "exists and is not a folder"),
        ([run, "--pick", "0", "--out", run], "is not a deployment folder: it holds"),
        ([run, "--pick", "99", "--out", str(new)], "has no trial 99; its trials are 0 to 6"),
        ([run, "--pick", "4", "--out", str(new)], "trial 4 of"),
        ([run, "--pick", "best", "--out", str(new)], "--pick must be a trial's number or knee; got 'best'"),
        ([run, "--pick", "9" * 5000, "--out", str(new)], f"--pick must be a trial's number or knee; got '{'9' * 80}'"),
        (
            [run, "--pick", "1", "--precision", "fp32", "--out", str(new)],
            "keeps the models of its front and of rivals, and trial 1 is none",
        ),
        ([str(bare.path), "--pick", "0", "--out", str(new)], "has no weights: "),
        ([str(tmp_path / "mine"), "--pick", "0", "--out", str(new)], "is not a run folder"),
        ([run, "--pick", "0", "--precision", "int4", "--out", str(new)], "int4"),
    ):
        said = call(capsys, monkeypatch, "deploy", *arguments, "--no-train")
        assert said.status == 2 and message in said.err and len(said.err.splitlines()) == 1, said.err
        assert not new.exists() and (tmp_path / "mine/thesis.txt").read_text() == "mine"
    assert sorted(path.name for path in (tmp_path / "mine").iterdir()) == ["thesis.txt"]


def test_two_deployments_into_one_folder_wait(made: Path, out: Path) -> None:
    inside, done = threading.Event(), threading.Event()

    def hold() -> None:
        with locked(out):
            inside.set()
            done.wait(30)

    other = threading.Thread(target=hold)
    other.start()
    inside.wait(30)
    try:
        with pytest.raises(UserError, match="another process is deploying into"):
            deploy(job_of(made), out)
    finally:
        done.set()
        other.join()


def test_a_dataset_that_changed_is_refused(made: Path, tmp_path: Path) -> None:
    shutil.copytree(made / "run", tmp_path / "run")
    text = (tmp_path / "run/run.toml").read_text()
    digest = load_run(made / "run").settings.dataset_sha256
    (tmp_path / "run/run.toml").write_text(text.replace(digest, "0" * 64))
    with pytest.raises(UserError, match="has changed since the search"):
        deploy(job_of_run(tmp_path / "run", TRIAL, training=TrainingOptions(epochs=1)), tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_what_only_a_later_step_needs_is_looked_at_before_the_training(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A teacher that is not there, and calibration images of one class: six minutes later would be too late."""
    said, run = list[str](), made / "run"

    def refused(options: TrainingOptions, message: str) -> None:
        job = job_of_run(run, TRIAL, ("int8",), training=options)
        with pytest.raises(UserError, match=message):
            deploy(job, tmp_path / "new", tell=said.append)
        assert not said and not (tmp_path / "new").exists() and not (run / "trained").exists()

    refused(TrainingOptions(epochs=1, teacher="99"), "has no trial 99; its trials are 0 to 6")
    refused(TrainingOptions(epochs=1, teacher="best"), "a teacher must be a trial's number")
    monkeypatch.setattr(module, "calibration_images", lambda data: data.train.subset(torch.where(
        data.train.labels == 1)[0]))  # fmt: skip
    refused(TrainingOptions(epochs=1), "at least two classes; got 12 of 'green' alone")


def test_a_folder_moves_whole(made: Path, tmp_path: Path) -> None:
    """A copy elsewhere is the same deployment, and gets the next version there."""
    shutil.copytree(made / "out", tmp_path / "copy")
    assert read_card(version_folder(tmp_path / "copy")) == read_card(version_folder(made / "out"))


def test_the_precision_that_is_asked_for_is_used_and_a_trained_folder_is_deployed(made: Path, tmp_path: Path) -> None:
    """int8 first, within a drop that anything keeps; the model from its folder, by a profile of the user's choice."""
    model, out = made / "run/models" / str(TRIAL), tmp_path / "new"
    data = load_run(made / "run").settings.dataset
    place = deploy(Job(model, None, ("int8",), None, 0.99, "raspberry-pi-4", {}, data), out)
    card, facts = read_card(place), read_facts(place)
    assert list(facts.models) == ["int8", "fp32"] and card.precision == "int8"
    assert any(step.startswith("quantize: int8 loses") for step in card.steps)
    kept = find_model(Calibration(out), card)  # which a calibration goes on from
    assert kept.lineage.steps == tuple(card.steps) and kept.recipe["int8_scheme"] == card.recipe["int8_scheme"]
    predicted = card.models["int8"].predicted
    assert predicted is not None and predicted.device == "raspberry-pi-4" and predicted.latency_ms
    with pytest.raises(UserError, match="is a trained model: it is deployed as it is"):
        Job(model, None)
    with pytest.raises(UserError, match="a largest drop is that of int8 or fp16"):
        Job(model, None, ("fp32",), None, 0.01)


def test_after_qat_fp32_is_the_network_before_it_and_only_int8_is_adapted(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A real training of one epoch, and a drop that int8 holds only after it."""
    monkeypatch.setattr(module, "Quantize", lambda first, most, **more: Quantize(first, most, qat=Qat(1), **more))
    model, out = made / "run/models" / str(TRIAL), tmp_path / "new"
    data, seen = load_run(made / "run").settings.dataset, list[object]()
    place = deploy(Job(model, None, ("int8",), None, 0.99, "", {}, data), out, on_training=seen.append)
    card = read_card(place)
    assert "int8 after QAT loses" in card.steps[-1] and card.steps[-1].endswith("1 epoch of QAT")
    assert seen  # the training's progress is shown
    kept, first = find_model(Calibration(out), card), load_trained(model)
    assert not all(tensor.equal(first.weights[name]) for name, tensor in kept.weights.items())  # QAT's

    def weights(path: Path) -> list[np.ndarray]:
        graph = onnx.load(path).graph
        return [onnx.numpy_helper.to_array(t) for t in graph.initializer if len(t.dims) == 4]

    before = weights(version_folder(made / "out") / "model-fp32.onnx")
    assert all(np.array_equal(a, b) for a, b in zip(before, weights(place / "model-fp32.onnx"), strict=True))
    with np.load(place / ARRAYS) as arrays:
        assert {name.partition("/")[0] for name in arrays.files if "/" in name} == {"int8"}


def test_a_network_is_trained_in_full_first(made: Path, tmp_path: Path) -> None:
    """One epoch; its model is that of nas train, in the run's folder, and the next deployment trains no more."""
    run = shutil.copytree(made / "run", tmp_path / "run")
    training, said = TrainingOptions(epochs=1), list[str]()
    place = deploy(job_of_run(run, TRIAL, training=training), tmp_path / "new", tell=said.append)
    card = read_card(place)
    assert card.weights == "full" and card.run == "run" and card.trial == TRIAL and card.recipe["epochs"] == 1
    assert (run / "trained" / str(TRIAL) / "model.json").exists() and "train it in full" in said[0]
    assert read_facts(place).side == 13  # as its dataset keeps the pictures
    assert "not to deploy" not in page_of(place)


def test_a_version_carries_what_adapts_its_files_on_the_board(out: Path) -> None:
    place = out / "versions/1"
    pixels = np.random.default_rng(0).normal(0, 1, (64, 1, 3, 24, 24)).astype(np.float32)
    for precision in ("fp32", "int8"):
        file = place / f"model-{precision}.onnx"
        model = file.read_bytes()
        folding = Folding((place / GRAPH).read_bytes, (place / ARRAYS).read_bytes(), file.read_bytes, precision)
        adapted = folding.folded(*folding.statistics(list(pixels)))
        assert len(adapted) == len(model) and adapted != model
        assert np.isfinite(OnnxRuntime().session(adapted)(pixels[0])).all()


def test_a_full_training_that_is_there_is_deployed_and_one_that_was_begun_goes_on(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By nas train, with options of its own; an option of the training that it was not made with is refused."""
    run = shutil.copytree(made / "run", tmp_path / "run")

    def stop(given: object) -> None:
        os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        train(run, pick=TRIAL, options=TrainingOptions(epochs=2, seed=5), on_progress=stop)
    said: list[str] = []
    with pytest.raises(UserError, match="another training was begun there, its epochs is 2, not 1"):
        deploy(job_of_run(run, TRIAL, training=TrainingOptions(epochs=1)), tmp_path / "new")
    place = deploy(job_of_run(run, TRIAL, training=USUAL), tmp_path / "new", tell=said.append)
    assert "go on with the full training" in said[0] and "training: 2 epochs, about" in said[4]
    assert read_card(place).recipe["seed"] == 5 and read_card(place).weights == "full"
    said.clear()
    for training in (USUAL, None, TrainingOptions(epochs=2, seed=5)):
        assert deploy(job_of_run(run, TRIAL, training=training), tmp_path / "new", tell=said.append) == place
    assert said.count("version 1 was made by this command already; it is in use") == 3
    with pytest.raises(UserError, match="holds the model of another training"):
        deploy(job_of_run(run, TRIAL, training=TrainingOptions(epochs=1)), tmp_path / "other")
    written = build(run, pick=TRIAL, onnx=tmp_path / "best.onnx")
    facts = {p.key: p.value for p in onnx.load(str(written.path)).metadata_props}
    assert "full training" in facts["lineage"] and load_source(run, pick=TRIAL).folder == run / "trained" / str(TRIAL)


def test_an_older_models_missing_side_is_that_of_its_dataset(made: Path, tmp_path: Path) -> None:
    """Pictures of 13 pixels a side: without it the board would scale from the file's own size, to other pixels."""
    model = load_trial(made / "run", TRIAL)
    older = replace(model, preprocessing=replace(model.preprocessing, side=0))
    save_trained(tmp_path / "older", older)
    data = load_run(made / "run").settings.dataset
    place = deploy(Job(tmp_path / "older", None, ("fp32",), None, dataset=data), tmp_path / "new")
    assert read_facts(place).side == 13
    first, again = (read_card(p).models["fp32"].test for p in (version_folder(made / "out"), place))
    assert first == again


@pytest.mark.parametrize("said", ["stopped in epoch 2 of 4; the same command goes on, and so does --resume", ""])
def test_an_interrupt_says_that_the_same_command_goes_on(
    said: str, made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the training, and in another step: nas deploy has no --resume."""

    def stop(*given: object, **more: object) -> None:
        raise KeyboardInterrupt(said)

    monkeypatch.setattr(module, "_train", stop)
    shown = call(capsys, monkeypatch, "deploy", str(made / "run"), "--pick", "0", "--out", str(tmp_path / "new"))
    assert shown.status == 130 and shown.err.endswith("; the same command goes on\n")
    assert "--resume" not in shown.err
