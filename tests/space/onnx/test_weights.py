"""Weights however a file stores them, each counted once; what no output needs is not counted at all."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from nas.space.graph.graph import Reading
from nas.space.onnx.file import read_onnx
from tests.space.onnx.graphs import model, node, save, varied

STEM = 6 * 3 * 9 * 64
SAME = 6 * 6 * 9 * 64
CONV = node("Conv", "x w", "c", pads=[1] * 4)
W = {"w": varied(6, 3, 3, 3), "v": varied(6, 6, 3, 3), "b": varied(6)}


def read(tmp_path: Path, made: onnx.ModelProto) -> Reading:
    reading = read_onnx(save(made, tmp_path))
    assert reading.unread == ()
    return reading


def counts(reading: Reading) -> tuple[int, int]:
    return reading.network.macs, reading.network.params


def test_dead_code_is_not_counted(tmp_path: Path) -> None:
    head = [node("Conv", "c v", "aux", pads=[1] * 4), node("NoSuchOp", "aux", "lost"), node("Relu", "c", "y")]
    assert counts(read(tmp_path, model([CONV, *head], W))) == (STEM, 162)


def test_two_outputs_are_both_counted(tmp_path: Path) -> None:
    made = model([CONV, node("Conv", "c v", "aux", pads=[1] * 4), node("Relu", "c", "y")], W, "y aux")
    assert counts(read(tmp_path, made)) == (STEM + SAME, 162 + 324)


def test_the_order_of_the_nodes_does_not_matter(tmp_path: Path) -> None:
    rows = [CONV, node("Relu", "c", "r"), node("Conv", "r v", "d", pads=[1] * 4), node("Add", "d r", "y")]
    sorted_, reversed_ = (read(tmp_path, model(order, W)) for order in (rows, rows[::-1]))
    assert list(sorted_.network.layers) == list(reversed_.network.layers)


def test_a_weight_used_twice_is_one_parameter_and_its_bias_too(tmp_path: Path) -> None:
    rows = [CONV, node("Conv", "c v b", "d", pads=[1] * 4), node("Relu", "d", "r"),
            node("Conv", "r v b", "y", pads=[1] * 4)]  # fmt: skip
    reading = read(tmp_path, model(rows, W))
    assert counts(reading) == (STEM + 2 * SAME, 162 + 324 + 6)
    assert reading.network.size_mb("fp32") == pytest.approx(4 * (162 + 6 + 324 + 6) / 1e6)  # int8 and a bias each


@pytest.mark.parametrize(
    "view",
    [
        [node("Reshape", "flat to", "v")],
        [node("Transpose", "hwio", "v", perm=[3, 2, 0, 1])],
        [node("Cast", "half", "v", to=TensorProto.FLOAT)],
        [node("Identity", "same", "s1"), node("Identity", "s1", "s2"), node("Dropout", "s2", "v")],
        [node("DequantizeLinear", "q scale zero", "v")],
        [node("QuantizeLinear", "same scale zero", "vq"), node("DequantizeLinear", "vq scale zero", "v")],
        [node("Slice", "more from till axis", "v")],
        [node("Mul", "same scale", "v")],
    ],
)
def test_two_views_of_one_initializer_are_one_parameter(tmp_path: Path, view: list[onnx.NodeProto]) -> None:
    again = [onnx.NodeProto.FromString(n.SerializeToString()) for n in view]
    for n in again:  # the same operations on the same initializer, written out a second time
        n.output[0] += "2"
        n.input[0] += "2" if n.input[0] in {m.output[0] for m in view} else ""
    rows = [*view, *again, CONV, node("Conv", "c v", "d", pads=[1] * 4), node("Conv", "d v2", "y", pads=[1] * 4)]
    weights = {
        "w": W["w"], "flat": varied(324), "to": np.array([6, 6, 3, 3]), "hwio": varied(3, 3, 6, 6),
        "half": varied(6, 6, 3, 3).astype(np.float16), "same": varied(6, 6, 3, 3),
        "q": varied(6, 6, 3, 3).astype(np.int8), "scale": np.array(0.5, dtype=np.float32),
        "zero": np.array(0, dtype=np.int8), "more": varied(6, 6, 3, 3), "from": np.array([0]), "till": np.array([6]),
        "axis": np.array([0]),
    }  # fmt: skip
    assert counts(read(tmp_path, model(rows, weights))) == (STEM + 2 * SAME, 162 + 324)


def test_equal_tensors_of_two_names_are_two_parameters(tmp_path: Path) -> None:
    rows = [CONV, node("Conv", "c v", "d", pads=[1] * 4), node("Conv", "d u", "y", pads=[1] * 4)]
    assert counts(read(tmp_path, model(rows, {**W, "u": W["v"]}))) == (STEM + 2 * SAME, 162 + 2 * 324)


def test_one_zero_bias_of_two_layers_is_a_parameter_of_each(tmp_path: Path) -> None:
    # exporters keep equal tensors once, and a network that was not trained has nothing but zeros in its biases
    rows = [node("Conv", "x w b", "c", pads=[1] * 4), node("Conv", "c v b", "y", pads=[1] * 4)]
    assert counts(read(tmp_path, model(rows, {**W, "b": np.zeros(6, np.float32)}))) == (STEM + SAME, 162 + 324 + 12)


@pytest.mark.parametrize("channels", [6, 64])  # kept in memory, and not
def test_one_zero_weight_of_two_layers_is_a_parameter_of_each(tmp_path: Path, channels: int) -> None:
    # the last batch norm of a residual branch starts at zero, so a new network has many weights of zeros once folded
    weights = {"w": varied(channels, 3, 3, 3), "v": varied(channels, channels, 3, 3) * 0}
    weights["v"][::2] *= -1  # folding makes zeros of both signs
    rows = [CONV, node("Conv", "c v", "d", pads=[1] * 4), node("Conv", "d v", "y", pads=[1] * 4)]
    assert counts(read(tmp_path, model(rows, weights)))[1] == 27 * channels + 2 * 9 * channels**2


def test_a_part_of_a_weight_counts_whole_and_once(tmp_path: Path) -> None:
    rows = [CONV, node("Split", "wide", "v1 v2", axis=0), node("Conv", "c v1", "d", pads=[1] * 4),
            node("Conv", "d v2", "y", pads=[1] * 4)]  # fmt: skip
    assert counts(read(tmp_path, model(rows, {**W, "wide": varied(12, 6, 3, 3)}))) == (STEM + 2 * SAME, 162 + 648)


@pytest.mark.parametrize(
    ("slopes", "params"), [(varied(6, 1, 1), 6), (varied(1), 1), (np.full((6, 1, 1), 0.25, np.float32), 12)]
)
def test_the_slopes_of_a_prelu_are_parameters(tmp_path: Path, slopes: np.ndarray, params: int) -> None:
    rows = [CONV, node("PRelu", "c a", "p"), node("Conv", "p v", "q", pads=[1] * 4), node("PRelu", "q a", "y")]
    assert counts(read(tmp_path, model(rows, {**W, "a": slopes}))) == (STEM + SAME, 162 + 324 + params)


def test_scales_of_the_image_are_not_parameters(tmp_path: Path) -> None:
    rows = [node("Sub", "x mean", "m"), node("Div", "m deviation", "n"), node("Conv", "n w", "y", pads=[1] * 4)]
    assert (
        counts(read(tmp_path, model(rows, {**W, "mean": varied(3, 1, 1), "deviation": varied(3, 1, 1) + 1})))[1] == 162
    )


def external(tensor: onnx.TensorProto, name: str, **entries: object) -> None:
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in {"location": name, **entries}.items():
        tensor.external_data.add(key=key, value=str(value))


ROWS = [CONV, node("Reshape", "c to", "f"), node("MatMul", "f fc", "y")]
WEIGHTS = {"w": W["w"], "to": np.array([1, 384]), "fc": varied(384, 5)}
COUNTS = (STEM + 1920, 162 + 1920)


def test_weights_and_shapes_in_another_file_are_read(tmp_path: Path) -> None:
    made, at = model(ROWS, WEIGHTS), 0
    with (tmp_path / "m.data").open("wb") as file:
        for tensor in made.graph.initializer:
            raw = tensor.raw_data
            external(tensor, "m.data", offset=at, length=len(raw))
            at += file.write(raw)
    assert counts(read(tmp_path, made)) == COUNTS


def test_a_file_without_the_values_of_its_weights_is_read(tmp_path: Path) -> None:
    made = model(ROWS, WEIGHTS)
    for tensor in made.graph.initializer:
        if tensor.name != "to":
            tensor.ClearField("raw_data")
    assert counts(read(tmp_path, made)) == COUNTS


def test_a_large_weight_is_never_held_in_memory(tmp_path: Path) -> None:
    made = model(ROWS, {**WEIGHTS, "fc": varied(384, 20_000)})
    assert counts(read(tmp_path, made)) == (STEM + 384 * 20_000, 162 + 384 * 20_000)


def test_weights_as_constants_as_lists_and_mostly_zero_are_read(tmp_path: Path) -> None:
    made = model([node("Constant", "", "w", value=numpy_helper.from_array(W["w"])), *ROWS], {"fc": WEIGHTS["fc"]})
    made.graph.node.insert(0, node("Constant", "", "to", value_ints=[1, 384]))
    assert counts(read(tmp_path, made)) == COUNTS
    values = numpy_helper.from_array(np.ones(1, dtype=np.float32), "fc")
    sparse = helper.make_sparse_tensor(values, numpy_helper.from_array(np.array([7]), "at"), [384, 5])
    made = model(ROWS, {k: v for k, v in WEIGHTS.items() if k != "fc"})
    made.graph.sparse_initializer.append(sparse)
    assert counts(read(tmp_path, made)) == COUNTS


@pytest.mark.parametrize(
    ("rows", "weights", "macs", "params"),
    [
        ([node("Einsum", "c m", "y", equation="bchw,oc->bohw")], {"m": varied(9, 6)}, 9 * 6 * 64, 54),
        ([node("Reshape", "c to", "t"), node("MatMul", "m t", "y")],
         {"to": np.array([6, 64]), "m": varied(9, 6)}, 9 * 6 * 64, 54),
        ([node("Reshape", "c to", "t"), node("Gemm", "t m", "y", transA=1)],
         {"to": np.array([6, 64]), "m": varied(6, 9)}, 9 * 6 * 64, 54),
        ([node("ConvTranspose", "c m b", "y", strides=[2, 2])],
         {"m": varied(6, 9, 2, 2), "b": varied(9)}, 9 * 6 * 4 * 64, 9 * 6 * 4 + 9),
        ([node("Reshape", "c to", "t"), node("Conv", "t m", "y", pads=[1, 1])],
         {"to": np.array([1, 6, 64]), "m": varied(9, 6, 3)}, 9 * 6 * 3 * 64, 162),
        ([node("Reshape", "c to", "t"), node("LSTM", "t k r", "y", hidden_size=5)],
         {"to": np.array([6, 1, 64]), "k": varied(1, 20, 64), "r": varied(1, 20, 5)}, 6 * 20 * (64 + 5), 20 * 69),
        ([node("Reshape", "c to", "t"), node("Transpose", "t", "tt", perm=[0, 2, 1]), node("MatMul", "tt t", "y")],
         {"to": np.array([1, 6, 64])}, 64 * 6 * 64, 0),
    ],
)  # fmt: skip
def test_products_are_counted_however_they_are_written(
    tmp_path: Path, rows: list[onnx.NodeProto], weights: dict[str, np.ndarray], macs: int, params: int
) -> None:
    assert counts(read(tmp_path, model([CONV, *rows], {**W, **weights}))) == (STEM + macs, 162 + params)


@pytest.mark.parametrize("images", [1, 2, 4, 8])
@pytest.mark.parametrize("op", ["Conv", "ConvTranspose"])
def test_a_convolution_of_several_images_inside_counts_each(tmp_path: Path, images: int, op: str) -> None:
    """A picture cut into windows: its channels become a batch, and each window meets the same weights."""
    inner = 8 // images
    weight = varied(6, inner, 1, 1) if op == "Conv" else varied(inner, 6, 1, 1)
    rows = [
        node("Conv", "x w8", "a"), node("Reshape", "a cut", "b"), node(op, "b v", "c"), node("Reshape", "c whole", "y"),
    ]  # fmt: skip
    weights = {
        "w8": varied(8, 3, 1, 1), "v": weight, "cut": np.array([images, inner, 8, 8]),
        "whole": np.array([1, 6 * images, 8, 8]),
    }  # fmt: skip
    reading = read_onnx(save(model(rows, weights), tmp_path))
    assert reading.unread == ()
    assert reading.network.macs == 3 * 8 * 64 + images * inner * 6 * 64
    assert reading.network.params == 3 * 8 + inner * 6


@pytest.mark.parametrize("op", ["GroupNormalization", "InstanceNormalization"])
def test_a_norm_that_is_not_read_is_named_and_the_rest_is_read(tmp_path: Path, op: str) -> None:
    given = {"num_groups": 2} if op == "GroupNormalization" else {}
    rows = [node("Conv", "x w", "a"), node(op, "a s s", "b", **given), node("Conv", "b v", "y")]
    weights = {"w": varied(4, 3, 1, 1), "s": varied(4), "v": varied(2, 4, 1, 1)}
    reading = read_onnx(save(model(rows, weights, opset=21), tmp_path))
    assert reading.unread == (f"{op} /{op}",)
    assert reading.network.macs == (3 * 4 + 4 * 2) * 64
