"""A walk through an ONNX model as it would run: subgraphs and functions entered, arithmetic on shapes worked out.

If takes the branch that its condition chooses, Loop and Scan repeat their body, a function of the file is entered at
each call. What depends on no image is a constant, and small constants have values. The walk is bounded: in operations,
depth and bytes of values.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import count
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from nas.errors import UserError
from nas.space.graph.node import Node
from nas.space.onnx.call import Call, check_node
from nas.space.onnx.control import CONTROL
from nas.space.onnx.fused import standard
from nas.space.onnx.infer import fold, infer
from nas.space.onnx.ops import read_call
from nas.space.onnx.order import plan
from nas.space.onnx.scope import STANDARD, Scope, bound, opsets
from nas.space.onnx.tensors import (
    FLOAT,
    INT64,
    MOST_SIZE,
    MOST_VALUES,
    Shape,
    TensorReader,
    Value,
    attribute,
    label,
    shown,
)  # fmt: skip

if TYPE_CHECKING:
    import onnx

MOST_STEPS = 12_000  # operations that are read, turns of loops included
MOST_DEPTH = 40  # subgraphs and functions in each other
MOST_BYTES = 32_000_000  # values of constants that are kept

_RESHAPES = frozenset({"Flatten", "Reshape", "Squeeze", "Unsqueeze"})
_NUMBERS = (
    ("value_int", np.int64),
    ("value_ints", np.int64),
    ("value_float", np.float32),
    ("value_floats", np.float32),
)


class Walk:
    """Collects `nodes`, in the order in which they run, and the `shapes` of their tensors.

    Everything raises UserError for what no runtime would take, and for what cannot be known before it runs.
    """

    def __init__(self, model: onnx.ModelProto, path: Path) -> None:
        self.path = path
        self.nodes: list[Node] = []
        self.shapes: dict[str, Shape] = {}
        self._tensors = TensorReader(path)
        self._functions = {(f.domain, f.name): f for f in model.functions}
        self._calls: list[tuple[str, str]] = []
        # by the id of a message, which is kept beside it: a loop's body is met again and again
        self._weights: dict[int, tuple[Any, dict[str, Value]]] = {}
        self._constants: dict[int, tuple[Any, Value]] = {}
        self._plans: dict[int, tuple[Any, Sequence[onnx.NodeProto]]] = {}
        self._numbers = count()
        self._steps = self._depth = self._bytes = 0
        self._use = ""

    def run(self, model: onnx.ModelProto, image: Value, declared: Mapping[str, Shape]) -> list[Value]:
        """Walks the model's main graph on its image; its outputs."""
        self.shapes[image.name] = image.shape or ()
        scope = Scope(None, opsets(model.opset_import), {image.name: image}, declared=declared)
        return self.graph(model.graph, scope)

    def fail(self, message: str) -> NoReturn:
        raise UserError(f"{self.path}: {message}")

    def spend(self, what: str, steps: int = 1) -> None:
        """Counts an operation or a turn of a loop."""
        self._steps += steps
        if self._steps > MOST_STEPS:
            self.fail(f"runs more than {MOST_STEPS:,} operations (at {what}), too many to be counted one by one")

    def graph(self, graph: onnx.GraphProto, scope: Scope) -> list[Value]:
        """The outputs of a graph whose inputs are in its scope."""
        scope.values.update(self._stored(graph))
        self._body(graph, graph.node, [output.name for output in graph.output], scope)
        return [self._value(scope, output.name, "an output") for output in graph.output]

    def shaped(self, value: Value, reader: str) -> Shape:
        """The shape of a tensor that `reader` needs."""
        if value.shape is None:
            what = f"which {value.maker} makes" if value.maker else f"which {reader} reads"
            self.fail(f"the shape of {shown(value.name)}, {what}, is not known")
        return value.shape

    def copied(self, values: Sequence[Value], shape: Shape, title: str) -> Value:
        """A tensor of the values of others."""
        out = Value(self._fresh(title), shape, values[0].elem, maker=title)
        active = tuple(value.name for value in values if not value.constant)
        out.constant = not active
        out.stored = {key: size for value in values for key, size in value.stored.items()}
        if active:
            self.shapes[out.name] = shape
            self.nodes.append(Node("concat", title, active, out.name))
        return out

    def _body(self, owner: Any, nodes: Sequence[onnx.NodeProto], outputs: Sequence[str], scope: Scope) -> None:
        self._depth += 1
        if self._depth > MOST_DEPTH:
            self.fail(f"nests graphs and functions more than {MOST_DEPTH} deep")
        if id(owner) not in self._plans:
            self._plans[id(owner)] = owner, plan(nodes, outputs, self.fail)
        for node in self._plans[id(owner)][1]:
            self._step(node, scope)
        self._depth -= 1

    def _stored(self, graph: onnx.GraphProto) -> dict[str, Value]:
        if id(graph) not in self._weights:
            key = f"{len(self._weights)}/"
            found = {t.name: self._tensors.constant(t, t.name, key + t.name) for t in graph.initializer}
            for sparse in graph.sparse_initializer:
                name = sparse.values.name
                found[name] = self._tensors.sparse(sparse, name, key + name)
            self._weights[id(graph)] = graph, found
        return self._weights[id(graph)][1]

    def _value(self, scope: Scope, name: str, reader: str) -> Value:
        value = scope.get(name)
        if value is None:
            self.fail(f"{reader} reads {shown(name)}, which nothing makes")
        return value

    def _step(self, node: onnx.NodeProto, scope: Scope) -> None:
        title = scope.label or label(node)
        self.spend(title)
        self._use = scope.use or str(id(node))  # before the attributes of a call make it another one
        node = bound(node, scope.attributes)
        ins = [self._value(scope, name, title) if name else None for name in node.input]
        for name, value in zip(node.output, self._outputs(node, ins, scope, title), strict=False):
            if name:
                scope.values[name] = value

    def _outputs(self, node: onnx.NodeProto, ins: Sequence[Value | None], scope: Scope, title: str) -> Sequence[Value]:
        if (function := self._functions.get((node.domain, node.op_type))) is not None:
            return self._call(function, node, ins, scope, title)
        if node.domain in STANDARD and node.op_type == "Constant":
            return [self._constant(node)]
        if node.domain in STANDARD and (control := CONTROL.get(node.op_type)) is not None:
            return control(self, node, ins, scope, title)
        if (expansion := standard(node, ins, self.fail)) is not None:
            opset = {**scope.opset, "": 13}  # that of the operations it is written in
            inner = scope.inner(label=title, use=self._use, int8=scope.int8 or expansion.int8, opset=opset)
            self._body(expansion, expansion.nodes, node.output[:1], inner)
            return [self._value(inner, node.output[0], title)]
        return self._plain(node, ins, scope, title)

    def _call(
        self, function: onnx.FunctionProto, node: onnx.NodeProto, ins: Sequence[Value | None], scope: Scope, title: str
    ) -> Sequence[Value]:
        key = function.domain, function.name
        if key in self._calls:
            self.fail(f"function {shown(function.name)} calls itself")
        given = {a.name: a for a in (*function.attribute_proto, *node.attribute)}
        inner = Scope(None, opsets(function.opset_import), attributes=given, label=scope.label)
        inner.values = {name: value for name, value in zip(function.input, ins, strict=False) if value is not None}
        self._calls.append(key)
        self._body(function, function.node, function.output, inner)
        self._calls.pop()
        return [self._value(inner, name, title) for name in function.output]

    def _constant(self, node: onnx.NodeProto) -> Value:
        if id(node) not in self._constants:
            self._constants[id(node)] = node, self._constant_of(node, f"constant {len(self._constants)}")
        return self._constants[id(node)][1]

    def _constant_of(self, node: onnx.NodeProto, key: str) -> Value:
        name = node.output[0]
        if (tensor := attribute(node, "value", None)) is not None:
            return self._tensors.constant(tensor, name, key)
        if (sparse := attribute(node, "sparse_value", None)) is not None:
            return self._tensors.sparse(sparse, name, key)
        for field, dtype in _NUMBERS:
            if (given := attribute(node, field, None)) is not None:
                data = np.array(given, dtype)
                stored = {key: data.size} if dtype is np.float32 else {}
                small = data if data.size <= MOST_VALUES else None
                elem = FLOAT if stored else INT64
                return Value(name, data.shape, elem, constant=True, data=small, stored=stored)
        return Value(name, None, constant=True)  # text

    def _plain(self, node: onnx.NodeProto, ins: Sequence[Value | None], scope: Scope, title: str) -> Sequence[Value]:
        """The outputs of an operation that has no graph inside; those of the image join the nodes."""
        given = [value for value in ins if value is not None]
        constant = all(value.constant for value in given)
        for value in () if constant else given:
            self.shaped(value, title)
        check_node(node, ins, title, self.fail)
        known = infer(node, ins, scope, lambda why: self.fail(f"the shapes at {title} do not fit together ({why})"))
        outs = []
        for name, (shape, elem) in zip(node.output, known, strict=True):
            found = scope.declared.get(name) if shape is None else shape
            outs.append(Value(self._fresh(name) if name else "", found, elem, maker=title))
        if node.op_type in ("Shape", "Size") and given and given[0].shape is not None:
            return _of_shape(node, given[0].shape, outs)
        if constant:
            keep = self._bytes < MOST_BYTES
            size = fold(node, given, outs, scope.opset.get("", 1), keep=keep)
            self._bytes += size
            self.spend(title, min(size, 1))  # to compute a value takes as long as to read an operation
            return outs
        if node.op_type == "DynamicQuantizeLinear":  # the scale and the zero point are found while it runs
            for out in outs[1:]:
                out.constant, out.trained, out.shape = True, False, ()
        size = prod(self.shaped(outs[0], title))
        if node.op_type in _RESHAPES and size != prod(given[0].shape or ()):
            self.fail(f"{title} makes {size:,} values of {prod(given[0].shape or ()):,}")
        for out in outs:
            if out.shape is not None and (any(dim < 1 for dim in out.shape) or prod(out.shape) > MOST_SIZE):
                self.fail(f"{title} makes a tensor of shape {out.shape[:8]}; dimensions must be 1 or more, "
                          f"and hold at most {MOST_SIZE:,} values")  # fmt: skip
            if out.name and not out.constant:
                self.shapes[out.name] = out.shape or ()
        self.nodes.extend(read_call(Call(node, ins, outs, title, scope.int8, self._use, self._room)))
        return outs

    def _fresh(self, name: str) -> str:
        """A name that no other tensor has: subgraphs that run twice repeat theirs."""
        return f"{name} ({next(self._numbers)})" if name in self.shapes else name

    def _room(self, title: str, shape: Shape) -> str:
        """The name of a tensor inside an operation."""
        name = f"{title} ({next(self._numbers)})"
        self.shapes[name] = shape
        return name


def _of_shape(node: onnx.NodeProto, shape: Shape, outs: Sequence[Value]) -> Sequence[Value]:
    start, end = attribute(node, "start", 0), attribute(node, "end", None)
    data = np.array(shape[start:end] if node.op_type == "Shape" else prod(shape), np.int64)
    outs[0].constant, outs[0].data, outs[0].shape, outs[0].elem = True, data, data.shape, INT64
    return outs
