"""TFLite files of a trained model: what is in them, what they compute, and what is refused."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from nas.data.dataset import Split
from nas.errors import UserError
from nas.models.builder import build
from nas.models.int8 import Int8, names_of_blocks
from nas.models.trained import Preprocessing, TrainedModel
from nas.runtimes.images import network_inputs
from nas.runtimes.litert import LiteRT
from nas.runtimes.onnxruntime import OnnxRuntime
from nas.runtimes.parity import first_block_that_differs, snr
from nas.runtimes.tflite.blocks import tflite_graph
from nas.runtimes.tflite.operators import operators, unmapped
from nas.runtimes.tflite.variants import Variants
from nas.runtimes.tflite.weights import ToDeploy
from nas.space.block import Block
from nas.space.layer import Precision
from nas.space.network import Network
from nas.train.loop import spread
from tests.compress.networks import digits, trained, uneven

why = "ai-edge-litert is not installed: pip install -e '.[litert]'"
schema = pytest.importorskip("ai_edge_litert.schema_py_generated", reason=why)


@pytest.fixture(scope="module")
def images() -> Split:
    return digits().train.subset(spread(len(digits().train), 64))


@pytest.fixture(scope="module")
def variants(images: Split) -> Variants:
    return LiteRT().variants(trained(), images)


def graph_of(data: bytes) -> Any:
    return schema.ModelT.InitFromPackedBuf(data)


@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
def test_a_file_in_its_precision_agrees_with_the_module(precision: Precision, images: Split, tmp_path: Path) -> None:
    path = tmp_path / "net.tflite"
    written = LiteRT().export(replace(trained(), precision=precision), path, calibration=images)
    assert written.precision == precision and written.agreement >= 0.95
    assert written.difference < {"fp32": 1e-5, "fp16": 5e-3, "int8": 0.2}[precision]
    assert written.megabytes == pytest.approx(path.stat().st_size / 1e6)
    assert len(written.notes) == (precision == "fp16")
    scores = LiteRT().session(path.read_bytes())(next(network_inputs(trained().preprocessing, images)))
    assert scores.dtype == np.float32 and scores.shape == (1, 10)
    assert [p.name for p in tmp_path.iterdir()] == ["net.tflite"]


def test_the_file_says_how_to_feed_it(variants: Variants) -> None:
    """Names, a signature, float32 at both ends of int8 too, and the facts of the model as JSON."""
    data = variants.file("int8")
    model = graph_of(data)
    (graph,), (signature,), (entry,) = model.subgraphs, model.signatureDefs, model.metadata
    image, logits = graph.tensors[graph.inputs[0]], graph.tensors[graph.outputs[0]]
    assert (image.name, logits.name) == (b"image", b"logits") and image.shape.tolist() == [1, 16, 16, 3]
    assert image.type == logits.type == schema.TensorType.FLOAT32
    assert (signature.inputs[0].name, signature.outputs[0].name) == (b"image", b"logits")
    facts = json.loads(bytes(model.buffers[entry.buffer].data))
    assert entry.name == b"nas" and json.loads(facts["classes"]) == list("0123456789")
    assert facts["precision"] == '"int8"' and facts.keys() >= {"preprocessing", "lineage"}


def test_constants_are_aligned_as_the_format_asks_for(variants: Variants) -> None:
    data = variants.file("int8")
    found = [data.find(bytes(buffer.data)) for buffer in graph_of(data).buffers if buffer.data is not None]
    large = [at for at, b in zip(found, (b for b in graph_of(data).buffers if b.data is not None), strict=True)
             if len(b.data) >= 64]  # fmt: skip
    assert len(large) > 10 and all(at % 16 == 0 for at in large)


def test_int8_is_a_quarter_and_fp16_half_of_the_weights(variants: Variants) -> None:
    fp32, fp16, int8 = (graph_of(variants.file(p)) for p in ("fp32", "fp16", "int8"))

    def weights(model: Any) -> int:
        kept = [t for t in model.subgraphs[0].tensors if t.buffer and len(t.shape) in (2, 4) and min(t.shape) > 0]
        sizes = [len(model.buffers[t.buffer].data) for t in kept if t.type != schema.TensorType.INT32]
        assert len(sizes) == 13
        return sum(sizes)

    assert weights(fp32) == 2 * weights(fp16) == 4 * weights(int8)


def test_int8_loses_no_more_than_that_of_onnx_runtime(variants: Variants) -> None:
    """On 500 test images; the two round at the same places, and nearly always give the same class."""
    test = digits().test_split()
    test = test.subset(torch.arange(min(500, len(test))))
    onnx = OnnxRuntime().variants(trained(), variants.calibration)
    runs = [
        LiteRT().session(variants.file("int8")), OnnxRuntime().session(onnx.graph("int8").SerializeToString()),
    ]  # fmt: skip
    answers = [
        np.array([run(image).argmax() for image in network_inputs(trained().preprocessing, test)]) for run in runs
    ]
    right = [float((a == test.labels.numpy()).mean()) for a in answers]
    assert right[0] >= right[1] - 0.005 and right[0] > 0.85
    assert (answers[0] == answers[1]).mean() > 0.98


@pytest.mark.parametrize("activation", ["relu", "relu6", "hswish", "swish"])
def test_every_kind_of_block_computes_what_its_module_does(activation: str, images: Split) -> None:
    """In fp32 to rounding; in int8 each block's output keeps a signal well above its error."""
    stem, wide, gate = (16, 16, 16), (32, 8, 8), "hsigmoid" if activation == "hswish" else "sigmoid"
    blocks = (
        Block("conv", (3, 16, 16), stem, 3, 1, activation=activation),
        Block("ds", stem, stem, 5, 1, se=4, activation=activation, gate=gate),
        Block("shuffle", stem, wide, 3, 2, mid=64, groups=2, activation=activation),
        Block("mbconv", wide, wide, 3, 1, mid=64, se=8, activation=activation, gate=gate),
        Block("fused_mbconv", wide, wide, 3, 1, mid=64, se=8, activation=activation, gate=gate),
        Block("fused_mbconv", wide, (24, 4, 4), 3, 2, mid=32, activation=activation),
        Block("pool_linear", (24, 4, 4), (10, 1, 1)),
    )
    network = Network(blocks, (0, 1, 2, 2, 3, 3, 4))
    weights, generator = build(network, seed=2).state_dict(), torch.Generator().manual_seed(0)
    for name, tensor in weights.items():
        if name.endswith(("running_mean", "bias")):
            tensor.copy_(0.1 * torch.randn(tensor.shape, generator=generator))
    model = TrainedModel(network, weights, "classification", tuple("0123456789"), Preprocessing(16))
    made = LiteRT().variants(model, images)
    few = made.images[:4]
    wanted = made.block_values(few)
    for precision, least in (("fp32", 100.0), ("fp16", 40.0), ("int8", 15.0)):
        found = made.blocks_of(precision, few)  # type: ignore[arg-type]
        assert found.keys() == {names[-1] for names in names_of_blocks(network, made.module)}
        assert first_block_that_differs(wanted, found, least) is None, precision


