"""Quantization-aware training: weights that fit the network, what is lost measured against the float model before."""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from nas.compress import qat
from nas.compress.finetune import NotFinite, Tuned
from nas.compress.ladder import Ladder
from nas.compress.qat import Qat
from nas.compress.quantize import Quantize, calibration_images
from nas.compress.step import Given
from nas.data.dataset import Dataset
from nas.errors import UserError
from nas.models.int8 import Int8
from nas.models.trained import TrainedModel, load_trained, save_trained
from nas.runtimes.onnxruntime import OnnxRuntime
from nas.tasks.classification import Classification
from nas.train.loop import evaluate
from nas.train.resumption import FullProgress
from nas.train.rounding import quantized
from tests.compress.networks import SIDE, digits, trained, uneven


def few(images: int = 200) -> Dataset:
    return replace(digits(), train=digits().train.subset(torch.arange(images)))


def given(folder: Path, lines: list[str] | None = None, data: Dataset | None = None) -> Given:
    return Given(data or few(), 0, folder, on_progress=(lines if lines is not None else []).append)


def equal(first: Mapping[str, Tensor], second: Mapping[str, Tensor]) -> bool:
    return first.keys() == second.keys() and all(torch.equal(t, second[name]) for name, t in first.items())


def test_int8_after_qat_is_a_model_like_any_other(tmp_path: Path) -> None:
    lines: list[str] = []
    made = Quantize("int8", qat=Qat(epochs=1)).apply(trained(), given(tmp_path, lines))
    assert made.precision == "int8" and Int8.of(made) == Int8() and made.network == trained().network
    assert not equal(made.weights, trained().weights)
    made.module()  # the weights fit
    assert [line.split(" loses")[0] for line in lines if " loses" in line] == ["int8", "int8 after QAT"]
    assert "% with int8's rounding, not yet fine-tuned" in "\n".join(lines)
    *before, line = made.lineage.steps
    assert before == ["training"] and line.startswith("quantize: int8 after QAT loses ")
    assert line.endswith("; 1 epoch of QAT")
    save_trained(tmp_path / "model", made)
    again = load_trained(tmp_path / "model")
    written = OnnxRuntime().export(again, tmp_path / "net.onnx", calibration=calibration_images(digits()))
    assert equal(again.weights, made.weights) and written.agreement > 0.9


def test_what_int8_loses_comes_back_and_not_by_training_as_long_without_rounding(tmp_path: Path) -> None:
    """Some channels are 60 times larger than others of their tensor, which all have one scale: int8 loses points."""
    model = replace(uneven(60), recipe={"optimizer": "sgd", "learning_rate": 0.1})
    task, accuracy = Classification(model.classes), {}
    arms = {"PTQ": None, "control": Qat(2, rounding="none"), "QAT": Qat(2)}
    for name, arm in arms.items():
        (tmp_path / name).mkdir()
        made = model if arm is None else arm.train(model, Given(digits(), 0, tmp_path / name))
        deployed = quantized(made.module(), "int8", digits().train, SIDE)
        accuracy[name] = evaluate(deployed, task, digits().validation, SIDE)
    assert accuracy["PTQ"] < 0.87 and accuracy["control"] < 0.89 and accuracy["QAT"] > 0.92, accuracy


def test_equal_seeds_give_equal_weights_and_all_that_is_asked_changes_them(tmp_path: Path) -> None:
    found = {}
    for name, asked, seed in (
        ("first", Qat(1), 0), ("again", Qat(1), 0), ("seed", Qat(1), 1), ("taught", Qat(1, taught=True), 0),
        ("rate", Qat(1, 1e-4), 0), ("control", Qat(1, rounding="none"), 0),
    ):  # fmt: skip
        (tmp_path / name).mkdir()
        found[name] = asked.train(trained(), Given(few(96), seed, tmp_path / name)).weights
    assert equal(found["first"], found["again"])
    assert not any(equal(found["first"], weights) for name, weights in found.items() if name not in ("first", "again"))


def test_stopped_at_any_step_it_goes_on_to_the_same_weights(tmp_path: Path) -> None:
    """Weights, their average and the ranges are kept; the step's folder is all that it needs."""
    data, seen = few(96), list[int]()  # three steps an epoch
    (tmp_path / "whole").mkdir()
    whole = Qat(2).train(trained(), Given(data, 0, tmp_path / "whole")).weights

    def press(progress: FullProgress) -> None:
        seen.append(progress.step)
        if progress.step in (2, 4):
            os.kill(os.getpid(), signal.SIGINT)

    folder = tmp_path / "stopped"
    folder.mkdir()
    for epoch in (1, 2):
        with pytest.raises(KeyboardInterrupt, match=rf"^stopped in epoch {epoch} of 2; the same command goes on$"):
            Qat(2).train(trained(), Given(data, 0, folder, on_training=press))
    assert equal(whole, Qat(2).train(trained(), Given(data, 0, folder, on_training=press)).weights)
    assert seen == [1, 2, 3, 4, 5, 6]


def test_the_recipe_is_the_models_own_and_gentler() -> None:
    model = replace(
        trained(), recipe={"optimizer": "sgd", "learning_rate": 0.1, "batch_size": 48, "weight_decay": 0.01}
    )
    recipe = Qat(7).recipe(model)
    assert (recipe.epochs, recipe.batch_size, recipe.rounding) == (7, 48, "int8")
    assert recipe.learning_rate == pytest.approx(0.03) and recipe.weight_decay == 0.01
    assert Qat(7, 0.5).recipe(model).learning_rate == 0.5


