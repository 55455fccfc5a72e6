"""Values of small constants, computed while a file is read: shapes, axes, conditions, limits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from nas.space.onnx.tensors import MOST_VALUES, Value

if TYPE_CHECKING:
    import onnx

# operations whose work is bounded by the size of inputs and outputs
_COMPUTED = frozenset({
    "Abs", "Add", "And", "Cast", "CastLike", "Ceil", "Clip", "Compress", "Concat", "ConstantOfShape", "Div", "Equal",
    "Exp", "Expand", "Flatten", "Floor", "Gather", "GatherElements", "GatherND", "Greater", "GreaterOrEqual",
    "Identity", "IsInf", "IsNaN", "Less", "LessOrEqual", "Log", "Max", "Min", "Mod", "Mul", "Neg", "NonZero", "Not",
    "Or", "Pad", "Pow", "Range", "Reciprocal", "ReduceMax", "ReduceMean", "ReduceMin", "ReduceProd", "ReduceSum",
    "Reshape", "Round", "ScatterElements", "ScatterND", "Sign", "Slice", "Split", "Sqrt", "Squeeze", "Sub", "Sum",
    "Tile", "Transpose", "Unsqueeze", "Where", "Xor",
    "DequantizeLinear", "Dropout", "QuantizeLinear", "Relu", "Sigmoid",
})  # fmt: skip
_REARRANGED = frozenset({
    "Cast", "CastLike", "DequantizeLinear", "Dropout", "Expand", "Flatten", "Gather", "GatherElements", "Identity",
    "Pad", "QuantizeLinear", "Reshape", "Slice", "Split", "Squeeze", "Tile", "Transpose", "Unsqueeze",
})  # fmt: skip


def first_input_only(node: onnx.NodeProto) -> bool:
    """Whether the outputs are the first input's values under another shape, type or order."""
    return node.op_type in _REARRANGED


def evaluate(node: onnx.NodeProto, ins: Sequence[Value], opset: int) -> list[np.ndarray] | None:
    """The outputs of a node on known values, as ONNX's reference computes them; None where it does not."""
    import onnx
    from onnx.reference import ReferenceEvaluator

    sizes = [value.data.size for value in ins if value.data is not None]
    if node.domain not in ("", "ai.onnx") or node.op_type not in _COMPUTED or sum(sizes) > 4 * MOST_VALUES:
        return None
    if node.op_type == "Identity":
        return [value.data for value in ins if value.data is not None]
    names = [name for name in node.input if name]
    feeds = {name: value.data for name, value in zip(names, ins, strict=True)}
    try:
        newest = onnx.defs.get_schema(node.op_type, "").since_version
        same = node.op_type in ("QuantizeLinear", "DequantizeLinear")  # of which there is no older reference
        if same or onnx.defs.get_schema(node.op_type, opset, "").since_version == newest:
            return [np.asarray(found) for found in ReferenceEvaluator(node).run(None, feeds)]
        # a node alone is evaluated as of the newest opset, an older one needs a model around it
        inputs = [onnx.ValueInfoProto(name=name) for name in feeds]
        outputs = [onnx.ValueInfoProto(name=name) for name in node.output if name]
        graph = onnx.helper.make_graph([node], "constant", inputs, outputs)
        model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", opset)])
        return [np.asarray(found) for found in ReferenceEvaluator(model).run(None, feeds)]
    except Exception:  # no reference, or values that it does not take: the result stays unknown, its shape does not
        return None
