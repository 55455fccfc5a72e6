"""What each ONNX operation is to a cost model: a layer, part of one, free, or not understood."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from math import inf, isinf, prod

from nas.space.graph.node import Node, NodeOp
from nas.space.onnx.call import DOMAINS, Call, Fields
from nas.space.onnx.products import GATES, conv, einsum, few_bits, product, recurrent, transposed_conv

_ACTIVATIONS = {
    "Relu": "relu", "HardSwish": "hswish", "HardSigmoid": "hsigmoid", "Sigmoid": "sigmoid", "Swish": "swish",
    "LeakyRelu": "leaky_relu", "PRelu": "prelu", "Elu": "elu", "Gelu": "gelu", "Tanh": "tanh", "Mish": "mish",
    "Selu": "selu", "Celu": "celu", "Softplus": "softplus", "Softsign": "softsign",
    "ThresholdedRelu": "thresholded_relu",
}  # fmt: skip
# functions that stand for themselves nowhere: parts of an activation that is written out
_FUNCTIONS = frozenset({"Abs", "Erf", "Exp", "Log", "Neg", "Reciprocal", "Sign", "Sqrt"})
_FREE = frozenset({
    "Identity", "Dropout", "Flatten", "Reshape", "Squeeze", "Unsqueeze", "Cast", "CastLike",
    "QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear",  # looked through: the layers between run in int8
})  # fmt: skip
_COPIES = frozenset({"Concat", "Slice", "Split", "Gather", "DepthToSpace", "SpaceToDepth", "ReverseSequence"})
_KEEPS_INT8 = _FREE | _COPIES | {"Relu", "Clip", "MaxPool", "Transpose", "Pad", "Resize"}
_PREPARES = _FREE | _COPIES | {"Add", "Sub", "Mul", "Div", "Transpose", "Pad", "Resize", "Upsample", "Neg"}


def read_call(call: Call) -> Iterator[Node]:
    """The operation as the graph of layers knows it; one node for each output of a split, several for an RNN."""
    node, first = call.node, call.at(0)
    op = node.op_type
    reader = _READERS.get(op) if node.domain in DOMAINS else None
    found = reader(call) if reader else None
    active = [value for value in call.ins if value is not None and not value.constant]
    for out in call.outs:
        out.raw = op in _PREPARES and all(value.raw for value in active)
        out.quantized = op in ("QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear") or call.int8 or (
            op in _KEEPS_INT8 and first is not None and first.quantized
        )  # fmt: skip
    if isinstance(found, list):
        yield from found
        return
    fields = dict(found or {"op": "unread"})
    if call.outs[0].raw and fields["op"] in ("scale", "shift"):
        fields["stored"] = ()  # how the image is normalized was not trained
    named = [out for out in call.outs if out.name]
    for index, out in enumerate(named):
        changed = fields
        if index and op != "Split" and fields["op"] != "unread":  # a pooling's indices, a dropout's mask
            changed = {"op": "alias", "inputs": (named[0].name,)}
        yield Node(**{"name": call.label, "inputs": call.active, "output": out.name, **changed})


Reader = Callable[[Call], "Fields | list[Node]"]


def _activation(call: Call) -> Fields:
    fields: Fields = {"op": "activation", "function": _ACTIVATIONS[call.node.op_type], "inputs": call.active[:1]}
    if fields and call.node.op_type == "PRelu" and (slopes := call.at(1)) is not None and slopes.constant:
        fields["stored"] = call.stored(slopes)
    return fields if call.at(0) is not None and call.active else None


def _function(call: Call) -> Fields:
    return {"op": "function", "function": call.node.op_type.lower(), "inputs": call.active[:1]}


def _power(call: Call) -> Fields:
    exponent = call.number(1, inf)
    base = call.at(0)
    if exponent is None or base is None or base.constant:
        return None
    return {"op": "function", "function": "pow", "value": exponent, "inputs": call.active[:1]}


def _softmax(call: Call) -> Fields:
    return {"op": "activation", "function": "softmax"}


def _clip(call: Call) -> Fields:
    low, high = call.number(1, call.attribute("min", -inf)), call.number(2, call.attribute("max", inf))
    return _clipped(low, high) if len(call.active) == 1 else None


def _clipped(low: float | None, high: float | None) -> Fields:
    if low is None or high is None or abs(low) > 1e-6:
        return None
    if isinf(high) or high > 1e30:
        return {"op": "activation", "function": "relu"}
    return {"op": "activation", "function": "relu6"} if abs(high - 6) < 0.05 else None  # 0.05: 6 may be quantized


def _limit(call: Call) -> Fields:
    """Min(Relu(x), 6), as TensorFlow's converters write relu6, where the Relu is fused anyway; Max(x, 0) is relu."""
    constants = [value for value in call.ins if value is not None and value.constant]
    if len(call.active) != 1 or len(constants) != 1 or (limit := constants[0].number) is None:
        return None
    known = _clipped(0.0, limit) if call.node.op_type == "Min" else _clipped(limit, inf)
    return known or {"op": "function", "function": call.node.op_type.lower(), "value": limit}