def test_blocks_that_stay_in_float_are_not_quantized(variants: Variants) -> None:
    whole = graph_of(variants.file("int8"))
    left = ("conv_stem", "blocks.1.1", "classifier")
    data = variants.file("int8", Int8(float_blocks=left))

    def integer(model: Any) -> int:
        return sum(t.type == schema.TensorType.INT8 and t.buffer > 0 for t in model.subgraphs[0].tensors)

    # 13 weights and, of h-sigmoid, two numbers; of the three blocks 1, 5 and 1 are, and the two numbers
    assert integer(whole) - integer(graph_of(data)) == 1 + 5 + 2 + 1
    assert operators(data)["QUANTIZE"] == 2 and operators(data)["DEQUANTIZE"] == 2
    found = variants.blocks_of("int8", variants.images[:4], Int8(float_blocks=left))
    wanted = variants.block_values(variants.images[:4])
    assert first_block_that_differs(wanted, found) is None
    assert snr(wanted["conv_stem"], [v.reshape(w.shape) for v, w in
               zip(found["conv_stem"], wanted["conv_stem"], strict=True)]) > 100  # fmt: skip


def test_channels_whose_weights_vanished_keep_their_bias(images: Split) -> None:
    """Pruned by training: a bias in steps of the weights' scale would be beyond 32 bits."""
    weights = {name: tensor.clone() for name, tensor in trained().weights.items()}
    weights["bn1.weight"][:3] = 1e-12
    weights["bn1.bias"][:3] = 2.0
    made = LiteRT().variants(replace(trained(), weights=weights), images)
    few = made.images[:4]
    assert first_block_that_differs(made.block_values(few), made.blocks_of("int8", few), 15.0) is None


