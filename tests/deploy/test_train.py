"""A network of a run, trained in full: which network, which images, which recipe, and what is refused."""

from __future__ import annotations

import os
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from nas.data.dataset import Dataset
from nas.deploy import images
from nas.deploy.source import load_source
from nas.deploy.train import TrainingOptions, gpus_used, train
from nas.errors import UserError
from nas.models.trained import TrainedModel, load_trained
from nas.run import Run
from nas.runtimes.onnxruntime import OnnxRuntime
from nas.search.models import save_model
from nas.space.search_space import load_space
from nas.train.full_folder import read_result
from tests.deploy.runs import digits, make_tiny_run
from tests.search.small_tasks import marked

QUICK = TrainingOptions(epochs=1, batch_size=32)


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> Dataset:
    """In the place of every dataset."""
    dataset = digits()
    monkeypatch.setattr(images, "load_dataset", lambda *_, **__: dataset)
    return dataset


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return make_tiny_run(tmp_path / "run")


def test_a_trial_is_trained_with_its_hyperparameters_at_its_resolution(run: Run, few: Dataset, tmp_path: Path) -> None:
    folder, model = train(run, pick=1, options=QUICK)
    candidate = run.trials[1].candidate
    assert folder == run.path / "trained" / "1" and model.network == load_space("tiny").network(candidate, 10)
    assert model.precision == "int8" and model.preprocessing.resolution == 24
    for name in ("weight_decay", "label_smoothing"):
        assert model.recipe[name] == candidate[name]
    assert model.recipe["learning_rate"] == pytest.approx(2 * float(candidate["learning_rate"]))  # batches of 16
    assert model.recipe["optimizer"] == "sgd" and model.recipe["resolution"] == 24
    lineage = load_trained(folder).lineage
    assert (lineage.run, lineage.trial, lineage.steps) == ("run", 1, ("full training",))
    assert lineage.hashes["space"] == run.settings.space_sha256 and lineage.hashes["dataset"] == few.fingerprint
    assert set(read_result(folder).accuracy) == {"fp32", "int8"}
    assert load_source(folder).dataset_name == "digits" and load_source(folder).seed == run.settings.seed
    written = OnnxRuntime().export(replace(load_trained(folder), precision="fp32"), tmp_path / "out.onnx")
    assert written.input_shape == (3, 24, 24) and written.difference < 1e-3


def test_the_folder_of_a_run_and_a_trial_do_as_well(run: Run, tmp_path: Path) -> None:
    folder, _ = train(str(run.path), pick=run.trials[0], options=QUICK, out=tmp_path / "mine")
    assert folder == tmp_path / "mine" and load_trained(folder).lineage.trial == 0
    assert not (run.path / "trained").exists()


def test_options_change_what_the_candidate_chose(run: Run) -> None:
    options = TrainingOptions(
        epochs=1, batch_size=8, learning_rate=0.01, augmentation="none", mixup=0.3, balanced=True, seed=3
    )
    _, model = train(run, pick=0, options=options)
    found = {name: model.recipe[name] for name in ("batch_size", "augmentation", "mixup", "class_weights", "seed")}
    assert found == {
        "batch_size": 8, "augmentation": "none", "mixup": 0.3, "class_weights": "balanced", "seed": 3
    }  # fmt: skip
    assert (model.recipe["learning_rate"], model.recipe["optimizer"]) == (0.01, "sgd")


def test_the_network_is_that_of_the_kept_model_where_there_is_one(run: Run) -> None:
    """Also after the space has changed."""
    changed = make_tiny_run(run.path, space_sha256="0" * 64)
    with pytest.raises(UserError, match=r"space tiny has changed since .*run was searched, and no model of trial 1 is"):
        train(changed, pick=1, options=QUICK)
    network = load_space("tiny").network(run.trials[1].candidate, 10)
    save_model(run.path, run.settings, 1, marked(network, run.trials[1].candidate, 0.5))
    assert train(changed, pick=1, options=QUICK)[1].network == network


def test_resume_keeps_the_options_that_it_was_begun_with(run: Run) -> None:
    options = TrainingOptions(epochs=2, batch_size=16, learning_rate=0.03, seed=2)
    with pytest.raises(UserError, match="1: no training that could be resumed was begun there"):
        train(run, pick=1, resume=True)
    with pytest.raises(KeyboardInterrupt, match="stopped in epoch 1 of 2; the same command"):
        train(run, pick=1, options=options, on_progress=lambda p: os.kill(os.getpid(), signal.SIGINT))
    with pytest.raises(UserError, match=r"--resume keeps the options .*; leave out epochs"):
        train(run, pick=1, options=replace(options), resume=True)
    with pytest.raises(UserError, match=r"another training was begun there, its epochs is 2, not 1; .* --resume"):
        train(run, pick=1, options=replace(options, epochs=1))
    seen: list[int] = []
    _, model = train(run, pick=1, resume=True, on_progress=lambda p: seen.append(p.step))
    assert seen == list(range(2, 9)) and model.recipe["seed"] == 2 and model.recipe["learning_rate"] == 0.03
    _, whole = train(run, pick=1, options=options, out=run.path / "whole")
    assert all(torch.equal(tensor, whole.weights[name]) for name, tensor in model.weights.items())


