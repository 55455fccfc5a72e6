"""Files made to hang, to fill the memory or to mislead: one line says what is wrong, soon, and nothing is allocated."""

from __future__ import annotations

import os
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from nas.errors import UserError
from nas.space.onnx import walk, wire
from nas.space.onnx.file import read_onnx
from tests.space.onnx.graphs import graph, model, node, save, zeros

CONV = node("Conv", "x w", "c", pads=[1] * 4)
W = {"w": zeros(6, 3, 3, 3), "v": zeros(6, 6, 3, 3), "on": np.array(True)}
HUGE = 2**62


def whole(*values: int) -> np.ndarray:
    return np.array(values)


def endless_loop(turns: int | None) -> onnx.ModelProto:
    body = graph([node("Identity", "go", "again"), node("Identity", "state", "out")], ["turn", "go", "state"],
                 "again out")  # fmt: skip
    weights = {**W, **({} if turns is None else {"turns": np.array(turns)})}
    return model([CONV, node("Loop", f"{'-' if turns is None else 'turns'} on c", "y", body=body)], weights)


def filled(rows: list[onnx.NodeProto], **weights: np.ndarray) -> onnx.ModelProto:
    """A model that reshapes to what `rows` compute."""
    return model([CONV, *rows, node("Reshape", "c huge", "y")], {**W, **weights})


def doubling(times: int) -> onnx.ModelProto:
    rows = [node("ConstantOfShape", "size", "k0")]
    rows += [node("Concat", f"k{i} k{i}", f"k{i + 1}", axis=0) for i in range(times)]
    return filled([*rows, node("Identity", f"k{times}", "huge")], size=whole(4096))


def function(name: str, nodes: list[onnx.NodeProto], output: str) -> onnx.FunctionProto:
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("mine", 1)]
    return helper.make_function("mine", name, ["a"], [output], nodes, opsets)


def call(name: str, inputs: str, output: str) -> onnx.NodeProto:
    return node(name, inputs, output, "mine")


def exponential(depth: int) -> onnx.ModelProto:
    """Each function calls the next one twice: 2^depth convolutions."""
    made = [function(f"F{i}", [call(f"F{i + 1}", "a", "b"), call(f"F{i + 1}", "b", "c")], "c") for i in range(depth)]
    last = function(f"F{depth}", [node("Relu", "a", "r")], "r")
    return model([CONV, call("F0", "c", "y")], W, functions=[*made, last])


def recursive() -> onnx.ModelProto:
    one, two = function("One", [call("Two", "a", "b")], "b"), function("Two", [call("One", "a", "b")], "b")
    return model([CONV, call("One", "c", "y")], W, functions=[one, two])


def nested(depth: int) -> onnx.ModelProto:
    inner = graph([node("Identity", "c", "i")], [], "i")
    for _ in range(depth):
        inner = graph([node("If", "on", "i", then_branch=inner, else_branch=inner)], [], "i")
    # serialized by hand: each level holds its branch twice, so only one of them is the deep one
    return model([CONV, node("If", "on", "y", then_branch=inner, else_branch=inner)], W)


def field(number: int, content: bytes) -> bytes:
    return wire._varint(number << 3 | 2) + wire._varint(len(content)) + content


def nested_bytes(depth: int) -> bytes:
    """A model with an If in an If in an If ..., deeper than protobuf would write it."""
    inner = node("Identity", "c", "i").SerializeToString()
    for _ in range(depth):
        inner = field(4, b"If") + field(5, field(1, b"then_branch") + field(6, field(1, inner)))
    return model([CONV], W, "c").SerializeToString() + field(7, field(1, inner))


def conv(weight: np.ndarray | None = None, **attributes: object) -> onnx.ModelProto:
    return model([node("Conv", "x w", "y", **attributes)], {"w": zeros(6, 3, 3, 3) if weight is None else weight})


def stored(**fields: object) -> onnx.ModelProto:
    made = conv()
    tensor = made.graph.initializer[0]
    for name, value in fields.items():
        if name == "dims":
            del tensor.dims[:]
            tensor.dims.extend(value)  # type: ignore[arg-type]
        elif name == "location":
            tensor.ClearField("raw_data")
            tensor.data_location = TensorProto.EXTERNAL
            tensor.external_data.add(key="location", value=str(value))
        else:
            setattr(tensor, name, value)
    return made