def _pool(call: Call) -> Fields:
    kernel, shape = tuple(call.attribute("kernel_shape", ())), call.shape(0)
    if len(kernel) != 2 or len(shape) != 4:
        return None
    function = "max" if call.node.op_type == "MaxPool" else "avg"
    if function == "avg" and kernel == shape[2:] and call.out[2:] == (1, 1):
        return {"op": "global_pool", "function": function}
    stride = max(call.attribute("strides", [1, 1]))
    return {"op": "pool", "kernel": kernel, "stride": stride, "function": function}


def _global_pool(call: Call) -> Fields:
    return {"op": "global_pool", "function": "max" if call.node.op_type == "GlobalMaxPool" else "avg"}


def _mean(call: Call) -> Fields:
    """A mean over the image, or over all tokens: global pooling."""
    axes, given = call.attribute("axes", None), call.at(1)
    if axes is None and given is not None:
        axes = None if given.data is None else given.data.reshape(-1)
    rank = len(call.shape(0))
    if axes is None or rank not in (3, 4):
        return None
    reduced = sorted(int(axis) % rank for axis in axes)
    if reduced not in ([[2, 3], [1, 2]] if rank == 4 else [[1], [2]]):
        return None
    return {"op": "global_pool", "function": "avg", "inputs": call.active[:1]}


def _sum(call: Call) -> Fields:
    if call.node.op_type == "Sum" and len(call.ins) != 2:
        return None
    subtracted = call.node.op_type == "Sub"
    if len(call.active) == 2:
        return {"op": "add", "value": -1.0 if subtracted else None}
    return _with_constant("shift", call, lambda value: -value if subtracted else value)


def _factor(call: Call) -> Fields:
    if len(call.active) == 2:
        return {"op": "multiply"} if call.node.op_type == "Mul" else {"op": "function", "function": "div"}
    if call.node.op_type == "Mul":
        return _with_constant("scale", call, lambda value: value)
    return _with_constant("scale", call, lambda value: 1 / value if value else inf)


def _with_constant(op: NodeOp, call: Call, value: Callable[[float], float]) -> Fields:
    constants = [given for given in call.ins if given is not None and given.constant]
    if len(constants) != 1 or len(call.active) != 1:
        return None
    constant = constants[0]
    if call.node.op_type in ("Sub", "Div") and constant is not call.at(1):
        if constant.number is None:
            return None
        return {"op": "function", "function": "r" + call.node.op_type.lower(), "value": constant.number}
    size, number = prod(constant.shape or (0,)) if constant.shape != () else 1, constant.number
    stored = call.stored(constant) if size > 1 and constant.trained else ()
    if size not in (1, *call.out):  # not one value a channel: a tensor to add or multiply
        return {"op": "add" if op == "shift" else "multiply", "stored": stored}
    return {"op": op, "value": None if number is None else value(number), "stored": stored}


def _norm(call: Call) -> Fields:
    return {"op": "norm", "inputs": call.active[:1], "stored": call.stored(call.at(1), call.at(2))}


def _concat(call: Call) -> Fields:
    """Concat, Slice, Split, Gather: values are copied, none is computed."""
    if call.node.op_type == "Gather" and (call.at(0) is None or call.at(0).constant):  # type: ignore[union-attr]
        return None  # the image chooses which values are taken
    same = len(call.active) == 1 and len(call.ins) == 1 and call.shape(0) == call.out
    cut = call.node.op_type in ("Slice", "Split") and call.shape(0) == call.out
    return {"op": "alias" if same or cut else "concat"}


def _free(call: Call) -> Fields:
    first = call.at(0)
    return {"op": "alias", "inputs": (first.name,)} if first is not None and not first.constant else None


def _plain(op: NodeOp) -> Reader:
    return lambda call: {"op": op, "inputs": call.active[:1]}


def _transpose(call: Call) -> Fields:
    return {"op": "transpose", "order": tuple(call.attribute("perm", range(len(call.shape(0)))[::-1]))}


def _readers(names: Iterable[str], reader: Reader) -> dict[str, Reader]:
    return dict.fromkeys(names, reader)


_READERS: dict[str, Reader] = {
    **_readers(_ACTIVATIONS, _activation), **_readers(_FREE, _free), **_readers(_COPIES, _concat),
    **_readers(_FUNCTIONS, _function), **_readers(("Gemm", "MatMul", "FusedMatMul", "TransposeMatMul"), product),
    **_readers(("AveragePool", "MaxPool"), _pool), **_readers(("GlobalAveragePool", "GlobalMaxPool"), _global_pool),
    **_readers(("Add", "Sub", "Sum"), _sum), **_readers(("Mul", "Div"), _factor), **_readers(GATES, recurrent),
    **_readers(("Resize", "Upsample"), _plain("resize")), **_readers(("Min", "Max"), _limit),
    "Conv": conv, "ConvTranspose": transposed_conv, "Clip": _clip, "Softmax": _softmax, "ReduceMean": _mean,
    "Pad": _plain("pad"), "BatchNormalization": _norm, "Transpose": _transpose, "Einsum": einsum, "Pow": _power,
    "MatMulNBits": few_bits,
}  # fmt: skip
