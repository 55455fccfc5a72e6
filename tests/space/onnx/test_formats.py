"""Quantized, half-precision and fused files: the layers, counts and precision of the network that they hold."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from nas.errors import UserError
from nas.space.graph.graph import Reading
from nas.space.onnx.file import read_onnx
from tests.space.onnx.graphs import model, node, save, varied, zeros

STEM = 6 * 3 * 9 * 64
SAME = 6 * 6 * 9 * 64
PADS = {"pads": [1] * 4}
I8 = {
    "s": np.array(0.1, dtype=np.float32), "z": np.array(0, dtype=np.uint8), "zw": np.array(0, dtype=np.int8),
    "qw": np.zeros((6, 3, 3, 3), dtype=np.int8), "qv": np.zeros((6, 6, 3, 3), dtype=np.int8),
    "qb": np.zeros(6, dtype=np.int32), "qm": np.zeros((384, 5), dtype=np.int8), "qg": np.zeros((5, 384), dtype=np.int8),
    "q5": np.zeros(5, dtype=np.int32), "flat": np.array([1, 384]), "spread": np.array([1, -1, 1, 1]),
}  # fmt: skip
MS = "com.microsoft"
X = "xq s z"
QUANTIZE = node("QuantizeLinear", "x s z", "xq")
FIRST = node("QLinearConv", f"{X} qw s zw s z qb", "cq", **PADS)


def read(tmp_path: Path, nodes: Sequence[onnx.NodeProto], weights: dict[str, np.ndarray], **given: object) -> Reading:
    reading = read_onnx(save(model(nodes, weights, **given), tmp_path))  # type: ignore[arg-type]
    assert reading.unread == ()
    return reading


def ops(reading: Reading) -> list[str]:
    return [layer.function or layer.op for layer in reading.network.layers]


@pytest.mark.parametrize(
    ("rows", "last", "macs", "params"),
    [
        ([node("QLinearConv", "cq s z qv s zw s z qb", "y", **PADS)], ["conv"], SAME, 324 + 6),
        ([node("QLinearAdd", "cq s z cq s z s z", "y", MS)], ["add"], 0, 0),
        ([node("QLinearMul", "cq s z cq s z s z", "y", MS)], ["multiply"], 0, 0),
        ([node("QLinearSigmoid", "cq s z s z", "y", MS)], ["sigmoid"], 0, 0),
        ([node("QLinearLeakyRelu", "cq s z s z", "y", MS, alpha=0.1)], ["leaky_relu"], 0, 0),
        ([node("QLinearAveragePool", "cq s z s z", "y", MS, kernel_shape=[2, 2], strides=[2, 2])], ["avg"], 0, 0),
        ([node("QLinearGlobalAveragePool", "cq s z s z", "y", MS)], ["avg"], 0, 0),
        ([node("QLinearReduceMean", "cq s z s z", "y", MS, axes=[2, 3], keepdims=0)], ["avg"], 0, 0),
        ([node("QLinearConcat", "s z cq s z cq s z", "y", MS, axis=1)], ["concat"], 0, 0),
        ([node("Reshape", "cq flat", "f"), node("QLinearMatMul", "f s z qm s zw s z", "y")], ["linear"], 1920, 1920),
        ([node("Reshape", "cq flat", "f"), node("QGemm", "f s z qg s zw q5 s z", "y", MS, transB=1)], ["linear"],
         1920, 1920 + 5),
        ([node("Reshape", "cq flat", "f"), node("QLinearSoftmax", "f s z s z", "y", MS, opset=13)], ["softmax"], 0, 0),
    ],
)  # fmt: skip
def test_operators_on_int8(tmp_path: Path, rows: list[onnx.NodeProto], last: list[str], macs: int, params: int) -> None:
    reading = read(tmp_path, [QUANTIZE, FIRST, *rows], I8)
    assert ops(reading) == ["conv", *last]
    assert (reading.network.macs, reading.network.params) == (STEM + macs, 168 + params)
    assert reading.precision == "int8"


def test_dynamic_int8_is_read_without_the_arithmetic_on_scales(tmp_path: Path) -> None:
    rows = [
        node("DynamicQuantizeLinear", "x", "xq xs xz"),
        node("ConvInteger", "xq qw xz zw", "ci", **PADS),
        node("Cast", "ci", "cf", to=1),
        node("Mul", "xs s", "scale"),
        node("Mul", "cf scale", "cs"),
        node("Add", "cs bias", "c"),
        node("Relu", "c", "r"),
        node("Reshape", "r flat", "f"),
        node("DynamicQuantizeMatMul", "f qm s zw five", "y", MS),
    ]
    reading = read(tmp_path, rows, {**I8, "bias": zeros(1, 6, 1, 1), "five": zeros(5)})
    assert ops(reading) == ["conv", "relu", "linear"]
    assert (reading.network.macs, reading.network.params) == (STEM + 1920, 168 + 1920 + 5)
    assert reading.precision == "int8"


def qdq(name: str) -> list[onnx.NodeProto]:
    return [node("QuantizeLinear", f"{name} s z", f"{name}q"), node("DequantizeLinear", f"{name}q s z", f"{name}d")]


def test_weights_alone_in_int8_are_computed_in_float(tmp_path: Path) -> None:
    weight = node("DequantizeLinear", "qw s zw", "w")
    conv = [weight, node("Conv", "x w", "c", **PADS)]
    assert read(tmp_path, conv, I8, outputs="c").precision == "fp32"
    assert read(tmp_path, [*qdq("x"), weight, node("Conv", "xd w", "c", **PADS)], I8, outputs="c").precision == "int8"


def test_the_precision_is_that_of_most_macs(tmp_path: Path) -> None:
    half = {"w": zeros(6, 3, 3, 3).astype(np.float16), "v": zeros(6, 6, 3, 3)}
    rows = [node("Cast", "x", "h", to=10), node("Conv", "h w", "c", **PADS)]
    assert read(tmp_path, rows, half, outputs="c").precision == "fp16"
    rows += [node("Cast", "c", "f", to=1), node("Conv", "f v", "y", **PADS)]
    assert read(tmp_path, rows, half).precision == "fp32"  # 10,368 MACs in half, 20,736 in float


W = {"w": zeros(6, 3, 3, 3), "v": zeros(6, 6, 3, 3), "b": zeros(6), "b8": zeros(8) + 1, "w8": varied(8, 3, 3, 3)}
CONV = node("Conv", "x w", "c", **PADS)


@pytest.mark.parametrize(
    ("rows", "last"),
    [
        ([node("FusedConv", "c v b", "y", MS, activation="Relu", **PADS)], ["conv", "relu"]),
        ([node("FusedConv", "c v b c", "y", MS, activation="Clip", activation_params=[0.0, 6.0], **PADS)],
         ["conv", "add", "relu6"]),
        ([node("FusedConv", "c v - c", "y", MS, **PADS)], ["conv", "add"]),
        ([node("Conv", "c v b", "y", "com.microsoft.nchwc", activation="HardSigmoid", activation_params=[0.2, 0.5],
               **PADS)], ["conv", "hsigmoid"]),
        ([node("ReorderInput", "c", "r", "com.microsoft.nchwc"), node("MaxPool", "r", "p", "com.microsoft.nchwc",
          kernel_shape=[2, 2], strides=[2, 2]), node("ReorderOutput", "p", "y", "com.microsoft.nchwc", channels=6)],
         ["max"]),
        ([node("Gelu", "c", "y", MS)], ["gelu"]),
        ([node("BiasGelu", "c b8", "y", MS)], ["gelu"]),
        ([node("QuickGelu", "c", "y", MS)], ["gelu"]),
        ([node("Transpose", "c", "n", perm=[0, 2, 3, 1]),
          node("NhwcFusedConv", "n v b", "d", MS, activation="Relu", **PADS),
          node("NhwcMaxPool", "d", "e", MS, kernel_shape=[2, 2], strides=[2, 2]),
          node("Transpose", "e", "y", perm=[0, 3, 1, 2])], ["conv", "relu", "max"]),
        ([node("Reshape", "c flat", "f"), node("FusedGemm", "f g", "y", MS, activation="Relu", transB=1)],
         ["linear", "relu"]),
        ([node("Reshape", "c flat", "f"), node("FusedMatMul", "f g", "y", MS, transB=1)], ["linear"]),
    ],
)  # fmt: skip
def test_what_a_runtime_has_fused_is_read_as_what_it_was(
    tmp_path: Path, rows: list[onnx.NodeProto], last: list[str]
) -> None:
    reading = read(tmp_path, [CONV, *rows], {**W, "flat": np.array([1, 384]), "g": zeros(5, 384)})
    assert ops(reading) == ["conv", *last]


@pytest.mark.parametrize(
    "rows",
    [
        [node("Conv", "x w8tail b8", "c", "com.microsoft.nchwc", **PADS), node("Relu", "c", "y")],
        [node("Conv", "x w8 tail", "c", "com.microsoft.nchwc", **PADS), node("Relu", "c", "y")],
        [node("Conv", "x w8 b8", "c", "com.microsoft.nchwc", **PADS),
         node("ReorderOutput", "c", "y", "com.microsoft.nchwc", channels=6)],
    ],
)  # fmt: skip
def test_weights_that_a_runtime_has_padded_are_refused(tmp_path: Path, rows: list[onnx.NodeProto]) -> None:
    tail = np.array([1, 2, 3, 4, 5, 6, 0, 0], dtype=np.float32)
    with pytest.raises(UserError, match=r"padded the weights for one CPU.*before that optimization"):
        read(tmp_path, rows, {**W, "tail": tail, "w8tail": W["w8"] * tail.reshape(8, 1, 1, 1)})


def test_int8_networks_channels_last_are_read_without_transpositions(tmp_path: Path) -> None:
    rows = [
        QUANTIZE,
        node("Transpose", "xq", "n", perm=[0, 2, 3, 1]),
        node("QLinearConv", "n s z qw s zw s z qb", "c", MS, channels_last=1, **PADS),
        node("QLinearConv", "c s z qv s zw s z qb", "d", MS, channels_last=1, **PADS),
        node("QLinearAdd", "c s z d s z s z", "e", MS),
        node("QLinearGlobalAveragePool", "e s z s z", "g", MS, channels_last=1),
        node("Transpose", "g", "y", perm=[0, 3, 1, 2]),
    ]
    reading = read(tmp_path, rows, I8)
    assert ops(reading) == ["conv", "conv", "add", "avg"]
    assert [layer.out_shape for layer in reading.network.layers] == [(6, 8, 8), (6, 8, 8), (6, 8, 8), (6, 1, 1)]


def test_old_files_that_store_numbers_in_fields_of_their_own_are_read(tmp_path: Path) -> None:
    made = model([CONV, node("Reshape", "c to", "f"), node("MatMul", "f g", "y")], {"g": zeros(384, 5)})
    weight = onnx.helper.make_tensor("w", onnx.TensorProto.FLOAT, [6, 3, 3, 3], [0.5] * 162)
    shape = onnx.helper.make_tensor("to", onnx.TensorProto.INT64, [2], [1, 384])
    made.graph.initializer.extend([weight, shape])
    assert not weight.raw_data and numpy_helper.to_array(shape).tolist() == [1, 384]
    assert read_onnx(save(made, tmp_path)).network.params == 162 + 1920


@pytest.mark.parametrize(("shape", "order", "back"), [((1, 3, 64), [0, 2, 1], [0, 2, 1]),
                                                      ((1, 3, 4, 4, 4), [0, 2, 3, 4, 1], [0, 4, 1, 2, 3])])  # fmt: skip
def test_int8_convolutions_channels_last_have_any_number_of_axes(
    tmp_path: Path, shape: tuple[int, ...], order: list[int], back: list[int]
) -> None:
    spatial = len(shape) - 2
    rows = [
        QUANTIZE, node("Reshape", "xq to", "r"), node("Transpose", "r", "n", perm=order),
        node("QLinearConv", "n s z kq s zw s z", "c", MS, channels_last=1), node("Transpose", "c", "y", perm=back),
    ]  # fmt: skip
    kernel = np.ones((6, 3, *[3] * spatial), np.int8)
    reading = read(tmp_path, rows, {**I8, "kq": kernel, "to": np.array(shape)})
    size = {1: 62, 3: 8}[spatial]  # positions of a kernel of 3 in 64, and in 4 x 4 x 4
    assert (reading.network.macs, reading.network.params, reading.unread) == (kernel.size * size, kernel.size, ())


def test_weights_that_are_computed_in_halves_stay_halves(tmp_path: Path) -> None:
    rows = [node("Sub", "h m", "hm"), node("Cast", "x", "xh", to=10), node("Conv", "xh hm", "y")]
    half = {"h": varied(6, 3, 3, 3).astype(np.float16), "m": np.array(0.5, np.float16)}
    assert read(tmp_path, rows, half).precision == "fp16"


def test_weights_that_are_quantized_while_they_are_read_are_int8(tmp_path: Path) -> None:
    rows = [
        node("DynamicQuantizeLinear", "x", "xq xs xz"), node("DynamicQuantizeLinear", "w", "wq ws wz"),
        node("ConvInteger", "xq wq xz wz", "ci", **PADS), node("Cast", "ci", "cf", to=1),
        node("Mul", "xs ws", "scale"), node("Mul", "cf scale", "y"),
    ]  # fmt: skip
    reading = read(tmp_path, rows, {"w": varied(6, 3, 3, 3)})
    assert (reading.network.macs, reading.network.params, reading.precision) == (162 * 64, 162, "int8")


def test_opsets_before_the_oldest_that_is_read_are_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"must be of opset 7 or later; got 6"):
        read_onnx(save(model([CONV, node("Relu", "c", "y")], W, opset=6), tmp_path))
