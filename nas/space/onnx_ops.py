"""What each ONNX operation is to a cost model: a layer, part of one, free, or not understood."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from math import inf, isinf, prod
from typing import TYPE_CHECKING, Any

from nas.space.graph import Node, NodeOp
from nas.space.onnx_tensors import OnnxTensors, attribute

if TYPE_CHECKING:
    import onnx

_ACTIVATIONS = {
    "Relu": "relu", "HardSwish": "hswish", "HardSigmoid": "hsigmoid", "Sigmoid": "sigmoid", "Swish": "swish",
    "LeakyRelu": "leaky_relu", "PRelu": "prelu", "Elu": "elu", "Gelu": "gelu", "Tanh": "tanh", "Mish": "mish",
}  # fmt: skip
_FREE = frozenset({
    "Identity", "Dropout", "Flatten", "Reshape", "Squeeze", "Unsqueeze", "Cast",
    "QuantizeLinear", "DequantizeLinear",  # looked through: the layers between run in int8
})  # fmt: skip


def label(node: onnx.NodeProto) -> str:
    """How a user finds the node in the file; many files do not name their nodes, but every output has a name."""
    return f"{node.op_type} {node.name or next(iter(node.output), '')}".strip()


def read_node(node: onnx.NodeProto, tensors: OnnxTensors) -> Iterator[Node]:
    """The node as the graph of layers knows it; one for each output of a split."""
    inputs = tuple(name for name in node.input if name and name not in tensors.constants)
    outputs = [name for name in node.output if name]
    known = node.domain in ("", "ai.onnx") and node.op_type in _READERS
    fields = _READERS[node.op_type](node, tensors, inputs) if known else None
    if fields is None:
        fields = {"op": "unread"}
    kept = outputs if node.op_type == "Split" else outputs[:1]
    for output in kept:
        yield Node(**{"name": label(node), "inputs": inputs, "output": output, **fields})


Fields = dict[str, Any] | None  # of a Node; None: not understood
Reader = Callable[["onnx.NodeProto", OnnxTensors, tuple[str, ...]], Fields]


def _conv(node: onnx.NodeProto, tensors: OnnxTensors, inputs: tuple[str, ...]) -> Fields:
    weight = tensors.shapes.get(node.input[1], ())
    if len(inputs) != 1 or len(weight) != 4 or max(attribute(node, "dilations", [1])) < 1:
        return None
    strides = attribute(node, "strides", [1, 1])
    bias = len(node.input) > 2 and bool(node.input[2])
    groups = attribute(node, "group", 1)
    return {"op": "conv", "kernel": weight[2:], "stride": max(strides), "groups": groups, "bias": bias}


def _linear(node: onnx.NodeProto, tensors: OnnxTensors, inputs: tuple[str, ...]) -> Fields:
    weight = tensors.shapes.get(node.input[1], ())
    if len(inputs) != 1 or node.input[0] in tensors.constants or len(weight) != 2 or attribute(node, "transA", 0):
        return None
    features = weight[::-1] if attribute(node, "transB", 0) else weight
    return {"op": "linear", "features": features, "bias": len(node.input) > 2 and bool(node.input[2])}


def _activation(node: onnx.NodeProto, tensors: OnnxTensors, inputs: tuple[str, ...]) -> Fields:
    return {"op": "activation", "function": _ACTIVATIONS[node.op_type], "inputs": inputs[:1]}


def _softmax(node: onnx.NodeProto, tensors: OnnxTensors, inputs: tuple[str, ...]) -> Fields:
    """Over the classes only; attention's softmax is part of something that is not read."""
    if len(tensors.shapes[inputs[0]]) != 2:
        return None
    return {"op": "activation", "function": "softmax"}


def _clip(node: onnx.NodeProto, tensors: OnnxTensors, inputs: tuple[str, ...]) -> Fields:
    limits = [*node.input[1:], "", ""]
    low = tensors.number(limits[0], attribute(node, "min", -inf))
    high = tensors.number(limits[1], attribute(node, "max", inf))
    return _clipped(low, high)


def _clipped(low: float | None, high: float | None) -> Fields:
    if low is None or high is None or abs(low) > 1e-6:
        return None
    if isinf(high) or high > 1e30:
        return {"op": "activation", "function": "relu"}
    return {"op": "activation", "function": "relu6"} if abs(high - 6) < 0.05 else None  # 0.05: 6 may be quantised


def _min(node: onnx.NodeProto, tensors: OnnxTensors, inputs: tuple[str, ...]) -> Fields:
    """Min(Relu(x), 6), as TensorFlow's converters write relu6: the Relu before it is fused anyway."""
    constants = [name for name in node.input if name in tensors.constants]
    return _clipped(0.0, tensors.number(constants[0], inf)) if len(constants) == 1 and len(inputs) == 1 else None


