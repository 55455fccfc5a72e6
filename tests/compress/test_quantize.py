"""int8 after training, and what is done where it loses too much."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from nas.compress.drop import answers
from nas.compress.ladder import Ladder, _numbers
from nas.compress.quantize import Quantize, calibration_images
from nas.compress.sensitivity import quantized_blocks, sensitivity
from nas.compress.step import Given
from nas.data.dataset import Dataset
from nas.errors import UserError
from nas.models.int8 import Int8
from nas.models.trained import TrainedModel, load_trained, save_trained
from nas.runtimes.images import network_inputs
from nas.runtimes.litert import LiteRT
from nas.runtimes.onnx.variants import Variants
from nas.runtimes.onnxruntime import OnnxRuntime
from nas.tasks.classification import Classification
from nas.train.loop import evaluate
from nas.train.rounding import quantized
from tests.compress.networks import SIDE, digits, trained, uneven


def apply(
    step: Quantize, model: TrainedModel, folder: Path, data: Dataset | None = None
) -> tuple[TrainedModel, list[str]]:
    lines: list[str] = []
    return step.apply(model, Given(data or digits(), 0, folder, on_progress=lines.append)), lines


@pytest.fixture(scope="module")
def ruined() -> Variants:
    return OnnxRuntime().variants(uneven(), calibration_images(digits()))


def test_int8_that_loses_little_is_taken_and_agrees_with_the_estimator(tmp_path: Path) -> None:
    """The accuracy of the deployed file is that which the search was told, within half a point."""
    made, lines = apply(Quantize("int8", 0.01), trained(), tmp_path)
    assert made.precision == "int8" and Int8.of(made) == Int8() and made.weights is trained().weights
    assert made.lineage.steps[:-1] == ("training",) and made.lineage.steps[-1].startswith("quantize: int8 loses ")
    assert len(lines) >= 2 and "% of 287 validation images" in lines[0] and "MB" in lines[1]
    told = evaluate(
        quantized(trained().module(), "int8", digits().train, SIDE), Classification(made.classes), digits().validation,
        SIDE,
    )  # fmt: skip
    ladder = Ladder(OnnxRuntime().variants(trained(), calibration_images(digits())), digits().validation, lines.append)
    drop = ladder.measure("int8", Int8()).drop
    deployed = float((ladder.fp32 == ladder.images.labels.numpy()).mean()) - drop.value
    assert abs(deployed - told) <= 0.005


def test_blocks_that_int8_ruins_stay_in_float(tmp_path: Path) -> None:
    made, lines = apply(Quantize("int8", 0.01), uneven(), tmp_path)
    said = "\n".join(lines)
    assert made.precision == "int8" and set(Int8.of(made).float_blocks) >= {"blocks.1.0", "blocks.1.1"}
    assert "more than 1 points" in said and "7 blocks quantized alone" in said
    kept = ", ".join(Int8.of(made).float_blocks)
    assert f"quantize: int8, in float {kept} loses" in made.lineage.steps[-1]
    losses = [float(line.split("loses ")[1].split(" points")[0]) for line in lines if " loses " in line]
    assert losses[0] > 20 and losses[-1] <= 1
    save_trained(tmp_path / "model", made)  # what an export needs is in the model's folder
    again = load_trained(tmp_path / "model")
    written = OnnxRuntime().export(again, tmp_path / "net.onnx", calibration=calibration_images(digits()))
    assert written.agreement > 0.9 and written.megabytes == pytest.approx(
        float(made.lineage.steps[-1].rpartition("; ")[2].removesuffix(" MB")), rel=0.05
    )


def test_the_blocks_that_suffer_are_found(ruined: Variants) -> None:
    blocks = quantized_blocks(ruined)
    assert blocks == ("conv_stem", "blocks.0.0", "blocks.1.0", "blocks.1.1", "global_pool", "conv_head", "classifier")
    order = sensitivity(ruined, blocks)
    assert {*list(order)[:4]} == {"blocks.1.0", "blocks.1.1", "global_pool", "conv_head"}
    assert list(order.values()) == sorted(order.values()) and order["conv_stem"] > 20 > 5 > order["blocks.1.1"]


def test_where_no_block_helps_it_is_fp16_and_then_fp32(ruined: Variants, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nas.compress.ladder.FLOAT_SHARE", 0.2)
    lines: list[str] = []
    ladder = Ladder(ruined, digits().validation, lines.append)
    first = ladder.measure("int8", Int8())
    assert ladder.descend(first, 0.01).precision == "fp16"
    assert [line.split(" loses")[0] for line in lines if " loses" in line] == [
        "int8",
        "int8, in float blocks.1.0",
        "fp16",
    ]
    original = ladder.answers
    monkeypatch.setattr(ladder, "answers", lambda *form: (original(*form)[0] * 0 - 1, 1.0))
    last = ladder.descend(first, 0.01)
    assert last.precision == "fp32" and last.drop.value == 0 and last.int8 is None


def test_without_a_limit_what_is_lost_is_said_and_taken(tmp_path: Path) -> None:
    made, lines = apply(Quantize("int8"), uneven(), tmp_path)
    assert made.precision == "int8" and len(lines) == 2 and float(lines[1].split()[2]) > 20


def test_a_loss_that_few_images_cannot_rule_out_is_said(tmp_path: Path) -> None:
    _, lines = apply(Quantize("fp16", 0.001), trained(), tmp_path)
    assert "fp16 holds 0.1 points as measured; on 287 images a loss of up to" in lines[-1]


def test_the_loss_is_that_in_the_runtime_that_is_asked_for(tmp_path: Path) -> None:
    pytest.importorskip("ai_edge_litert.schema_py_generated")
    made, lines = apply(Quantize("int8", 0.05, runtimes=("litert",)), trained(), tmp_path)
    assert "287 validation images in LiteRT;" in lines[0] and "images in LiteRT; " in made.lineage.steps[-1]
    validation, right = digits().validation, dict[str, float]()
    for precision in ("fp32", "int8"):
        path = tmp_path / f"{precision}.tflite"
        LiteRT().export(replace(made, precision=precision), path, calibration=calibration_images(digits()))
        said = answers(LiteRT().session(path.read_bytes()), network_inputs(made.preprocessing, validation))
        right[precision] = float((said == validation.labels.numpy()).mean())
    assert f"int8 loses {100 * (right['fp32'] - right['int8']):.1f} points" in made.lineage.steps[-1]


def test_of_several_runtimes_the_one_that_loses_most_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("ai_edge_litert.schema_py_generated")
    lines, original = list[str](), Ladder.answers

    def worse(self: Ladder, *form: object) -> tuple[np.ndarray, float]:
        given, megabytes = original(self, *form)  # type: ignore[arg-type]
        return (given * 0 - 1 if form[0] == "int8" and form[3] == "litert" else given), megabytes

    monkeypatch.setattr(Ladder, "answers", worse)
    monkeypatch.setattr("nas.compress.ladder.FLOAT_SHARE", 0.0)
    variants = OnnxRuntime().variants(trained(), calibration_images(digits()))
    ladder = Ladder(variants, digits().validation, lines.append, ("onnxruntime", "litert"))
    first = ladder.measure("int8", Int8())
    assert first.drop.value > 0.5 and re.search(r" in LiteRT, -?0\.\d in ONNX Runtime; \S+ MB$", lines[-1])
    assert ladder.descend(first, 0.01).precision == "fp16"


def test_tries_grow_to_the_most() -> None:
    assert [_numbers(n) for n in (0, 1, 2, 4, 7)] == [[], [1], [1, 2], [1, 2, 4], [1, 2, 4, 7]]


def test_what_cannot_be_is_refused(tmp_path: Path) -> None:
    for most in (-0.01, 1.0, np.nan):
        with pytest.raises(UserError, match="largest drop must be from 0% to below 100%"):
            Quantize("int8", most)
    with pytest.raises(UserError, match="quantized to int8 or fp16; got fp32"):
        Quantize("fp32")
    one = digits().train.subset(torch.where(digits().train.labels == 3)[0])
    with pytest.raises(UserError, match="at least two classes"):
        apply(Quantize(), trained(), tmp_path, replace(digits(), train=one))
    with pytest.raises(UserError, match="measured on validation images; got none"):
        apply(Quantize(), trained(), tmp_path, replace(digits(), validation=one.subset(torch.zeros(0).long())))
    with pytest.raises(UserError, match="must have the model's classes"):
        apply(Quantize(), trained(), tmp_path, replace(digits(), classes=tuple("abcdefghij")))
