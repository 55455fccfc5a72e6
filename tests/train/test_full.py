"""Training in full: the folder that it writes, and that nothing which happens on the way is lost."""

from __future__ import annotations

import csv
import os
import resource
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from nas.data.dataset import Dataset
from nas.errors import UserError
from nas.files.lock import locked
from nas.models.trained import Lineage, TrainedModel, load_trained
from nas.numbers import percent
from nas.tasks.classification import Classification
from nas.train import training
from nas.train.full import train_full
from nas.train.full_folder import read_begun, read_result, work_folder
from nas.train.full_recipe import FullRecipe
from nas.train.loop import evaluate
from nas.train.pilot import TrainingPlan
from nas.train.resumption import FullProgress
from nas.train.rounding import quantized
from tests.kills import moments_of, run_kills
from tests.train.lessons import CPU, few_digits, short_recipe, small_network

FILES = ["curve.csv", "curve.html", "model.json", "result.json", "weights.safetensors"]


@pytest.fixture(scope="module")
def digits() -> Dataset:
    return few_digits()


def train(folder: Path, digits: Dataset, recipe: FullRecipe | None = None, **given: Any) -> TrainedModel:
    return train_full(small_network(), digits, recipe or short_recipe(), folder, **{"device": CPU, **given})


def equal(first: TrainedModel, second: TrainedModel) -> bool:
    return first.weights.keys() == second.weights.keys() and all(
        torch.equal(tensor, second.weights[name]) for name, tensor in first.weights.items()
    )