def _pool(node: onnx.NodeProto, tensors: OnnxTensors, inputs: tuple[str, ...]) -> Fields:
    kernel = tuple(attribute(node, "kernel_shape", ()))
    shape = tensors.shapes[inputs[0]]
    if len(kernel) != 2 or len(shape) != 4:
        return None
    function = "max" if node.op_type == "MaxPool" else "avg"
    if function == "avg" and kernel == shape[2:] and tensors.shapes[node.output[0]][2:] == (1, 1):
        return {"op": "global_pool", "function": function}
    stride = max(attribute(node, "strides", [1, 1]))
    return {"op": "pool", "kernel": kernel, "stride": stride, "function": function}


def _global_pool(node: onnx.NodeProto, tensors: OnnxTensors, inputs: tuple[str, ...]) -> Fields:
    return {"op": "global_pool", "function": "max" if node.op_type == "GlobalMaxPool" else "avg"}


def _mean(node: onnx.NodeProto, tensors: OnnxTensors, inputs: tuple[str, ...]) -> Fields:
    axes = attribute(node, "axes", None)
    if axes is None and len(node.input) > 1 and node.input[1]:
        axes = tensors.value(node.input[1])
    rank = len(tensors.shapes[inputs[0]])
    if axes is None or rank != 4 or sorted(int(axis) % rank for axis in axes) != [2, 3]:
        return None
    return {"op": "global_pool", "function": "avg", "inputs": inputs[:1]}


def _sum(node: onnx.NodeProto, tensors: OnnxTensors, inputs: tuple[str, ...]) -> Fields:
    sign = -1.0 if node.op_type == "Sub" else 1.0
    return {"op": "add"} if len(inputs) == 2 else _with_constant("shift", node, tensors, lambda value: sign * value)


def _product(node: onnx.NodeProto, tensors: OnnxTensors, inputs: tuple[str, ...]) -> Fields:
    if node.op_type == "Div":
        return _with_constant("scale", node, tensors, lambda value: 1 / value if value else inf)
    return {"op": "multiply"} if len(inputs) == 2 else _with_constant("scale", node, tensors, lambda value: value)


def _with_constant(op: NodeOp, node: onnx.NodeProto, tensors: OnnxTensors, value: Callable[[float], float]) -> Fields:
    constants = [name for name in node.input if name in tensors.constants]
    ordered = node.op_type in ("Sub", "Div") and constants != [node.input[1]]
    if len(constants) != 1 or ordered:
        return None
    size = prod(tensors.shapes.get(constants[0], (0,)))
    number = tensors.number(constants[0], inf)
    if size not in (1, *tensors.shapes[node.output[0]]):  # not one value a channel: a tensor to add or multiply
        return {"op": "add" if op == "shift" else "multiply"}
    return {"op": op, "value": None if number is None else value(number)}


def _concat(node: onnx.NodeProto, tensors: OnnxTensors, inputs: tuple[str, ...]) -> Fields:
    """Concat, Slice and Split: values are copied, none is computed."""
    same = len(inputs) == 1 and tensors.shapes[inputs[0]] == tensors.shapes[node.output[0]]
    return {"op": "alias" if same else "concat", "inputs": inputs}


def _free(node: onnx.NodeProto, tensors: OnnxTensors, inputs: tuple[str, ...]) -> Fields:
    return {"op": "alias", "inputs": inputs[:1]} if inputs and inputs[0] == node.input[0] else None


def _plain(op: NodeOp) -> Reader:
    return lambda node, tensors, inputs: {"op": op, "inputs": inputs[:1]}


def _transpose(node: onnx.NodeProto, tensors: OnnxTensors, inputs: tuple[str, ...]) -> Fields:
    rank = len(tensors.shapes[inputs[0]])
    return {"op": "transpose", "order": tuple(attribute(node, "perm", range(rank)[::-1]))}


def _readers(names: Iterable[str], reader: Reader) -> dict[str, Reader]:
    return dict.fromkeys(names, reader)


_READERS: dict[str, Reader] = {
    **_readers(_ACTIVATIONS, _activation), **_readers(_FREE, _free), **_readers(("Concat", "Slice", "Split"), _concat),
    **_readers(("Gemm", "MatMul"), _linear), **_readers(("AveragePool", "MaxPool"), _pool),
    **_readers(("GlobalAveragePool", "GlobalMaxPool"), _global_pool), **_readers(("Add", "Sub"), _sum),
    **_readers(("Mul", "Div"), _product), **_readers(("Resize", "Upsample"), _plain("resize")),
    "Conv": _conv, "Clip": _clip, "Min": _min, "Softmax": _softmax, "ReduceMean": _mean, "Pad": _plain("pad"),
    "BatchNormalization": _plain("norm"), "Transpose": _transpose,
}  # fmt: skip