@pytest.mark.parametrize(
    ("pick", "changed", "message"),
    [
        (7, {}, "run has no trial 7; its trials are 0 to 2"),
        (0, {"options": replace(QUICK, teacher="0")}, "trial 0 cannot be its own teacher"),
        (
            0,
            {"options": replace(QUICK, teacher="1")},
            "run has no weights: .*models is not there; nas train trains a trial anew",
        ),
        (0, {"options": replace(QUICK, teacher="9")}, "run has no trial 9; its trials are 0 to 2"),
        (0, {"options": replace(QUICK, teacher="best")}, "a teacher must be a trial's number, .* or none; got 'best'"),
        (0, {"options": replace(QUICK, learning_rate=-1.0)}, "learning_rate must be above 0 .*; got -1"),
        (0, {"options": replace(QUICK, batch_size=1)}, "batch_size must be at least 2"),
        (0, {"options": replace(QUICK, alpha=2.0)}, "alpha must be from 0 to 1; got 2.0"),
        ("0", {}, "pick must be a trial, or its number; got '0'"),
    ],
)
def test_what_cannot_be_trained_is_one_line_and_writes_nothing(
    pick: Any, changed: dict[str, Any], message: str, run: Run
) -> None:
    with pytest.raises(UserError, match=message):
        train(run, pick=pick, **{"options": QUICK, **changed})
    assert not (run.path / "trained").exists()


def test_images_that_are_not_the_runs_are_refused(run: Run, few: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    other = replace(few, fingerprint="1" * 64)
    monkeypatch.setattr(images, "load_dataset", lambda *_, **__: other)
    with pytest.raises(UserError, match="digits has changed since the search"):
        train(run, pick=0, options=QUICK)
    unknown = make_tiny_run(run.path, dataset_sha256="")
    monkeypatch.setattr(images, "load_dataset", lambda *_, **__: replace(few, classes=tuple("abc")))
    with pytest.raises(UserError, match="a network of 10 classes cannot learn the 3 of digits"):
        train(unknown, pick=0, options=QUICK)
    assert not (run.path / "trained").exists()


def test_a_trial_teaches_with_the_weights_of_its_full_training_if_there_are_any(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    from nas.train import full

    taught: list[str] = []
    monkeypatch.setattr(full, "check_teacher", lambda teacher, *_: taught.append(teacher.fingerprint))
    candidate = run.trials[1].candidate
    kept: TrainedModel = marked(load_space("tiny").network(candidate, 10), candidate, 0.5)
    save_model(run.path, run.settings, 1, kept)
    options = replace(QUICK, teacher="1")
    folder, model = train(run, pick=0, options=options)
    assert model.lineage.steps == ("full training with the teacher 1",) and read_result(folder).teacher == "1"
    train(run, pick=1, options=QUICK)
    with pytest.raises(UserError, match="holds the model of another training"):  # of another teacher
        train(run, pick=0, options=options)
    train(run, pick=0, options=options, force=True)
    assert len(set(taught)) == 2


def test_a_training_from_pretrained_weights_is_resumed_from_them(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    from nas.deploy import train as module

    def doubled(model: TrainedModel) -> TrainedModel:
        lineage = replace(model.lineage, steps=("pretrained weights of timm:x",))
        return replace(model, weights={k: 2 * v for k, v in model.weights.items()}, lineage=lineage)

    monkeypatch.setattr(module, "pretrained", doubled)
    options = replace(QUICK, pretrained=True)
    with pytest.raises(KeyboardInterrupt):
        train(run, pick=1, options=options, on_progress=lambda p: os.kill(os.getpid(), signal.SIGINT))
    with pytest.raises(UserError, match=r"its start is pretrained weights of timm:x, not random weights"):
        train(run, pick=1, options=QUICK)
    _, model = train(run, pick=1, resume=True)
    assert model.lineage.steps == ("pretrained weights of timm:x", "full training") and model.lineage.trial == 1
    assert model.precision == "int8" and model.lineage.hashes["space"] == run.settings.space_sha256
    _, whole = train(run, pick=1, options=options, out=run.path / "whole")
    assert all(torch.equal(tensor, whole.weights[name]) for name, tensor in model.weights.items())


def test_several_gpus_share_a_training_and_that_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    gpu = torch.device("cuda")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    assert gpus_used(gpu, None, 64, taught=False) == (4, "4 of 4 GPUs share each batch of 64 images")
    assert gpus_used(gpu, 2, 64, taught=False) == (2, "2 of 4 GPUs share each batch of 64 images")
    assert gpus_used(gpu, 1, 64, taught=False) == (1, "one of 4 GPUs is used; CUDA_VISIBLE_DEVICES says which")
    assert gpus_used(gpu, None, 16, taught=False)[1].startswith("one of 4 GPUs is used; each must get at least 16")
    assert gpus_used(gpu, None, 64, taught=True)[1].startswith("one of 4 GPUs is used; with a teacher no more are;")
    for device, most in ((gpu, 4), (torch.device("cpu"), 0)):
        with pytest.raises(UserError, match=f"--gpus must be at most the number of GPUs .* here, {most}; got 5"):
            gpus_used(device, 5, 64, taught=False)
    assert gpus_used(torch.device("cpu"), None, 64, taught=False) == (1, "")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    assert gpus_used(gpu, None, 64, taught=False) == (1, "") == gpus_used(gpu, 1, 64, taught=False)