MODELS: dict[str, tuple[Callable[[], onnx.ModelProto], str]] = {
    "loop-2^62": (lambda: endless_loop(HUGE), "runs more than 500 operations"),
    "loop-for-ever": (lambda: endless_loop(None), "runs more than 500 operations"),
    "functions-2^40": (lambda: exponential(30), "runs more than 500 operations"),
    "functions-deep": (lambda: exponential(60), "more than 40 deep"),
    "function-recursive": (recursive, "function 'One' calls itself"),
    "nested-twice": (lambda: nested(8), "nothing"),
    "concat-doubled": (lambda: doubling(40), "shape|dimensions"),
    "expand": (lambda: filled([node("Expand", "one size", "huge")], one=whole(1), size=whole(HUGE)), "shape"),
    "tile": (lambda: filled([node("Tile", "one size", "huge")], one=whole(1), size=whole(10**12)), "shape"),
    "range": (
        lambda: filled([node("Range", "from till step", "huge")], **{
            "from": np.array(0), "till": np.array(10**15), "step": np.array(1)}), "shape"),
    "reshape-other": (
        lambda: filled([node("Range", "from till step", "huge")], **{
            "from": np.array(0), "till": np.array(10), "step": np.array(0)}), "makes 1 values of 384"),
    "pad": (lambda: filled([node("Pad", "one size", "huge")], one=whole(1), size=whole(0, HUGE)), "shape"),
    "of-shape": (lambda: filled([node("ConstantOfShape", "size", "huge")], size=whole(2**31, 2**31)), "shape"),
    "resize": (
        lambda: model([CONV, node("Resize", "c - - size", "y")], {**W, "size": whole(1, 6, 2**40, 2**40)}),
        "dimensions must be 1 or more"),
    "expand-image": (
        lambda: model([CONV, node("Expand", "c size", "y")], {**W, "size": whole(2**40, 6, 8, 8)}),
        "dimensions must be 1 or more"),
    "group-0": (lambda: conv(group=0), "group must be 1 or more; got 0"),
    "group-negative": (lambda: conv(group=-3), "group must be 1 or more; got -3"),
    "group-odd": (lambda: conv(group=2), "do not fit an input of 3 channels"),
    "stride-0": (lambda: conv(strides=[0, 0]), "strides must be 1 or more"),
    "dilation-0": (lambda: conv(dilations=[0, 1]), "dilations must be 1 or more"),
    "stride-huge": (lambda: conv(strides=[2**40, 1]), "strides must be 1 or more"),
    "kernel-other": (lambda: conv(kernel_shape=[5, 5]), r"kernel_shape is \[5, 5\], its weights are \[3, 3\]"),
    "kernel-negative": (lambda: conv(kernel_shape=[-3, -3]), "kernel_shape must be 1 or more"),
    "kernel-larger": (lambda: conv(zeros(6, 3, 9, 9)), "dimensions must be 1 or more|do not fit"),
    "pads-negative": (lambda: conv(pads=[-9, -9, -9, -9]), "dimensions must be 1 or more|do not fit"),
    "weights-empty": (lambda: conv(zeros(0, 3, 3, 3)), "weights must have dimensions of 1 or more"),
    "weights-flat": (lambda: conv(zeros(6, 27)), "same number of dimensions"),
    "dims-negative": (lambda: stored(dims=[-6, 3, 3, 3]), "dimensions of 0 or more"),
    "dims-huge": (lambda: stored(dims=[2**40, 3, 3, 3], raw_data=b""), "dimensions of 0 or more"),
    "dims-unlike-data": (lambda: stored(dims=[6, 3, 3, 5]), "holds 648 bytes"),
    "dtype-999": (lambda: stored(data_type=999), "unknown data type 999"),
    "dtype-0": (lambda: stored(data_type=0), "unknown data type 0"),
    "external-long": (lambda: stored(location="a" * 400), "not beside the file"),
    "external-absolute": (lambda: stored(location="/etc/passwd"), "points outside the file's folder"),
    "external-drive": (lambda: stored(location="C:\\secret"), "points outside the file's folder"),
    "external-up": (lambda: stored(location="a/../../secret"), "points outside the file's folder"),
    "external-none": (lambda: stored(location=""), "points outside the file's folder"),
    "cycle": (
        lambda: model([node("Add", "c b", "a"), node("Relu", "a", "b"), CONV, node("Relu", "b", "y")], W), "a cycle"),
    "made-twice": (lambda: model([CONV, node("Relu", "x", "c"), node("Relu", "c", "y")], W), "makes too"),
    "made-never": (lambda: model([CONV, node("Add", "c ghost", "y")], W), "reads 'ghost', which nothing makes"),
    "output-never": (lambda: model([CONV], W, "ghost"), "an output reads 'ghost'"),
    "image-huge": (lambda: model([CONV], W, "c", (1, 3, 2**40, 2**40)), "not an image"),
    "image-zero": (lambda: model([CONV], W, "c", (1, 3, 0, 8)), "fixed image size"),
    "image-negative": (lambda: model([CONV], W, "c", (1, 3, -8, 8)), "fixed image size"),
    "reshape-no-fit": (lambda: filled([node("Identity", "to", "huge")], to=whole(7, -1)), "do not fit together"),
    "reshape-zero": (
        lambda: model([CONV, node("Reshape", "c to", "y", allowzero=1)], {**W, "to": whole(0, 6, 8, 8)}),
        "makes 0 values of 384"),
}  # fmt: skip


