"""Activations that a file writes out in exponentials, sums and products, told by their values.

Below opset 20 ONNX has no Gelu, below 18 no Mish, and every tool writes them its own way. So what a few operations
make of one tensor is computed at some points, and compared with the functions that networks use.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from nas.space.graph.node import Node

Array = np.ndarray  # float64 (len(_POINTS),)

_POINTS = np.concatenate([np.linspace(-9, 9, 73), [-0.5, -0.1, 0.1, 0.5]])
_TOLERANCE = 5e-3  # relative to 1 + |x|: constants may be halves or rounded
_MOST_NODES = 24  # operations of one activation
_MOST_COMPUTED = 30_000  # operations computed at the points, in one network
_PARTS = frozenset({"function", "activation", "scale", "shift", "multiply", "add"})
_STARTS = frozenset({"sigmoid", "tanh", "softplus", "hsigmoid"})  # activations that others are written with


def _erf(x: Array) -> Array:
    return np.array([math.erf(value) for value in x.tolist()])


def _sigmoid(x: Array) -> Array:
    return np.asarray(1 / (1 + np.exp(-x)))


def _softplus(x: Array) -> Array:
    return np.asarray(np.logaddexp(0, x))


_KNOWN: Mapping[str, Callable[[Array], Array]] = {
    "relu": lambda x: np.maximum(x, 0),
    "relu6": lambda x: np.clip(x, 0, 6),
    "hsigmoid": lambda x: np.clip(x / 6 + 0.5, 0, 1),
    "hswish": lambda x: x * np.clip(x / 6 + 0.5, 0, 1),
    "sigmoid": _sigmoid,
    "swish": lambda x: x * _sigmoid(x),
    "gelu": lambda x: x * (1 + _erf(x / math.sqrt(2))) / 2,
    "mish": lambda x: x * np.tanh(_softplus(x)),
    "tanh": np.tanh,
    "softplus": _softplus,
    "elu": lambda x: np.where(x > 0, x, np.expm1(np.minimum(x, 0))),
    "selu": lambda x: 1.0507009873554805 * np.where(x > 0, x, 1.6732632423543772 * np.expm1(np.minimum(x, 0))),
    "softsign": lambda x: x / (1 + np.abs(x)),
}
_QUICK_GELU = 1.702  # x * sigmoid(1.702 x)
_UNARY: Mapping[str, Callable[[Array], Array]] = {
    "abs": np.abs, "erf": _erf, "exp": np.exp, "log": np.log, "neg": np.negative, "reciprocal": np.reciprocal,
    "sign": np.sign, "sqrt": np.sqrt,
}  # fmt: skip
_WITH_NUMBER: Mapping[str, Callable[[Array, float], Array]] = {
    "pow": lambda x, c: np.power(x, c), "max": np.maximum, "min": np.minimum,
    "rsub": lambda x, c: c - x, "rdiv": lambda x, c: c / x,
}  # fmt: skip


def with_activations(nodes: Sequence[Node], outputs: set[str]) -> list[Node]:
    """The nodes with activations that were written out as one node each; a part that belongs to none is unread."""
    made = {node.output: node for node in nodes}
    users: dict[str, set[str]] = {}
    for node in nodes:
        for name in node.inputs:
            users.setdefault(name, set()).add(node.output)
    gone: set[str] = set()
    found: dict[str, Node] = {}
    room = [_MOST_COMPUTED]
    for node in reversed(nodes):
        if node.op not in _PARTS or node.output in gone or room[0] < 0:
            continue
        cluster = _cluster(node, made)
        if len(cluster) < 2 or not any(_starts(made[name]) for name in cluster):
            continue
        for root in _roots(cluster, made):
            function = _named(node.output, root, made, room)
            inside = _between(node.output, root, made) if function else set()
            closed = all(users[n] <= inside and n not in outputs for n in inside - {node.output})
            if function and closed and len(inside) > 1:
                gone |= inside - {node.output}
                found[node.output] = replace(node, op="activation", inputs=(root,), function=function, value=None)
                break
    kept = [found.get(node.output, node) for node in nodes if node.output not in gone]
    return [replace(node, op="unread", function="") if node.op == "function" else node for node in kept]


def _starts(node: Node) -> bool:
    return node.op == "function" or node.function in _STARTS


def _cluster(node: Node, made: Mapping[str, Node]) -> list[str]:
    """The outputs of the operations on single values that lead to a node's, the nearest first."""
    cluster: dict[str, None] = {}
    waiting = [node.output]
    while waiting and len(cluster) < _MOST_NODES:
        name = waiting.pop(0)
        if name not in cluster and name in made and made[name].op in _PARTS:
            cluster[name] = None
            waiting.extend(made[name].inputs)
    return list(cluster)


def _roots(cluster: Sequence[str], made: Mapping[str, Node]) -> list[str]:
    """The tensors that the whole may be a function of, the farthest first."""
    names = dict.fromkeys(name for output in cluster for name in made[output].inputs)
    return list(names)[::-1]


def _between(output: str, root: str, made: Mapping[str, Node]) -> set[str]:
    inside: set[str] = set()
    waiting = [output]
    while waiting:
        name = waiting.pop()
        if name != root and name not in inside and name in made:
            inside.add(name)
            waiting.extend(made[name].inputs)
    return inside


def _named(output: str, root: str, made: Mapping[str, Node], room: list[int]) -> str | None:
    """The function that `output` is of `root`; None if it is not a known one, or of more than `root`.

    What is computed is taken from `room`.
    """
    values: dict[str, Array] = {root: _POINTS}

    def value(name: str, depth: int) -> Array | None:
        if name not in values:
            node = made.get(name)
            room[0] -= 1
            if node is None or room[0] < 0 or node.op not in _PARTS or depth > _MOST_NODES:
                return None
            inputs = [value(other, depth + 1) for other in node.inputs]
            known = [one for one in inputs if one is not None]
            result = _apply(node, known) if len(known) == len(inputs) else None
            if result is None:
                return None
            values[name] = result
        return values[name]

    with np.errstate(all="ignore"):
        result = value(output, 0)
        if result is None or not np.isfinite(result).all():
            return None
        scale = 1 + np.abs(_POINTS)
        for name, function in _KNOWN.items():
            if np.all(np.abs(result - function(_POINTS)) <= _TOLERANCE * scale):
                return name
        quick = _POINTS * _sigmoid(_QUICK_GELU * _POINTS)
        return "gelu" if np.all(np.abs(result - quick) <= _TOLERANCE * scale) else None


def _apply(node: Node, inputs: Sequence[Array]) -> Array | None:
    """What a node makes of its inputs; None if that is not known from its fields."""
    result: Array | None = None
    x, number = inputs[0], node.value
    if len(inputs) == 1:
        if node.op == "activation" and node.function in _KNOWN:
            result = _KNOWN[node.function](x)
        elif node.op == "function" and node.function in _UNARY:
            result = _UNARY[node.function](x)
        elif node.op == "function" and node.function in _WITH_NUMBER and number is not None:
            result = _WITH_NUMBER[node.function](x, number)
        elif node.op in ("scale", "shift") and number is not None:
            result = x * number if node.op == "scale" else x + number
    elif len(inputs) == 2:
        if node.op == "add":
            result = x + inputs[1] * (1 if number is None else number)
        elif node.op == "multiply":
            result = x * inputs[1]
        elif node.op == "function" and node.function == "div":
            result = x / inputs[1]
    return result