def test_a_wrong_layer_is_named_and_nothing_is_written(
    images: Split, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    take, number = ToDeploy.take, iter(range(100))

    def wrong(self: ToDeploy, *shape: int) -> tuple[np.ndarray, np.ndarray]:
        weight, bias = take(self, *shape)
        return (weight, -bias) if shape == (32, 32, 1, 1) and next(number) % 1 == 0 else (weight, bias)

    monkeypatch.setattr(ToDeploy, "take", wrong)
    with pytest.raises(UserError, match=r"in fp32 the exported network differs .* first block that differs is blocks"):
        LiteRT().export(trained(), tmp_path / "net.tflite", calibration=images)
    assert not list(tmp_path.iterdir())


def test_an_int8_file_that_is_wrong_says_where(images: Split, tmp_path: Path) -> None:
    written = LiteRT().export(replace(uneven(), precision="int8"), tmp_path / "net.tflite", calibration=images)
    assert written.agreement < 0.5
    (note,) = written.notes
    assert "int8 gives another class than fp32 on" in note and "the first block that differs is blocks.1" in note


def test_what_cannot_be_written_is_refused(images: Split, tmp_path: Path) -> None:
    weights = {name: tensor.clone() for name, tensor in trained().weights.items()}
    weights["blocks.1.1.conv_pw.weight"] *= 1e9  # beyond 65504
    int8, one = replace(trained(), precision="int8"), images.subset(torch.where(images.labels == 3)[0])
    for model, given, message in (
        (replace(trained(), weights=weights, precision="fp16"), images, "in fp16 the exported network differs"),
        (int8, None, "takes its ranges from calibration images; got none"),
        (int8, one, f"at least two classes; got {len(one)} of '3' alone"),
        (Int8("dynamic").within(trained()), images, "static ranges, for processors; got dynamic ranges"),
        (Int8(target="tensorrt").within(trained()), images, "static ranges, for processors; got a target of tensorrt"),
    ):
        with pytest.raises(UserError, match=message):
            LiteRT().export(model, tmp_path / "net.tflite", calibration=given)
    assert not list(tmp_path.iterdir())


def test_operators_that_are_slow_in_int8_are_counted(variants: Variants) -> None:
    assert unmapped(variants.file("int8")) == "3 HARD_SWISH"
    relu = tflite_graph(Network((Block("conv", (3, 8, 8), (8, 8, 8), 3, 1, activation="relu"),)), int8=True)
    assert unmapped(relu) == "" and operators(relu) == {"QUANTIZE": 1, "CONV_2D": 1, "DEQUANTIZE": 1}


def test_a_file_that_litert_refuses_is_one_line() -> None:
    for data in (b"no model", b"\x00" * 100, b""):
        with pytest.raises(UserError, match="LiteRT cannot run the model: "):
            LiteRT().session(data)
