"""Teachers by name: what they compute, and what is said of those that cannot be had."""

from __future__ import annotations

import json
import socket
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import helper

from nas.data.dataset import Dataset
from nas.deploy.teachers import find_teacher
from nas.errors import UserError
from nas.models.builder import build
from nas.models.trained import Preprocessing, TrainedModel, save_trained
from nas.run import Run
from nas.runtimes.onnxruntime import OnnxRuntime
from nas.train.distill import Teacher
from tests.cli.bench import small_onnx
from tests.deploy.runs import digits, make_tiny_run
from tests.train.lessons import CPU, small_network


@pytest.fixture(scope="module")
def few() -> Dataset:
    return digits()


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return make_tiny_run(tmp_path / "run")


@pytest.fixture(scope="module")
def model(few: Dataset) -> TrainedModel:
    network = small_network(16)
    used = Preprocessing(16, mean=(100.0, 110.0, 120.0), std=(50.0, 60.0, 70.0))
    return TrainedModel(network, build(network, seed=2).state_dict(), "classification", few.classes, used)


@pytest.fixture(scope="module")
def file(model: TrainedModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return OnnxRuntime().export(model, tmp_path_factory.mktemp("onnx") / "teacher.onnx").path


def found(name: str, run: Run, few: Dataset) -> Teacher:
    teacher = find_teacher(name, run, few, CPU)
    assert teacher is not None
    return teacher


def test_none_is_no_teacher(run: Run, few: Dataset) -> None:
    assert find_teacher("none", run, few, CPU) is None


def test_a_folder_and_its_onnx_file_teach_the_same(
    model: TrainedModel, file: Path, run: Run, few: Dataset, tmp_path: Path
) -> None:
    """The file says itself how its images are prepared, and which its classes are."""
    save_trained(tmp_path / "m", model)
    images = torch.rand(3, 3, 8, 8, generator=torch.Generator().manual_seed(1)) * 2 - 1
    pixels = torch.nn.functional.interpolate(images, (16, 16), mode="bilinear", antialias=True) * 127.5 + 127.5
    mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in (model.preprocessing.mean, model.preprocessing.std))
    with torch.no_grad():
        wanted = model.module()((pixels - mean) / std)
    for name in (str(tmp_path / "m"), str(file)):
        teacher = found(name, run, few)
        assert (teacher.name, teacher.classes, teacher.resolution) == (name, few.classes, 16)
        torch.testing.assert_close(teacher.look(images), wanted, rtol=1e-3, atol=1e-4)


def test_a_file_that_says_nothing_of_itself_is_fed_from_minus_one_to_one(
    run: Run, few: Dataset, tmp_path: Path
) -> None:
    """It adds up what it sees: 8 channels of ones over 3x3 pixels and 3 colors, padded at two edges."""
    teacher = found(str(small_onnx(tmp_path / "sum.onnx")), run, few)
    assert (teacher.classes, teacher.resolution) == (10, 32)
    inside = 8 * 27  # where a kernel lies whole in the image
    assert float(teacher.look(torch.zeros(1, 3, 32, 32)).abs().max()) == 0
    bright = float(teacher.look(torch.ones(1, 3, 32, 32))[0, 0])
    assert 0.9 * inside < bright <= inside


def changed(file: Path, to: Path, **facts: Any) -> str:
    proto = onnx.load(str(file))
    said = {p.key: p.value for p in proto.metadata_props}
    said |= {key: value if isinstance(value, str) else json.dumps(value) for key, value in facts.items()}
    del proto.metadata_props[:]
    helper.set_model_props(proto, said)
    onnx.save(proto, str(to))
    return str(to)


