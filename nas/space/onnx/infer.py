"""Shapes of an ONNX operation's outputs, and their values where they depend on no image and are few."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import prod
from typing import TYPE_CHECKING, NoReturn

from nas.space.onnx.call import own_shape
from nas.space.onnx.scope import STANDARD, Scope
from nas.space.onnx.tensors import BOOL, FLOAT, INT64, MOST_VALUES, Shape, Value, attribute
from nas.space.onnx.values import evaluate, first_input_only

if TYPE_CHECKING:
    import onnx

Known = tuple[Shape | None, int]  # a shape, if it is known, and an element type

_TEXT = 8
_WHOLE = frozenset({4, 5, 6, 7, 12, 13})  # all whole numbers of more than 8 bits
_KEEPS_TYPE = frozenset({
    "Add", "Concat", "Expand", "Flatten", "Gather", "Identity", "Mul", "Pad", "Reshape", "Slice", "Split", "Squeeze",
    "Tile", "Transpose", "Unsqueeze",
})  # fmt: skip


def infer(
    node: onnx.NodeProto, ins: Sequence[Value | None], scope: Scope, fail: Callable[[str], NoReturn]
) -> list[Known]:
    """Shape and type of each output, by ONNX's own inference. Calls `fail` if the inputs do not fit together."""
    import onnx

    unknown: list[Known] = [(None, FLOAT)] * len(node.output)
    if (own := own_shape(node, ins)) is not None:
        single = node.op_type == "DynamicQuantizeLinear"  # its scale and zero point
        return [(own, FLOAT), *([((), FLOAT)] * (len(node.output) - 1) if single else unknown[1:])]
    domain = "" if node.domain in STANDARD else node.domain
    try:
        schema = onnx.defs.get_schema(node.op_type, scope.opset.get(domain, 1), domain)
    except onnx.defs.SchemaError:
        return unknown
    types: dict[str, onnx.TypeProto] = {}
    data: dict[str, onnx.TensorProto] = {}
    for name, value in zip(node.input, ins, strict=True):
        if value is None or value.shape is None:
            continue
        elem = FLOAT if scope.int8 else _plain_type(value.elem)  # a bias of 32 bits beside weights of 8
        types[name] = onnx.helper.make_tensor_type_proto(elem, value.shape)
        if not scope.int8 and value.data is not None and value.data.dtype.kind in "fiub":
            if value.proto is None:
                dtype = onnx.helper.tensor_dtype_to_np_dtype(elem)
                value.proto = onnx.numpy_helper.from_array(value.data.astype(dtype))
            data[name] = value.proto
    versions = [onnx.helper.make_opsetid(name, version) for name, version in scope.opset.items()]
    try:
        found = onnx.shape_inference.infer_node_outputs(schema, node, types, data, opset_imports=versions, ir_version=8)
    except onnx.checker.ValidationError:  # types that the operation does not take
        return unknown
    except (onnx.shape_inference.InferenceError, RuntimeError, ValueError, KeyError, IndexError) as error:
        if len(types) < len([name for name in node.input if name]):
            return unknown
        fail(" ".join(str(error).split())[:100])
    return [_known(found.get(name)) for name in node.output]


def fold(node: onnx.NodeProto, given: Sequence[Value], outs: Sequence[Value], opset: int, *, keep: bool) -> int:
    """Fills in the outputs of an operation on constants, with values if `keep`; the bytes of those values."""
    import onnx

    parts = given[:1] if first_input_only(node) else given
    trained = all(value.trained for value in given)
    stored: Mapping[str, int] = {k: n for value in parts for k, n in value.stored.items() if n > 1 or len(parts) == 1}
    small = all(out.shape is not None and prod(out.shape) <= MOST_VALUES for out in outs)
    known = small and keep and all(value.data is not None for value in given)
    data = evaluate(node, given, opset) if known else None
    size = 0
    for index, out in enumerate(outs):
        out.constant, out.trained, out.stored = True, trained, stored if trained else {}
        out.uniform = bool(parts) and all(value.uniform for value in parts)
        out.quantized = node.op_type == "QuantizeLinear" or any(value.quantized for value in parts)
        if given and (node.op_type in _KEEPS_TYPE or (given[0].half and out.elem == FLOAT)):
            out.elem = given[0].elem
        if node.op_type == "Cast":
            out.elem = int(attribute(node, "to", FLOAT))
        if data is not None and index < len(data) and data[index].size <= MOST_VALUES:
            out.data, out.shape = data[index], data[index].shape
            size += out.data.nbytes
            if out.data.dtype.kind in "iub":
                out.elem = int(onnx.helper.np_dtype_to_tensor_dtype(out.data.dtype))
    return size


def _plain_type(elem: int) -> int:
    """One type for all that hold numbers, whole numbers or flags: shapes do not depend on how many bits they have."""
    return INT64 if elem in _WHOLE else elem if elem in (_TEXT, BOOL) else FLOAT


def _known(found: onnx.TypeProto | None) -> Known:
    if found is None or not found.HasField("tensor_type"):
        return None, FLOAT
    tensor = found.tensor_type
    dims = tensor.shape.dim
    known = tensor.HasField("shape") and all(dim.HasField("dim_value") for dim in dims)
    return tuple(dim.dim_value for dim in dims) if known else None, tensor.elem_type or FLOAT