def test_digits_are_learned_in_full_and_the_folder_says_what_came_of_it(tmp_path: Path) -> None:
    digits, seen = few_digits(600, 200), list[FullProgress]()
    model = train(
        tmp_path / "17", digits, short_recipe(images=600, epochs=8), precision="int8", on_progress=seen.append,
        lineage=Lineage("run-1", 17, (), {"space": "ab"}),
    )  # fmt: skip
    assert sorted(p.name for p in tmp_path.rglob("*") if p.name != "17") == FILES
    again = load_trained(tmp_path / "17")
    assert equal(model, again) and again.network == small_network() and again.precision == "int8"
    assert again.lineage.run == "run-1" and again.lineage.trial == 17 and again.lineage.steps == ("full training",)
    assert again.lineage.hashes["space"] == "ab" and again.lineage.hashes["dataset"] == digits.fingerprint
    assert again.recipe["epochs"] == 8 and again.recipe["optimizer"] == "sgd" and again.recipe["teacher"] == "none"
    result, task = read_result(tmp_path / "17"), Classification(digits.classes)
    assert (result.epochs, result.steps) == (8, 8 * (600 // 32)) and list(result.accuracy) == ["fp32", "int8"]
    for kind, said in result.accuracy.items():
        deployed = quantized(again.module(), kind, digits.train, 8)  # type: ignore[arg-type]
        assert said.test == evaluate(deployed, task, digits.test_split(), 8), kind
        assert said.validation == evaluate(deployed, task, digits.validation, 8), kind
        assert (said.validation_images, said.test_images) == (200, len(digits.test_split()))
    assert result.accuracy["fp32"].test > 0.6
    rows = list(csv.DictReader((tmp_path / "17/curve.csv").open()))
    assert [row["epoch"] for row in rows] == [str(n) for n in range(1, 9)]
    assert float(rows[-1]["validation_accuracy"]) == pytest.approx(result.accuracy["fp32"].validation)
    assert float(rows[-1]["train_loss"]) < float(rows[0]["train_loss"]) and float(rows[0]["seconds"]) > 0
    assert [p.step for p in seen] == list(range(1, result.steps + 1)) and seen[-1].seconds_left == 0
    assert seen[0].loss is None and seen[-1].accuracy == result.accuracy["fp32"].validation


def test_the_learning_curve_is_a_page(digits: Dataset, tmp_path: Path) -> None:
    train(tmp_path / "17", digits, precision="int8", lineage=Lineage("<my> run", 17))
    page, result = (tmp_path / "17/curve.html").read_text(), read_result(tmp_path / "17")
    assert "Trial 17 of &lt;my&gt; run, trained in full" in page and page.count("<svg viewBox") == 2
    for precision in ("fp32", "int8"):
        reached = result.accuracy[precision]
        assert f'<th scope="row">{precision}</th><td class="n">{percent(reached.test)} of {reached.test_images}' in page


def test_a_training_that_has_ended_is_not_done_again(digits: Dataset, tmp_path: Path) -> None:
    first = train(tmp_path / "17", digits)
    before = (tmp_path / "17/model.json").stat().st_mtime_ns
    seen: list[FullProgress] = []
    assert equal(first, train(tmp_path / "17", digits, on_progress=seen.append))
    assert not seen and (tmp_path / "17/model.json").stat().st_mtime_ns == before
    assert not equal(first, train(tmp_path / "other", digits, seed=1))


def test_a_training_that_is_killed_goes_on_to_the_same_weights(tmp_path: Path, pytestconfig: pytest.Config) -> None:
    """AdamW, mixup, int8."""
    (found,) = run_kills("tests.train.kills", tmp_path, moments_of(pytestconfig, 10))
    assert found["moments"] >= 10 and found["operations"] > 0 and found["wrong"] == {}


@pytest.mark.parametrize("step", [1, 3, 5])
def test_an_interrupt_keeps_the_steps_so_far(digits: Dataset, tmp_path: Path, step: int) -> None:
    whole = train(tmp_path / "whole", digits)
    seen: list[int] = []

    def press(progress: FullProgress) -> None:
        seen.append(progress.step)
        if progress.step == step:
            os.kill(os.getpid(), signal.SIGINT)

    handler = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt, match=rf"^stopped in epoch {1 + step // 3} of 2; .*--resume$"):
        train(tmp_path / "17", digits, on_progress=press)
    assert seen == list(range(1, step + 1)) and not (tmp_path / "17").exists()
    assert signal.getsignal(signal.SIGINT) is handler
    begun = read_begun(tmp_path / "17")
    assert begun is not None and begun.recipe == short_recipe() and begun.seed == 0
    assert equal(whole, train(tmp_path / "17", digits, on_progress=lambda p: seen.append(p.step)))
    assert seen == list(range(1, 7))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["17", "whole"]


def test_a_loss_that_is_not_finite_is_one_line_and_leaves_nothing(digits: Dataset, tmp_path: Path) -> None:
    wild = short_recipe(hyperparameters={"optimizer": "sgd", "learning_rate": 1e30})
    with pytest.raises(UserError, match=r"17: \w+ not finite at epoch 1; train anew with a smaller .*was 1e\+30"):
        train(tmp_path / "17", digits, wild)
    with pytest.raises(UserError, match="not finite at"):
        train(tmp_path / "17", digits, wild, save_seconds=0.0)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB"),
        RuntimeError("[enforce fail at alloc_cpu.cpp:114] DefaultCPUAllocator: can't allocate memory: you tried ..."),
        MemoryError(),
    ],
)
def test_too_little_memory_is_one_line_and_the_training_goes_on_later(
    error: Exception, digits: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, measure = train(tmp_path / "whole", digits), training.measure

    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(training, "measure", fail)
    with pytest.raises(UserError, match="17: not enough memory for batches of 32 images of 8 pixels; take a smaller"):
        train(tmp_path / "17", digits, save_seconds=0.0)
    assert (work_folder(tmp_path / "17") / "training.safetensors").exists()
    monkeypatch.setattr(training, "measure", measure)
    assert equal(whole, train(tmp_path / "17", digits))


def test_another_error_keeps_its_traceback(digits: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    monkeypatch.setattr(training, "measure", fail)
    with pytest.raises(RuntimeError, match="mat1 and mat2"):
        train(tmp_path / "17", digits)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("most", [100, 5000])
@pytest.mark.parametrize("step", [0, 3])
def test_a_full_disk_loses_nothing(digits: Dataset, tmp_path: Path, most: int, step: int) -> None:
    """From a step on files may not grow beyond so many bytes: neither the record nor a checkpoint, or only that."""
    whole = train(tmp_path / "whole", digits)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)

    def fill(progress: FullProgress | None = None) -> None:
        if (progress.step if progress else 0) == step:
            resource.setrlimit(resource.RLIMIT_FSIZE, (most, limits[1]))

    try:
        fill()
        with pytest.raises(UserError, match=r"cannot write .*File too large"):
            train(tmp_path / "17", digits, save_seconds=0.0, on_progress=fill)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, before)
    assert not list(tmp_path.rglob("*.part")) and (read_begun(tmp_path / "17") is not None) == (step > 0)
    seen: list[int] = []
    assert equal(whole, train(tmp_path / "17", digits, on_progress=lambda p: seen.append(p.step)))
    assert seen[0] == max(1, step)


