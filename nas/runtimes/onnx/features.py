"""A second output of a deployed file: the pooled features that its classifier reads, for what watches the network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import onnx

FEATURES = "features"
_LINEAR = ("Gemm", "MatMul")


@dataclass(frozen=True, slots=True)
class Features:
    """The tensor of a float graph that its last linear layer reads, (1, `width`)."""

    tensor: str
    width: int


def features_of(exported: onnx.ModelProto) -> Features | None:
    """What the classifier of a float graph reads; None where the graph has none with its weights in it.

    That is the graph's last linear layer; of one that is a product, the first of its factors.
    """
    import onnx

    weights = {tensor.name: tensor for tensor in exported.graph.initializer}
    linear = {node.output[0]: node for node in exported.graph.node if node.op_type in _LINEAR}
    last = next((node for node in reversed(linear.values()) if node.input[1] in weights), None)
    while last is not None and (before := linear.get(last.input[0])) and before.input[1] in weights:
        last = before
    if last is None:
        return None
    flipped = any(a.name == "transB" and onnx.helper.get_attribute_value(a) for a in last.attribute)
    return Features(last.input[0], weights[last.input[1]].dims[1 if flipped else 0])


def add_features(model: onnx.ModelProto, features: Features | None) -> None:
    """Gives `model`, in place, an output "features", float32 (1, width), the last one.

    `features` are those of the float graph that it was made from; without any it stays as it is.

    Where the classifier reads integers they are dequantized beside it: a tensor that it reads and that is an output
    would keep the runtime from computing it in integers.
    """
    import onnx

    if features is None:
        return
    graph, tensor = model.graph, features.tensor
    made = next((node for node in graph.node if tensor in node.output), None)
    rounded = next((node for node in graph.node if node.op_type == "QuantizeLinear" and node.input[0] == tensor), None)
    if made is None:
        return
    if rounded is not None:
        inputs = [rounded.output[0], *rounded.input[1:]]
        node = onnx.helper.make_node("DequantizeLinear", inputs, [FEATURES], name=FEATURES)
        graph.node.insert(_after(graph, rounded), node)
    elif _type_of(graph, tensor) == onnx.TensorProto.FLOAT16:
        node = onnx.helper.make_node("Cast", [tensor], [FEATURES], name=FEATURES, to=onnx.TensorProto.FLOAT)
        graph.node.insert(_after(graph, made), node)
    else:
        for node in graph.node:
            for names in (node.input, node.output):
                for n, name in enumerate(names):
                    if name == tensor:
                        names[n] = FEATURES
        for info in [info for info in graph.value_info if info.name == tensor]:
            graph.value_info.remove(info)
    graph.output.append(onnx.helper.make_tensor_value_info(FEATURES, onnx.TensorProto.FLOAT, [1, features.width]))


def _after(graph: onnx.GraphProto, node: onnx.NodeProto) -> int:
    return next(n for n, other in enumerate(graph.node) if other.output[0] == node.output[0]) + 1


def _type_of(graph: onnx.GraphProto, tensor: str) -> int:
    """A float tensor's type, by what the graph says of it, else by whether its weights are halves."""
    import onnx

    for info in graph.value_info:
        if info.name == tensor:
            return int(info.type.tensor_type.elem_type)
    halves = any(weights.data_type == onnx.TensorProto.FLOAT16 for weights in graph.initializer)
    return int(onnx.TensorProto.FLOAT16 if halves else onnx.TensorProto.FLOAT)
