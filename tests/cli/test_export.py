"""nas compress and nas export: from a run's trial to an int8 file, and what they refuse."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from nas.models.trained import load_trained, save_trained
from nas.search.models import save_model
from tests.cli.command import Said, call
from tests.compress.networks import digits, trained
from tests.runs import make_run

Nas = Callable[..., Said]


@pytest.fixture
def nas(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Nas:
    """In a folder with a run that keeps the model of trial 1, and with that model in a folder of its own."""
    run = make_run(tmp_path / "run", dataset_sha256=digits().fingerprint)
    save_model(run.path, run.settings, 1, trained())
    save_trained(tmp_path / "model", replace(trained(), recipe={}))
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path)
    return lambda *words: call(capsys, monkeypatch, *words)


def test_a_trial_becomes_an_int8_model_and_the_model_a_file(nas: Nas, tmp_path: Path) -> None:
    said = nas("compress", "run", "--pick", "1", "--quantize", "int8", "--max-drop", "1%", "--out", "small")
    assert said.status == 0, said.err
    assert said.out.startswith("small: quantize: int8 loses ") and "validation images" in said.err
    assert load_trained(tmp_path / "small").precision == "int8"
    said = nas("export", "small", "--out", "small.onnx", "--json")  # it says which dataset
    facts = json.loads(said.out)
    assert (facts["precision"], facts["file"], facts["runtime"]) == ("int8", "small.onnx", "onnxruntime")
    assert facts["megabytes"] == pytest.approx((tmp_path / "small.onnx").stat().st_size / 1e6)
    assert "12 of 12 convolutions" in facts["notes"][0]


def test_weights_are_trained_on_with_int8s_rounding_where_asked(nas: Nas, tmp_path: Path) -> None:
    words = ("compress", "run", "--pick", "1", "--quantize", "int8", "--qat", "--epochs", "1", "--out", "small")
    said = nas(*words, "--learning-rate", "0.001", "--json")
    assert said.status == 0, said.err
    steps = json.loads(said.out)["steps"]
    assert len(steps) == 1 and steps[0].startswith("quantize: int8 after QAT loses ")
    assert steps[0].endswith("; 1 epoch of QAT from a learning rate of 0.001")
    assert "int8 loses" in said.err and "epoch 1 of 1, loss" in said.err
    assert sorted(p.name for p in tmp_path.iterdir()) == ["empty", "model", "run", "small"]


def test_a_model_is_exported_in_another_precision_too(nas: Nas, tmp_path: Path) -> None:
    said = nas("export", "model", "--out", "fp32.onnx")  # its dataset is not needed
    assert said.status == 0 and "fp32.onnx: fp32, input image 1x3x16x16" in said.out and not said.err
    said = nas("export", "run", "--pick", "1", "--precision", "fp16", "--out", "fp16.onnx")
    assert said.status == 0 and "fp16.onnx: fp16" in said.out and "a CPU converts it" in said.err
    assert sorted(p.name for p in tmp_path.iterdir()) == ["empty", "fp16.onnx", "fp32.onnx", "model", "run"]


@pytest.mark.parametrize(("words", "message"), [
    ("export model --precision int8 --out a.onnx", "does not say which dataset it was trained on"),
    ("export model --precision int4 --out a.onnx", "unknown precision 'int4'"),
    ("export model --precision int8,fp16 --out a.onnx", "--precision must be one of fp32, fp16, int8"),
    ("export model --runtime tflite --out a.onnx", "unknown runtime 'tflite'"),
    ("export model --runtime litert --precision int8 --out a.tflite", "does not say which dataset it was trained on"),
    ("export model --out model", "cannot write model: it is a folder"),
    ("export model --out nowhere/a.onnx", "there is no folder nowhere"),
    ("export model --runtime litert --out a.onnx", "a.onnx: a file for litert must end in .tflite"),
    ("export model --runtime executorch --precision fp16 --out a.pte", "for executorch are exported in fp32, int8"),
    ("export model --dynamic --out a.onnx", "dynamic ranges are of int8 files for onnxruntime; got fp32"),
    ("export model --runtime litert --precision int8 --dynamic --out a.tflite", "got int8 for litert"),
    ("export empty --out a.onnx", "empty is not a model's folder"),
    ("export model --pick 3 --out a.onnx", "model is not a run folder, so it has no trial 3"),
    ("export model --pick knee --out a.onnx", "model is not a run folder, so it has no knee"),
    ("export run --out a.onnx", "run is a run of many networks: say which with --pick"),
    ("export run --pick 99 --out a.onnx", "run has no trial 99"),
    ("export run --pick -1 --out a.onnx", "--pick must be a trial's number or knee; got '-1'"),
    ("compress model --out new", "needs a step, e.g. --quantize int8"),
    ("compress model --quantize fp32 --out new", "--quantize must be int8 or fp16; got 'fp32'"),
    ("compress model --quantize int8 --max-drop=-1% --out new", "--max-drop must be from 0% to below 100%"),
    ("compress model --quantize int8 --max-drop 1 --out new", "--max-drop must be from 0% to below 100%"),
    ("compress model --quantize fp16 --dynamic --out new", "--dynamic is for --quantize int8"),
    ("compress model --qat --out new", "needs a step, e.g. --quantize int8"),
    ("compress model --quantize fp16 --qat --out new", "--qat is for --quantize int8, without --dynamic"),
    ("compress model --quantize int8 --dynamic --qat --out new", "--qat is for --quantize int8, without --dynamic"),
    ("compress model --quantize int8 --learning-rate 0.1 --out new", "--learning-rate is for --qat"),
    ("compress model --quantize int8 --epochs 2 --out new", "--epochs are those of fine-tuning, with --share"),
    ("compress model --quantize int8 --qat --learning-rate 0 --out new", "learning_rate must be above 0"),
    ("compress model --quantize int8 --qat --learning-rate nan --out new", "learning_rate must be above 0"),
    ("compress model --prune 0 --out new", "--prune must be above 0%"),
    ("compress model --prune 100% --out new", "--prune must be above 0% and below 100%, e.g. 40% or 0.4; got '100%'"),
    ("compress model --prune 40% --dataset digits --out new", "chosen by a device's profile; name it with --device"),
    ("compress model --prune 40% --device pi5 --out new", "unknown device 'pi5'"),
    ("compress model --low-rank 0 --out new", "--low-rank must be above 0%"),
    ("compress model --low-rank 1 --out new", "--low-rank must be above 0% and below 100%, e.g. 40% or 0.4; got '1'"),
    ("compress model --low-rank 50% --device pi5 --out new", "unknown device 'pi5'"),
    ("compress model --low-rank 50% --dataset digits --out new", "chosen by a device's profile; name it with --device"),
    ("compress model --share --anyway --out new", "--anyway is for --low-rank"),
    ("compress model --share --device raspberry-pi-4 --out new", "--device is for --prune and --low-rank"),
    ("compress model --prune 40% --max-drop 1% --out new", "--max-drop is for --quantize"),
    ("compress model --quantize int8 --device raspberry-pi-4 --out new", "--device is for --prune"),
    ("compress model --quantize int8 --out empty", "empty already exists and is not a model's folder"),
    ("compress model --quantize int8 --out model", "model already exists; replace it with --force"),
    ("compress model --quantize int8 --out new", "does not say which dataset it was trained on"),
    ("compress model --quantize int8 --dataset nowhere --out new", "unknown dataset 'nowhere'"),
    ("compress model --quantize int8 --dataset digits --seed 5 --out new", "another, or with another seed than 5"),
])  # fmt: skip
def test_what_cannot_be_is_one_line_and_leaves_nothing(nas: Nas, words: str, message: str, tmp_path: Path) -> None:
    said = nas(*words.split())
    assert said.status == 2 and said.out == "" and said.err.count("\n") == 1
    assert message in said.err
    assert sorted(p.name for p in tmp_path.iterdir()) == ["empty", "model", "run"]


def test_a_model_becomes_a_file_of_each_runtime(nas: Nas, tmp_path: Path) -> None:
    said = nas("export", "run", "--pick", "1", "--runtime", "tensorrt", "--precision", "int8", "--out", "a.onnx")
    assert said.status == 0 and "on the board: trtexec --onnx=a.onnx --saveEngine=a.engine --stronglyTyped" in said.err
    pytest.importorskip("ai_edge_litert.interpreter")
    said = nas("export", "run", "--pick", "1", "--runtime", "litert", "--precision", "int8", "--out", "a.tflite")
    assert said.status == 0 and "a.tflite: int8, input image 1x3x16x16" in said.out and said.err.count("\n") == 1
    before = (tmp_path / "a.tflite").read_bytes()
    said = nas("export", "model", "--runtime", "litert", "--out", "a.tflite")
    assert said.status == 2 and "already exists" in said.err and (tmp_path / "a.tflite").read_bytes() == before


def test_both_files_of_openvino_are_kept_from_being_overwritten(nas: Nas, tmp_path: Path) -> None:
    pytest.importorskip("openvino")
    (tmp_path / "a.bin").write_text("mine")
    said = nas("export", "model", "--runtime", "openvino", "--out", "a.xml")
    assert said.status == 2 and "a.bin already exists" in said.err
    assert (tmp_path / "a.bin").read_text() == "mine" and not (tmp_path / "a.xml").exists()
    said = nas("export", "model", "--runtime", "openvino", "--out", "a.xml", "--force", "--json")
    assert json.loads(said.out)["runtime"] == "openvino" and (tmp_path / "a.bin").read_bytes() != b"mine"