def stopped(folder: Path, digits: Dataset) -> None:
    """A training that was begun, and interrupted after its first step."""
    with pytest.raises(KeyboardInterrupt):
        train(folder, digits, on_progress=lambda p: os.kill(os.getpid(), signal.SIGINT))


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"recipe": short_recipe(epochs=3)}, "its epochs is 2, not 3"),
        ({"recipe": replace(short_recipe(), learning_rate=0.05)}, "its learning_rate is 0.1, not 0.05"),
        ({"seed": 4}, "its seed is 0, not 4"),
        ({"minutes": 5.0}, r"its minutes is 0\.0, not 5\.0"),
        ({"fingerprint": "0" * 64}, "of other images, of another network or with another teacher"),
    ],
)
def test_a_training_with_other_settings_is_not_thrown_away(
    changed: dict[str, Any], message: str, tmp_path: Path
) -> None:
    digits = few_digits()
    if "fingerprint" in changed:
        changed = {"digits": replace(few_digits(90), **changed)}
    stopped(tmp_path / "17", digits)
    with pytest.raises(UserError, match=rf"17: another training was begun there, {message}; nas train goes on with"):
        train(tmp_path / "17", **{"digits": digits, **changed})
    assert read_begun(tmp_path / "17") is not None
    forced = train(tmp_path / "17", **{"digits": digits, **changed}, force=True)
    assert equal(forced, train(tmp_path / "other", **{"digits": digits, **changed}))
    with pytest.raises(UserError, match="holds the model of another training; nas train replaces it with --force"):
        train(tmp_path / "17", digits)
    assert equal(forced, load_trained(tmp_path / "17"))


def test_a_link_is_refused_before_the_training(digits: Dataset, tmp_path: Path) -> None:
    """A whole folder takes its place by a rename, which no link allows: that was found out after the last step."""
    (tmp_path / "full").mkdir()
    for name, target in (("dangling", "nowhere"), ("loop", "loop"), ("elsewhere", "full")):
        (tmp_path / name).symlink_to(target)
        for force in (False, True):
            with pytest.raises(UserError, match=f"{name} is a link, which a folder cannot replace"):
                train(tmp_path / name, digits, force=force)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["dangling", "elsewhere", "full", "loop"]


def test_a_folder_of_something_else_is_left_alone(digits: Dataset, tmp_path: Path) -> None:
    (tmp_path / "holiday").mkdir()
    (tmp_path / "holiday/beach.txt").write_text("sun")
    (tmp_path / "file").write_text("mine")
    (tmp_path / "empty").mkdir()
    for name in ("holiday", "file", "/"):
        for force in (False, True):
            with pytest.raises(UserError, match="exists and is not a model's folder; choose another one with --out"):
                train(tmp_path / name, digits, force=force)
    assert (tmp_path / "holiday/beach.txt").read_text() == "sun" and (tmp_path / "file").read_text() == "mine"
    train(tmp_path / "empty", digits, short_recipe(epochs=1))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["empty", "file", "holiday"]


def test_two_processes_do_not_train_in_one_folder(digits: Dataset, tmp_path: Path) -> None:
    with locked(work_folder(tmp_path / "17")), pytest.raises(UserError, match=r"another process is training in .*17"):
        train(tmp_path / "17", digits)


