"""Transpositions: those that turn the image or cancel cost nothing, whatever stands between; the others copy."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

from nas.space.layer import Layer
from nas.space.onnx.file import read_onnx
from tests.space.onnx.graphs import model, node, save, zeros

TURN = node("Transpose", "t", "n", perm=[0, 3, 1, 2])
CONV = node("Conv", "n w", "c", pads=[1] * 4)
W = {
    "w": zeros(6, 3, 3, 3), "v": zeros(6, 6, 3, 3), "number": np.array(255, dtype=np.float32),
    "mean": zeros(3), "s": np.array(0.1, dtype=np.float32), "z": np.array(0, dtype=np.uint8),
    "scales": np.array([1, 2, 2, 1], dtype=np.float32), "flat": np.array([1, -1]), "fc": zeros(384, 5),
}  # fmt: skip


def layers(tmp_path: Path, nodes: list[onnx.NodeProto], shape: tuple[int, ...] = (1, 8, 8, 3)) -> list[Layer]:
    reading = read_onnx(save(model(nodes, W, nodes[-1].output[0], shape), tmp_path))
    assert reading.unread == ()
    return list(reading.network.layers)


@pytest.mark.parametrize(
    ("before", "kinds"),
    [
        ([node("Identity", "x", "t")], []),
        ([node("Cast", "x", "t", to=1)], []),
        ([node("Cast", "x", "u", to=1), node("Div", "u number", "t")], ["multiply"]),
        ([node("Sub", "x mean", "t")], ["multiply"]),
        ([node("Mul", "x number", "u"), node("Sub", "u number", "t")], ["multiply", "multiply"]),
        ([node("QuantizeLinear", "x s z", "t")], []),
        ([node("QuantizeLinear", "x s z", "q"), node("DequantizeLinear", "q s z", "t")], []),
    ],
)
def test_an_image_is_turned_for_nothing_whatever_comes_before(
    tmp_path: Path, before: list[onnx.NodeProto], kinds: list[str]
) -> None:
    *first, last = layers(tmp_path, [*before, TURN, CONV])
    assert [layer.op for layer in first] == kinds
    assert all(layer.out_shape == (3, 8, 8) and not layer.params for layer in first)
    assert last == Layer("conv", (3, 8, 8), (6, 8, 8), (3, 3), stored=None)


def test_an_image_that_is_resized_and_turned(tmp_path: Path) -> None:
    found = layers(tmp_path, [node("Resize", "x - scales", "t"), TURN, CONV], (1, 4, 4, 3))
    assert [(layer.op, layer.in_shape, layer.out_shape) for layer in found] == [
        ("resize", (3, 4, 4), (3, 8, 8)), ("conv", (3, 8, 8), (6, 8, 8)),
    ]  # fmt: skip


TO_LAST, TO_FIRST = [0, 2, 3, 1], [0, 3, 1, 2]


def test_transpositions_that_cancel_across_sums_and_activations_are_gone(tmp_path: Path) -> None:
    rows = [
        node("Identity", "x", "n"),
        CONV,
        node("Transpose", "c", "a", perm=TO_LAST),
        node("Relu", "a", "r"),
        node("Transpose", "r", "d", perm=TO_FIRST),
        node("Conv", "d v", "e", pads=[1] * 4),
        node("Transpose", "e", "f", perm=TO_LAST),
        node("Add", "f r", "g"),
        node("Transpose", "g", "h", perm=TO_FIRST),
        node("Conv", "h v", "y", pads=[1] * 4),
    ]
    found = layers(tmp_path, rows, (1, 3, 8, 8))
    assert [layer.op for layer in found] == ["conv", "activation", "conv", "add", "conv"]
    assert {layer.out_shape for layer in found} == {(6, 8, 8)}


def test_a_transposition_before_flattening_copies(tmp_path: Path) -> None:
    rows = [node("Identity", "x", "n"), CONV, node("Transpose", "c", "a", perm=TO_LAST),
            node("Reshape", "a flat", "f"), node("MatMul", "f fc", "y")]  # fmt: skip
    found = layers(tmp_path, rows, (1, 3, 8, 8))
    assert [layer.op for layer in found] == ["conv", "shuffle", "linear"]
    assert found[1].inputs == found[1].outputs == 384 and found[1].macs == 0


def test_one_transposition_read_twice_copies_once(tmp_path: Path) -> None:
    rows = [node("Identity", "x", "n"), CONV, node("Transpose", "c", "a", perm=TO_LAST),
            node("Reshape", "a flat", "f"), node("Reshape", "a flat", "g"), node("Add", "f g", "y")]  # fmt: skip
    assert [layer.op for layer in layers(tmp_path, rows, (1, 3, 8, 8))] == ["conv", "shuffle", "add"]


def test_a_transposition_that_is_an_output_copies(tmp_path: Path) -> None:
    rows = [node("Identity", "x", "n"), CONV, node("Transpose", "c", "y", perm=TO_LAST)]
    assert [layer.op for layer in layers(tmp_path, rows, (1, 3, 8, 8))] == ["conv", "shuffle"]
