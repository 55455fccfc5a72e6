"""The exported file computes what the module does, says how to feed it, and tells nothing of the machine."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

import nas
from nas.errors import UserError
from nas.models.builder import build
from nas.models.trained import Lineage, Preprocessing, TrainedModel
from nas.runtimes.onnxruntime import OnnxRuntime
from nas.space.onnx.file import read_onnx
from nas.space.search_space import load_space


@pytest.fixture(scope="module")
def model() -> TrainedModel:
    space = load_space("tiny")
    network = space.network(space.sample(np.random.default_rng(1)), 3)
    return TrainedModel(
        network, build(network, seed=4).state_dict(), "classification", ("ant", "bee", "café"),
        Preprocessing(network.input_shape[1]), "int8",
        lineage=Lineage("tiny-1", 17, ("proxy training",), {"space": "a"}),
    )  # fmt: skip


@pytest.fixture(scope="module")
def exported(model: TrainedModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("out") / "net.onnx"
    return OnnxRuntime().export(replace(model, precision="fp32"), path).path


def test_the_exported_file_computes_what_the_module_computes_and_counts_the_same(
    model: TrainedModel, exported: Path
) -> None:
    image = torch.randn(1, *model.network.input_shape, generator=torch.Generator().manual_seed(9))
    session = onnxruntime.InferenceSession(str(exported))
    with torch.inference_mode():
        wanted = model.module()(image).numpy()
    np.testing.assert_allclose(session.run(None, {"image": image.numpy()})[0], wanted, atol=1e-4)
    assert read_onnx(exported).network.macs == model.network.macs
    assert [p.name for p in exported.parent.iterdir()] == ["net.onnx"]


def test_the_file_says_how_to_feed_it_and_what_its_outputs_mean(model: TrainedModel, exported: Path) -> None:
    """As a program on the board reads it, without nas."""
    facts = onnxruntime.InferenceSession(str(exported)).get_modelmeta().custom_metadata_map
    side = model.network.input_shape[1]
    assert facts.keys() == {"task", "classes", "preprocessing", "precision", "lineage"}
    assert facts["task"] == "classification" and json.loads(facts["classes"]) == ["ant", "bee", "café"]
    assert json.loads(facts["preprocessing"]) == {
        "resolution": side, "side": 0, "resize": "center square, bilinear", "color": "RGB",
        "mean": [127.5, 127.5, 127.5], "std": [127.5, 127.5, 127.5],
    }  # fmt: skip
    assert json.loads(facts["precision"]) == "fp32"
    assert json.loads(facts["lineage"])["trial"] == 17


def test_no_path_of_the_machine_is_in_the_file(exported: Path) -> None:
    data = exported.read_bytes()
    for path in (Path(nas.__file__).parent, Path(torch.__file__).parent, Path.home(), exported.parent, Path.cwd()):
        assert str(path).encode() not in data or str(path) == "/"
    for mark in (b"stack_trace", b'File "', b"site-packages", b".py"):
        assert mark not in data, mark
    proto = onnx.load(str(exported))
    assert not any(node.doc_string or node.metadata_props for node in proto.graph.node)


def test_weights_with_nan_are_never_exported(model: TrainedModel, tmp_path: Path) -> None:
    weights = {name: tensor.clone() for name, tensor in model.weights.items()}
    weights["classifier.bias"][0] = float("nan")
    with pytest.raises(UserError, match=r"weights must be finite; classifier\.bias"):
        OnnxRuntime().export(replace(model, weights=weights, precision="fp32"), tmp_path / "net.onnx")
    weights = {name: tensor.clone() for name, tensor in model.weights.items()}
    weights["classifier.weight"].fill_(3e38)  # finite, and its sums are not
    with pytest.raises(UserError, match="outputs are not finite"):
        OnnxRuntime().export(replace(model, weights=weights, precision="fp32"), tmp_path / "net.onnx")
    assert not list(tmp_path.iterdir())


def test_a_users_own_files_beside_the_output_stay(model: TrainedModel, tmp_path: Path) -> None:
    for name in ("net.onnx.partial", "net.onnx.part", ".net.onnx.part"):
        (tmp_path / name).write_text("mine")
    OnnxRuntime().export(replace(model, precision="fp32"), tmp_path / "net.onnx")
    assert sorted(p.name for p in tmp_path.iterdir() if p.read_bytes() == b"mine") == sorted(
        ["net.onnx.partial", "net.onnx.part", ".net.onnx.part"]
    )
    assert len(list(tmp_path.iterdir())) == 4


def test_a_model_is_traced_once_for_all_its_files_and_again_with_other_weights(
    model: TrainedModel, exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A trace takes seconds."""
    with monkeypatch.context() as patch:
        patch.setattr(torch.onnx, "export", lambda *given, **more: pytest.fail("it was traced again"))
        again = OnnxRuntime().export(replace(model, precision="fp32"), tmp_path / "again.onnx").path
        OnnxRuntime().export(replace(model, precision="fp16"), tmp_path / "half.onnx")
    assert again.read_bytes() == exported.read_bytes()
    weights = {name: tensor.clone() for name, tensor in model.weights.items()}
    weights["classifier.bias"] += 1
    other = OnnxRuntime().export(replace(model, precision="fp32", weights=weights), tmp_path / "other.onnx").path
    assert other.read_bytes() != exported.read_bytes()