def test_a_network_of_other_classes_or_another_size_is_refused(digits: Dataset, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="a network of 7 classes cannot learn the 10 of digits"):
        train_full(small_network(classes=7), digits, short_recipe(), tmp_path / "17")
    with pytest.raises(UserError, match="a network of 8 pixels must be trained there; got 16"):
        train(tmp_path / "17", digits, short_recipe(resolution=16))
    model = train(tmp_path / "m", digits)
    named = replace(digits, classes=tuple("abcdefghij"))
    with pytest.raises(
        UserError, match=r"a model of the classes 0, 1, 2, \.\.\. cannot learn .* a, b, c, \.\.\. of dig"
    ):
        train_full(model, named, short_recipe(), tmp_path / "17")
    assert [p.name for p in tmp_path.iterdir()] == ["m"]


def test_what_a_training_will_take_is_said_before_its_first_step_and_when_it_goes_on(
    digits: Dataset, tmp_path: Path
) -> None:
    plans: list[TrainingPlan] = []
    steps: list[int] = []

    def press(progress: FullProgress) -> None:
        steps.append(progress.step)
        os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "17", digits, on_plan=plans.append, on_progress=press)
    train(tmp_path / "17", digits, on_plan=lambda plan: plans.append(plan), on_progress=lambda p: steps.append(p.step))
    assert steps == list(range(1, 7)) and [(plan.epochs, plan.wanted) for plan in plans] == [(2, 2), (2, 2)]
    assert all(plan.seconds > 0 for plan in plans)
    train(tmp_path / "short", digits, minutes=1e-9, on_plan=plans.append)
    assert (plans[2].epochs, plans[2].wanted) == (1, 2)
    assert "1 of 2 epochs fit" in plans[2].text and plans[2].text.endswith("(--epochs 2)")


def test_a_model_is_trained_on_from_its_weights(digits: Dataset, tmp_path: Path) -> None:
    """As a pruned one is: it brings its precision and what was done to it along."""
    first = train(tmp_path / "first", digits, precision="int8", lineage=Lineage("r", 1, ("pruning",)))
    still = replace(short_recipe(), learning_rate=1e-30, weight_decay=0.0)
    second = train_full(first, digits, still, tmp_path / "second", device=CPU)
    assert second.precision == "int8" and second.lineage.steps == ("pruning", "full training", "full training")
    for name, tensor in first.weights.items():
        if "running" not in name and "tracked" not in name:
            torch.testing.assert_close(second.weights[name], tensor, rtol=1e-6, atol=1e-7)


def test_a_short_time_is_one_epoch_and_a_long_one_the_recipes(digits: Dataset, tmp_path: Path) -> None:
    short = train(tmp_path / "short", digits, minutes=1e-9)
    assert short.recipe["epochs"] == 1 and read_result(tmp_path / "short").epochs == 1
    long = train(tmp_path / "long", digits, minutes=1e6)
    assert long.recipe["epochs"] == 2 and equal(long, train(tmp_path / "none", digits))


@pytest.mark.parametrize("damage", ["truncated", "other", "nan", "far"])
def test_a_damaged_checkpoint_is_refused_by_name(damage: str, digits: Dataset, tmp_path: Path) -> None:
    stopped(tmp_path / "17", digits)
    file = work_folder(tmp_path / "17") / "training.safetensors"
    from safetensors.torch import load, save

    tensors = load(file.read_bytes())
    change: dict[str, Callable[[], bytes]] = {
        "truncated": lambda: file.read_bytes()[:1000],
        "other": lambda: save({"x": torch.zeros(1)}),
        "nan": lambda: save(tensors | {"model/classifier.bias": torch.full((10,), torch.nan)}),
        "far": lambda: save(tensors | {"step": torch.tensor(99)}),
    }
    file.write_bytes(change[damage]())
    with pytest.raises(UserError, match=rf"{file.name}: .*; remove the file to train anew$"):
        train(tmp_path / "17", digits)
    file.unlink()
    assert equal(train(tmp_path / "17", digits), train(tmp_path / "whole", digits))


def test_a_full_training_does_not_touch_test_images_before_its_end(
    digits: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[int] = []
    looked: list[int] = []
    split = Dataset.test_split
    monkeypatch.setattr(Dataset, "test_split", lambda self: looked.append(len(steps)) or split(self))
    train(tmp_path / "17", digits, on_progress=lambda p: steps.append(p.step))
    assert looked == [6]