def test_files_that_cannot_teach_are_refused(file: Path, run: Run, few: Dataset, tmp_path: Path) -> None:
    to = tmp_path / "t.onnx"
    cases: list[tuple[dict[str, Any], str]] = [
        ({"classes": ["a", "b"]}, "teacher .*t.onnx: must have the 10 classes of digits; got 2"),
        ({"classes": list("0123456798")}, "in their order; class 8 is '8' there and '9' here"),
        ({"classes": {"a": 1}}, "t.onnx: classes in its metadata must be a list of names"),
        ({"classes": "{"}, "t.onnx: classes in its metadata must be JSON; got '{'"),
        ({"preprocessing": {"mean": [1, 2, 3]}}, "must have mean and std, three numbers each"),
        ({"preprocessing": {"mean": [1, 2, 3], "std": [1, 0, 1]}}, "std of preprocessing .* must be above 0"),
        ({"preprocessing": "[" * 100_000}, "preprocessing in its metadata must be JSON"),
    ]
    for facts, message in cases:
        with pytest.raises(UserError, match=message):
            find_teacher(changed(file, to, **facts), run, few, CPU)
    (tmp_path / "words.onnx").write_text("a network, in words")
    for name, message in (
        ("words.onnx", "not an ONNX file"),
        ("gone.onnx", r"gone\.onnx: no such file"),
        (".", "a teacher must be a trial's number"),
    ):
        with pytest.raises(UserError, match=message):
            find_teacher(str(tmp_path / name), run, few, CPU)


def test_a_file_of_an_operator_that_the_runtime_lacks_is_one_line(run: Run, few: Dataset, tmp_path: Path) -> None:
    proto = onnx.load(str(small_onnx(tmp_path / "odd.onnx")))
    proto.graph.node[0].domain = "nobody.knows"
    onnx.save(proto, str(tmp_path / "odd.onnx"))
    with pytest.raises(UserError, match=r"odd\.onnx: ONNX Runtime cannot run it: ") as caught:
        find_teacher(str(tmp_path / "odd.onnx"), run, few, CPU)
    assert "\n" not in str(caught.value)


def thousand(few: Dataset) -> Dataset:
    return replace(few, classes=tuple(f"class {n}" for n in range(1000)))


def test_a_timm_model_of_other_classes_is_refused_before_anything_is_downloaded(
    run: Run, few: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise AssertionError("nothing may be asked of the network")

    monkeypatch.setattr(socket, "create_connection", fail)
    for name, message in (
        ("timm:mobilenetv2_100", "teacher timm:mobilenetv2_100: must have the 10 classes of digits; got 1000"),
        ("timm:mobilenet_v9", "unknown timm model 'mobilenet_v9'; did you mean"),
        ("timm:", "unknown timm model ''"),
    ):
        with pytest.raises(UserError, match=message):
            find_teacher(name, run, few, CPU)


def test_a_timm_model_without_a_network_is_one_line_at_once(
    run: Run, few: Dataset, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    import huggingface_hub

    def fail(*_: object, **__: object) -> None:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "create_connection", fail)
    monkeypatch.setattr(huggingface_hub, "try_to_load_from_cache", lambda *_: None)
    monkeypatch.setattr("nas.deploy.timm_weights.getproxies", dict)
    with pytest.raises(
        UserError, match=r"timm:test_efficientnet: its pretrained weights must be downloaded from .*Name"
    ):
        find_teacher("timm:test_efficientnet", run, thousand(few), CPU)


def test_a_timm_model_that_was_downloaded_before_needs_no_network(
    run: Run, few: Dataset, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    import huggingface_hub
    import timm
    from safetensors.torch import save_file

    own = timm.create_model("test_efficientnet", pretrained=False).eval()
    save_file(own.state_dict(), tmp_path / "model.safetensors")
    monkeypatch.setattr(huggingface_hub, "try_to_load_from_cache", lambda *_: str(tmp_path / "model.safetensors"))
    teacher = found("timm:test_efficientnet", run, thousand(few))
    images = torch.rand(2, 3, 160, 160) * 2 - 1
    mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in (own.default_cfg["mean"], own.default_cfg["std"]))
    with torch.no_grad():
        wanted = own(((images + 1) / 2 - mean) / std)
    assert teacher.resolution == 160 and teacher.classes == 1000
    torch.testing.assert_close(teacher.look(images), wanted, rtol=1e-4, atol=1e-5)
    assert np.isfinite(wanted.numpy()).all()