@pytest.mark.parametrize("name", [name for name in MODELS if MODELS[name][1] != "nothing"])
def test_one_line_says_what_is_wrong_and_little_is_allocated(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    make, message = MODELS[name]
    monkeypatch.setattr(walk, "MOST_STEPS", 500)
    path = save(make(), tmp_path)
    before = sorted(tmp_path.iterdir())
    tracemalloc.start()
    try:
        with pytest.raises(UserError, match=message) as caught:
            read_onnx(path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    said = str(caught.value).replace(str(path), "")
    assert len(said) < 250 and said.isprintable()
    assert peak < 100e6
    assert sorted(tmp_path.iterdir()) == before


def test_a_branch_that_is_not_taken_costs_no_walk(tmp_path: Path) -> None:
    assert read_onnx(save(MODELS["nested-twice"][0](), tmp_path)).network.macs == 6 * 3 * 9 * 64


def test_graphs_nested_without_end_are_refused_before_they_are_parsed(tmp_path: Path) -> None:
    (tmp_path / "m.onnx").write_bytes(nested_bytes(5_000))
    with pytest.raises(UserError, match="nested more than 90 deep"):
        read_onnx(tmp_path / "m.onnx")


def test_values_that_are_kept_are_bounded_in_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(walk, "MOST_BYTES", 100_000)
    rows = [node("Add", f"k{i} step", f"k{i + 1}") for i in range(40)]
    path = save(filled([*rows, node("Identity", "k40", "huge")], k0=np.arange(4000), step=whole(1)), tmp_path)
    with pytest.raises(UserError, match=r"shape of .* is not known|do not fit"):
        read_onnx(path)


@pytest.mark.parametrize("field", ["node", "initializer", "value_info"])
def test_more_structure_than_a_network_has_is_refused_before_it_is_parsed(
    tmp_path: Path, field: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    part = model([CONV], W, "c")
    monkeypatch.setattr(wire, "MOST_FIELDS", 20_000)
    path = tmp_path / "m.onnx"
    number = {"node": 1, "initializer": 5, "value_info": 13}[field]
    many = bytes([number << 3 | 2, 0]) * (wire.MOST_FIELDS + 1)  # each is 2 bytes here, and a hundred in memory
    path.write_bytes(part.SerializeToString() + b"\x3a" + wire._varint(len(many)) + many)
    with pytest.raises(UserError, match="more structure than a network needs"):
        read_onnx(path)


@pytest.mark.parametrize(
    "content", [b"\x3a\xff\xff\xff\xff\xff\xff\xff\xff\x7f", b"\x3a" * 200, b"\x0b" * 50, b"\x00" * 99]
)
def test_broken_fields_are_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "m.onnx").write_bytes(content)
    with pytest.raises(UserError, match="not an ONNX file"):
        read_onnx(tmp_path / "m.onnx")


def test_pipes_links_and_long_names_are_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.onnx")
    (tmp_path / "loop.onnx").symlink_to(tmp_path / "loop.onnx")
    for name, message in (("pipe.onnx", "a pipe or a device"), ("loop.onnx", "ONNX model is expected"),
                          ("a" * 300 + ".onnx", "ONNX model is expected")):  # fmt: skip
        with pytest.raises(UserError, match=message) as caught:
            read_onnx(tmp_path / name)
        assert len(str(caught.value)) < 300


def test_an_external_file_that_is_a_link_out_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(bytes(648))
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "w.bin").symlink_to(tmp_path / "secret")
    with pytest.raises(UserError, match="not beside the file"):
        read_onnx(save(stored(location="w.bin"), tmp_path / "model"))


def test_names_from_a_file_neither_steer_the_terminal_nor_fill_it(tmp_path: Path) -> None:
    evil = "\x1b[31mred\n" * 500
    for made in (
        model([CONV, helper.make_node("Add", ["c", evil], ["y"])], W),
        model([CONV, helper.make_node("Reshape", ["c", "to"], ["y"], name=evil)], {**W, "to": whole(7, 7)}),
    ):
        with pytest.raises(UserError) as caught:
            read_onnx(save(made, tmp_path))
        assert len(str(caught.value)) < 400
    reading = read_onnx(save(model([CONV, helper.make_node("Erf", ["c"], ["y"], name=evil)], W), tmp_path))
    assert len(reading.unread[0]) <= 120 and "\x1b" not in reading.unread[0]
