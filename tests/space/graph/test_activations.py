"""Activations written out in exponentials, sums and products are one layer each, however a tool spells them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

from nas.space.graph import activations
from nas.space.graph.graph import Reading
from nas.space.onnx.file import read_onnx
from tests.space.onnx.graphs import model, node, save, zeros

NUMBERS = {
    "root2": 2**0.5, "inverse": 0.5**0.5, "one": 1, "half": 0.5, "cube": 0.044715, "k": 0.7978845608, "three": 3,
    "six": 6, "zero": 0, "quick": 1.702, "two": 2, "minus": -1, "alpha": 1.6732632, "lambda": 1.050701,
}  # fmt: skip
W = {"w": zeros(6, 3, 3, 3), "channels": zeros(6, 1, 1), **{k: np.array(v, np.float32) for k, v in NUMBERS.items()}}
CONV = node("Conv", "x w", "c", pads=[1] * 4)

SPELLINGS: dict[str, tuple[str, list[onnx.NodeProto]]] = {
    "gelu-pytorch": ("gelu", [
        node("Div", "c root2", "a"), node("Erf", "a", "e"), node("Add", "e one", "p"), node("Mul", "c p", "m"),
        node("Mul", "m half", "y")]),
    "gelu-tensorflow": ("gelu", [
        node("Mul", "c inverse", "a"), node("Erf", "a", "e"), node("Add", "one e", "p"), node("Mul", "half p", "h"),
        node("Mul", "h c", "y")]),
    "gelu-half-first": ("gelu", [
        node("Mul", "c half", "h"), node("Div", "c root2", "a"), node("Erf", "a", "e"), node("Add", "e one", "p"),
        node("Mul", "h p", "y")]),
    "gelu-tanh-pow": ("gelu", [
        node("Pow", "c three", "c3"), node("Mul", "c3 cube", "q"), node("Add", "c q", "s"), node("Mul", "s k", "t"),
        node("Tanh", "t", "h"), node("Add", "h one", "p"), node("Mul", "c p", "m"), node("Mul", "m half", "y")]),
    "gelu-tanh-mul": ("gelu", [
        node("Mul", "c c", "c2"), node("Mul", "c2 c", "c3"), node("Mul", "c3 cube", "q"), node("Add", "c q", "s"),
        node("Mul", "s k", "t"), node("Tanh", "t", "h"), node("Add", "h one", "p"), node("Mul", "p half", "m"),
        node("Mul", "c m", "y")]),
    "gelu-quick": ("gelu", [node("Mul", "c quick", "a"), node("Sigmoid", "a", "s"), node("Mul", "c s", "y")]),
    "mish": ("mish", [node("Softplus", "c", "s"), node("Tanh", "s", "t"), node("Mul", "c t", "y")]),
    "mish-log": ("mish", [
        node("Exp", "c", "e"), node("Add", "e one", "p"), node("Log", "p", "l"), node("Tanh", "l", "t"),
        node("Mul", "t c", "y")]),
    "swish-exp": ("swish", [
        node("Neg", "c", "n"), node("Exp", "n", "e"), node("Add", "e one", "p"), node("Div", "c p", "y")]),
    "sigmoid-exp": ("sigmoid", [
        node("Mul", "c minus", "n"), node("Exp", "n", "e"), node("Add", "e one", "p"), node("Reciprocal", "p", "y")]),
    "sigmoid-rdiv": ("sigmoid", [
        node("Neg", "c", "n"), node("Exp", "n", "e"), node("Add", "e one", "p"), node("Div", "one p", "y")]),
    "softsign": ("softsign", [node("Abs", "c", "a"), node("Add", "a one", "p"), node("Div", "c p", "y")]),
    "relu-abs": ("relu", [node("Abs", "c", "a"), node("Add", "c a", "s"), node("Mul", "s half", "y")]),
    "hsigmoid-max": ("hsigmoid", [
        node("Div", "c six", "d"), node("Add", "d half", "a"), node("Max", "a zero", "m"), node("Min", "m one", "y")]),
    "relu-max": ("relu", [node("Max", "zero c", "y")]),
    "elu": ("elu", [
        node("Min", "c zero", "n"), node("Exp", "n", "e"), node("Sub", "e one", "q"), node("Relu", "c", "r"),
        node("Add", "r q", "y")]),
}  # fmt: skip


def read(tmp_path: Path, nodes: list[onnx.NodeProto], outputs: str = "y") -> Reading:
    return read_onnx(save(model([CONV, *nodes], W, outputs), tmp_path))


@pytest.mark.parametrize("name", SPELLINGS)
def test_a_spelling_is_one_layer(tmp_path: Path, name: str) -> None:
    function, nodes = SPELLINGS[name]
    reading = read(tmp_path, nodes)
    assert reading.unread == ()
    assert [(x.op, x.function) for x in reading.network.layers] == [("conv", ""), ("activation", function)]


def test_a_spelling_between_conversions_to_int8_is_one_layer(tmp_path: Path) -> None:
    def through(name: str) -> list[onnx.NodeProto]:
        return [node("QuantizeLinear", f"{name} scale point", f"{name}q"),
                node("DequantizeLinear", f"{name}q scale point", f"{name}i")]  # fmt: skip

    nodes = [node("Div", "c root2", "a"), node("Erf", "a", "e"), *through("e"), *through("one"),
             node("Add", "ei onei", "p"), *through("p"), node("Mul", "c pi", "m"),
             node("Mul", "m half", "y")]  # fmt: skip
    weights = {**W, "scale": np.array(1 / 64, np.float32), "point": np.array(0, np.int8)}
    reading = read_onnx(save(model([CONV, *nodes], weights), tmp_path))
    assert reading.unread == () and [x.function for x in reading.network.layers] == ["", "gelu"]


def test_the_order_of_the_operations_does_not_matter(tmp_path: Path) -> None:
    assert read(tmp_path, SPELLINGS["gelu-pytorch"][1][::-1]).unread == ()


@pytest.mark.parametrize(
    ("nodes", "unread"),
    [
        ([node("Erf", "c", "y")], ("Erf /Erf",)),
        ([node("Exp", "c", "e"), node("Add", "e channels", "y")], ("Exp /Exp",)),
        ([node("Div", "c three", "a"), node("Erf", "a", "e"), node("Add", "e one", "p"), node("Mul", "c p", "y")],
         ("Erf /Erf",)),
        ([node("Sub", "one c", "y")], ("Sub /Sub",)),
        ([node("Exp", "c", "e"), node("GlobalAveragePool", "e", "g"), node("Div", "e g", "y")],
         ("Exp /Exp", "Div /Div")),
    ],
)  # fmt: skip
def test_what_is_no_known_function_is_named(
    tmp_path: Path, nodes: list[onnx.NodeProto], unread: tuple[str, ...]
) -> None:
    assert read(tmp_path, nodes).unread == unread


def test_a_chain_without_end_is_computed_in_bounds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    computed = []
    monkeypatch.setattr(activations, "_MOST_COMPUTED", 500)
    apply = activations._apply
    monkeypatch.setattr(activations, "_apply", lambda *given: computed.append(1) or apply(*given))
    chain = [node("Erf", "c", "e0"), *(node("Erf", f"e{i}", f"e{i + 1}") for i in range(400))]
    assert len(read(tmp_path, chain, "e400").unread) == 1 and len(computed) <= 500


def test_a_part_that_something_else_reads_stays(tmp_path: Path) -> None:
    reading = read(tmp_path, SPELLINGS["gelu-pytorch"][1], "y e")
    assert reading.unread == ("Erf /Erf",)