def test_a_loss_that_is_not_finite_is_one_line_and_keeps_nothing(tmp_path: Path) -> None:
    with pytest.raises(NotFinite, match=r"cannot be fine-tuned: .*not finite at epoch 1; the learning rate was 1e\+30"):
        Qat(1, 1e30).train(trained(), given(tmp_path))
    assert list(tmp_path.iterdir()) == []


def trainings(monkeypatch: pytest.MonkeyPatch, *given: TrainedModel | None) -> None:
    """QAT gives these models, one after the other; None is a training that fails."""
    left = list(given)

    def tuned(*_: object, **__: object) -> Tuned:
        model = left.pop(0)
        if model is None:
            raise NotFinite("the network cannot be fine-tuned: loss not finite at epoch 1")
        return Tuned(model, 0.9, 0.5, 0.9, 5)

    monkeypatch.setattr(qat, "fine_tuned", tuned)


def names(lines: list[str]) -> list[str]:
    return [line.split(" loses")[0] for line in lines if " loses" in line]


def test_the_ladder_trains_where_blocks_in_float_do_not_help(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Against the float model before the training, and not against what the training made of it."""
    monkeypatch.setattr("nas.compress.ladder.FLOAT_SHARE", 0.2)
    trainings(monkeypatch, trained())
    lines: list[str] = []
    made = Quantize("int8", 0.01).apply(uneven(), given(tmp_path, lines, digits()))
    assert names(lines) == ["int8", "int8, in float blocks.1.0", "int8 after QAT"]
    assert made.precision == "int8" and equal(made.weights, trained().weights) and Int8.of(made) == Int8()
    assert made.lineage.steps[-1].endswith("; 5 epochs of QAT")


def test_after_a_training_that_does_not_help_comes_fp16_of_the_weights_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nas.compress.ladder.FLOAT_SHARE", 0.2)
    model = uneven()
    trainings(monkeypatch, uneven(400))
    lines: list[str] = []
    made = Quantize("int8", 0.01).apply(model, given(tmp_path, lines, digits()))
    assert names(lines) == [
        "int8", "int8, in float blocks.1.0", "int8 after QAT", "int8 after QAT, in float blocks.1.0", "fp16",
    ]  # fmt: skip
    assert made.precision == "fp16" and made.weights is model.weights and "QAT" not in made.lineage.steps[-1]


def test_a_training_that_fails_does_not_end_the_ladder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nas.compress.ladder.FLOAT_SHARE", 0.0)
    trainings(monkeypatch, None, None)
    lines: list[str] = []
    made = Quantize("int8", 0.01).apply(uneven(), given(tmp_path, lines, digits()))
    assert made.precision == "fp16" and names(lines) == ["int8", "fp16"]
    assert "loss not finite at epoch 1; there is no int8 after QAT" in "\n".join(lines)
    with pytest.raises(NotFinite):  # asked for, it does
        Quantize("int8", 0.01, qat=Qat()).apply(uneven(), given(tmp_path, lines, digits()))


def test_asked_for_it_comes_first_and_is_not_done_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nas.compress.ladder.FLOAT_SHARE", 0.2)
    trainings(monkeypatch, uneven(400))
    lines: list[str] = []
    Quantize("int8", 0.01, qat=Qat()).apply(uneven(), given(tmp_path, lines, digits()))
    assert names(lines) == ["int8", "int8 after QAT", "int8 after QAT, in float blocks.1.0", "fp16"]


def test_what_qat_made_is_measured_in_every_precision(tmp_path: Path) -> None:
    lines: list[str] = []
    ladder = Ladder(OnnxRuntime().variants(uneven(), calibration_images(digits())), digits().validation, lines.append)
    rung = ladder.trained_on(Int8(), trained)
    assert rung.tuned is not None and abs(rung.drop.value) <= 0.02 and rung.name == "int8 after QAT"
    whole = ladder.measure("fp32", None, rung.tuned)
    assert whole.drop.images == len(digits().validation) and abs(whole.drop.value) <= 0.005


def test_what_cannot_be_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="at least 1 epoch; got 0"):
        Qat(0)
    for rate in (0.0, -1.0, float("nan"), float("inf")):
        with pytest.raises(UserError, match="learning_rate must be above 0"):
            Qat(1, rate)
    for precision, scheme in (("fp16", "static"), ("int8", "dynamic")):
        with pytest.raises(UserError, match="quantization-aware training is for int8"):
            Quantize(precision, scheme=scheme, qat=Qat())  # type: ignore[arg-type]
    one = digits().train.subset(torch.where(digits().train.labels == 3)[0])
    with pytest.raises(UserError, match="at least two classes"):  # before anything is trained
        Quantize(qat=Qat()).apply(trained(), given(tmp_path, data=replace(digits(), train=one)))
    odd = replace(trained(), recipe={"optimizer": "adagrad"})
    with pytest.raises(UserError, match="unknown optimizer 'adagrad'"):
        Qat().train(odd, given(tmp_path))
    assert list(tmp_path.iterdir()) == []
