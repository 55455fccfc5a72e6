"""If, Loop, Scan and functions are followed as they would run; what depends on the image's values is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from nas.errors import UserError
from nas.space.graph.graph import Reading
from nas.space.onnx.file import read_onnx
from tests.space.onnx.graphs import graph, model, node, save, varied

STEM = 6 * 3 * 9 * 64  # MACs of CONV: 3x3 from 3 to 6 channels on 8x8
BODY = 6 * 6 * 9 * 64  # of a 3x3 convolution of 6 channels
CONV = node("Conv", "x w", "c", pads=[1] * 4)
INNER = node("Conv", "c v", "i", pads=[1] * 4)
W = {"w": varied(6, 3, 3, 3), "v": varied(6, 6, 3, 3), "narrow": varied(6, 6, 1, 1)}
WIDE = graph([INNER], [], "i")
NARROW = graph([node("Conv", "c narrow", "n")], [], "n")


def read(tmp_path: Path, made: onnx.ModelProto) -> Reading:
    return read_onnx(save(made, tmp_path))


def flag(value: bool) -> np.ndarray:
    return np.array(value)


def branches(condition: str, then: onnx.GraphProto = WIDE, other: onnx.GraphProto = NARROW) -> onnx.NodeProto:
    return node("If", condition, "y", then_branch=then, else_branch=other)


@pytest.mark.parametrize(("taken", "macs", "params"), [(True, BODY, 324), (False, 6 * 6 * 64, 36)])
def test_a_constant_condition_chooses_the_branch(tmp_path: Path, taken: bool, macs: int, params: int) -> None:
    reading = read(tmp_path, model([CONV, branches("on")], {**W, "on": flag(taken)}))
    assert reading.unread == ()
    assert (reading.network.macs, reading.network.params) == (STEM + macs, 162 + params)


@pytest.mark.parametrize(("limit", "macs"), [(5, BODY), (6, 6 * 6 * 64)])
def test_a_condition_on_a_shape_chooses_the_branch(tmp_path: Path, limit: int, macs: int) -> None:
    rows = [
        CONV,
        node("Shape", "c", "s"),
        node("Gather", "s one", "channels"),
        node("Greater", "channels limit", "on"),
        branches("on"),
        node("Relu", "y", "z"),
    ]
    weights = {**W, "one": np.array(1), "limit": np.array(limit)}
    reading = read(tmp_path, model(rows, weights, "z", ("batch", 3, 8, 8)))
    assert reading.network.macs == STEM + macs and reading.unread == ()


def test_a_branch_without_work_is_an_alias_of_what_it_captures(tmp_path: Path) -> None:
    same = graph([node("Identity", "c", "same")], [], "same")
    rows = [CONV, branches("on", same, same), node("Conv", "y v", "z", pads=[1] * 4)]
    reading = read(tmp_path, model(rows, {**W, "on": flag(True)}, "z"))
    assert [layer.op for layer in reading.network.layers] == ["conv", "conv"]
    assert reading.network.macs == STEM + BODY


def test_an_if_in_an_if_in_a_loop_is_followed(tmp_path: Path) -> None:
    # the inner If looks at the turn: 3x3 on the first, 1x1 on the two others
    first = graph([node("Conv", "state v", "i", pads=[1] * 4)], [], "i")
    later = graph([node("Conv", "state narrow", "n")], [], "n")
    inner = graph([node("If", "start", "b", then_branch=first, else_branch=later)], [], "b")
    body = graph(
        [
            node("Equal", "turn zero", "start"),
            node("If", "on", "out", then_branch=inner, else_branch=inner),
            node("Identity", "go", "again"),
        ],
        ["turn", "go", "state"], "again out",
    )  # fmt: skip
    weights = {**W, "turns": np.array(3), "on": flag(True), "zero": np.array(0)}
    reading = read(tmp_path, model([CONV, node("Loop", "turns on c", "y", body=body)], weights))
    assert reading.network.macs == STEM + BODY + 2 * 6 * 6 * 64
    assert reading.network.params == 162 + 324 + 36  # the 1x1 once


def test_a_loop_stops_when_its_condition_says_so_and_stacks_what_it_collects(tmp_path: Path) -> None:
    body = graph(
        [
            node("Conv", "state v", "out", pads=[1] * 4),
            node("Less", "turn last", "again"),
            node("GlobalAveragePool", "out", "kept"),
        ],
        ["turn", "go", "state"], "again out kept",
    )  # fmt: skip
    rows = [
        CONV,
        node("Loop", "- on c", "end all", body=body),
        node("Reshape", "all flat", "f"),
        node("MatMul", "f fc", "y"),
    ]
    weights = {**W, "on": flag(True), "last": np.array(3), "flat": np.array([1, -1]), "fc": varied(24, 10)}
    reading = read(tmp_path, model(rows, weights))
    assert reading.network.macs == STEM + 4 * BODY + 240  # turns 0 to 3
    assert reading.network.params == 162 + 324 + 240


def test_a_loop_of_no_turns_passes_its_state_on(tmp_path: Path) -> None:
    body = graph([node("Conv", "state v", "out", pads=[1] * 4), node("Identity", "go", "again")],
                 ["turn", "go", "state"], "again out")  # fmt: skip
    reading = read(tmp_path, model([CONV, node("Loop", "turns - c", "y", body=body)], {**W, "turns": np.array(0)}))
    assert reading.network.macs == STEM


def test_a_scan_runs_its_body_once_a_step(tmp_path: Path) -> None:
    body = graph(
        [node("MatMul", "h r", "hr"), node("Add", "hr step", "h2"), node("Identity", "h2", "kept")],
        ["h", "step"], "h2 kept",
    )  # fmt: skip
    rows = [
        CONV,
        node("Reshape", "c rows", "seq"),  # 6 steps of 64 values
        node("ConstantOfShape", "start", "h0"),
        node("Scan", "h0 seq", "last all", body=body, num_scan_inputs=1),
        node("Gemm", "last fc", "y"),
    ]
    weights = {**W, "rows": np.array([6, 1, 64]), "start": np.array([1, 64]), "r": varied(64, 64), "fc": varied(64, 10)}
    reading = read(tmp_path, model(rows, weights))
    # the first state is a constant, so its product is one too
    assert reading.network.macs == STEM + 5 * 64 * 64 + 640
    assert reading.network.params == 162 + 64 * 64 + 640


def function(name: str, nodes: list[onnx.NodeProto], inputs: list[str], output: str) -> onnx.FunctionProto:
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("mine", 1)]
    return helper.make_function("mine", name, inputs, [output], nodes, opsets, ["strides"])


def call(name: str, inputs: str, output: str, **attributes: object) -> onnx.NodeProto:
    return node(name, inputs, output, "mine", **attributes)


def test_functions_are_entered_at_each_call_with_its_attributes(tmp_path: Path) -> None:
    conv = node("Conv", "a k", "b", pads=[1] * 4)
    taken = onnx.AttributeProto(name="strides", ref_attr_name="strides", type=onnx.AttributeProto.INTS)
    conv.attribute.append(taken)
    block = function("Block", [conv, node("Relu", "b", "r")], ["a", "k"], "r")
    pair = function(
        "Pair", [call("Block", "a k", "b", strides=[2, 2]), call("Block", "b k", "d", strides=[1, 1])], ["a", "k"], "d"
    )
    reading = read(tmp_path, model([CONV, call("Pair", "c v", "y")], W, functions=[block, pair]))
    assert [layer.op for layer in reading.network.layers] == ["conv", "conv", "activation", "conv", "activation"]
    assert reading.network.macs == STEM + 2 * 6 * 6 * 9 * 16
    assert reading.network.params == 162 + 324


def dependent() -> list[onnx.NodeProto]:
    return [CONV, node("ReduceSum", "c", "sum", keepdims=0), node("Greater", "sum half", "on")]


LOOP = graph([node("Conv", "state v", "out", pads=[1] * 4), node("Identity", "go", "again")],
             ["turn", "go", "state"], "again out")  # fmt: skip


@pytest.mark.parametrize(
    ("nodes", "message"),
    [
        ([*dependent(), branches("on")], "which branch If /If takes depends on the image"),
        ([*dependent(), node("Loop", "- on c", "y", body=LOOP)], "how often Loop /Loop runs its body depends on"),
        (
            [CONV, node("Cast", "c", "whole", to=TensorProto.INT64), node("Loop", "whole - c", "y", body=LOOP)],
            "how often Loop /Loop runs its body depends on",
        ),
    ],
)
def test_what_the_image_decides_is_refused(tmp_path: Path, nodes: list[onnx.NodeProto], message: str) -> None:
    with pytest.raises(UserError, match=message):
        read(tmp_path, model(nodes, {**W, "half": np.array(0.5, dtype=np.float32)}))


def test_a_condition_that_nobody_needs_is_no_obstacle(tmp_path: Path) -> None:
    rows = [*dependent(), branches("on"), node("Relu", "c", "z")]
    assert read(tmp_path, model(rows, {**W, "half": np.array(0.5, dtype=np.float32)}, "z")).network.macs == STEM
