"""Networks as ONNX models, straight from their layers: what inference runs, batch norm folded, random weights."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from nas.errors import UserError
from nas.runtimes.random_weights import RandomWeights
from nas.space.block import KINDS, Block
from nas.space.layer import Layer, Shape
from nas.space.network import Network

if TYPE_CHECKING:
    import onnx

OPSET = 17
INPUT, OUTPUT = "input", "output"

_ACTIVATIONS: dict[str, tuple[str, dict[str, Any]]] = {
    "relu": ("Relu", {}),
    "hswish": ("HardSwish", {}),
    "sigmoid": ("Sigmoid", {}),
    "hsigmoid": ("HardSigmoid", {"alpha": 1 / 6, "beta": 0.5}),
}


def network_graph(network: Network, seed: int = 0) -> onnx.ModelProto:
    """A network, or a block of one, as a model from "input" (1, c, h, w) to "output", batch 1, float32.

    A block whose output is a vector ends in (1, n) where a linear layer makes it, a detector's heads in
    (1, boxes, classes + 4). Raises UserError for a block of imported layers: a list of layers does not say which of
    them are connected.
    """
    import onnx

    graph = _Graph(RandomWeights(seed))
    ends: list[str] = []
    for number, block in enumerate(network.blocks):
        source = network.source(number)
        end = _write_block(graph, block, INPUT if source < 0 else ends[source])
        ends.append(_as_boxes(graph, block, end) if KINDS[block.kind].anchors else end)
    if len(network.heads) > 1 and network.detects:
        graph.node("Concat", [ends[number] for number in network.heads], axis=1)
    graph.nodes[-1].output[0] = OUTPUT
    shape = network.input_shape
    proto = onnx.helper.make_graph(
        graph.nodes,
        "blocks",
        [onnx.helper.make_tensor_value_info(INPUT, onnx.TensorProto.FLOAT, (1, *shape))],
        [onnx.helper.make_tensor_value_info(OUTPUT, onnx.TensorProto.FLOAT, _output(network))],
        graph.weights,
    )
    # IR 8 belongs to opset 17: every ONNX Runtime since 1.11 reads it
    return onnx.helper.make_model(proto, opset_imports=[onnx.helper.make_opsetid("", OPSET)], ir_version=8)


def _output(network: Network) -> tuple[int, ...]:
    """The shape of what the network gives."""
    last = network.blocks[-1]
    if not network.detects:
        return (1, last.out_shape[0]) if KINDS[last.kind].classifies else (1, *last.out_shape)
    each = [KINDS[b.kind].boxes(b) for b in network.blocks if KINDS[b.kind].anchors]
    return (1, sum(boxes for boxes, _ in each), each[0][1])


class _Graph:
    """The nodes and weights written so far."""

    def __init__(self, random: RandomWeights) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[onnx.TensorProto] = []
        self.random = random

    def node(self, op: str, inputs: Sequence[str], **attributes: Any) -> str:
        import onnx

        output = f"{op.lower()}_{len(self.nodes)}"
        self.nodes.append(onnx.helper.make_node(op, inputs, [output], name=f"{op}_{len(self.nodes)}", **attributes))
        return output

    def constant(self, values: np.ndarray) -> str:
        import onnx

        name = f"constant_{len(self.weights)}"
        self.weights.append(onnx.numpy_helper.from_array(values, name))
        return name

    def weight(self, *shape: int) -> str:
        return self.constant(self.random.draw(*shape))


def _write_block(graph: _Graph, block: Block, current: str) -> str:
    if block.kind == "imported":
        raise UserError(f"a block read from a file cannot be timed on its own: {block.key}")
    entrance, scaled = current, ""
    for layer in block.layers:
        if layer.op == "add":
            current = graph.node("Add", [current, entrance])
        elif layer.op == "multiply":
            current = graph.node("Mul", [scaled, current])
        else:
            if layer.op == "global_pool":  # in squeeze-excite: what is pooled is later scaled
                scaled = current
            current = _write_layer(graph, layer, current)
    return current


def _as_boxes(graph: _Graph, block: Block, x: str) -> str:
    """A detector's map (1, c, h, w) as a row for each box."""
    turned = graph.node("Transpose", [x], perm=(0, 2, 3, 1))
    return graph.node("Reshape", [turned, graph.constant(np.array([1, *KINDS[block.kind].boxes(block)]))])


def _write_layer(graph: _Graph, layer: Layer, x: str) -> str:
    channels = layer.out_shape[0]
    if layer.op == "conv":
        weight = graph.weight(channels, layer.in_shape[0] // layer.groups, *layer.kernel)
        attributes: dict[str, Any] = {"kernel_shape": layer.kernel, "strides": (layer.stride,) * 2}
        pads = padding_of(layer.in_shape, layer.out_shape, layer.kernel, layer.stride)
        return graph.node("Conv", [x, weight, graph.weight(channels)], pads=pads, group=layer.groups, **attributes)
    if layer.op == "linear":
        flat = x if x.startswith("gemm") else graph.node("Flatten", [x])  # the first factor's output is flat
        return graph.node("Gemm", [flat, graph.weight(channels, layer.in_shape[0]), graph.weight(channels)], transB=1)
    if layer.op == "activation":
        return _write_activation(graph, layer.function, x)
    if layer.op == "global_pool":
        return graph.node("GlobalAveragePool", [x])
    if layer.op == "shuffle":
        c, h, w = layer.out_shape
        split = graph.constant(np.array([1, layer.groups, c // layer.groups, h, w]))
        turned = graph.node("Transpose", [graph.node("Reshape", [x, split])], perm=(0, 2, 1, 3, 4))
        return graph.node("Reshape", [turned, graph.constant(np.array([1, c, h, w]))])
    raise UserError(f"a block with a layer of type {layer.op} cannot be timed")


def _write_activation(graph: _Graph, function: str, x: str) -> str:
    if function == "relu6":
        limits = [graph.constant(np.array(limit, dtype=np.float32)) for limit in (0, 6)]
        return graph.node("Clip", [x, *limits])
    if function == "swish":
        return graph.node("Mul", [x, graph.node("Sigmoid", [x])])
    if function not in _ACTIVATIONS:
        raise UserError(f"a block with the activation {function!r} cannot be timed")
    op, attributes = _ACTIVATIONS[function]
    return graph.node(op, [x], **attributes)


def padding_of(shape: Shape, out: Shape, kernel: tuple[int, int], stride: int) -> tuple[int, ...]:
    """Padding of half the kernel on each side, with which the output is as large as "same" makes it."""
    pads = (kernel[0] // 2, kernel[1] // 2)
    made = tuple((size + 2 * p - k) // stride + 1 for size, p, k in zip(shape[1:], pads, kernel, strict=True))
    if made != out[1:]:
        raise UserError(f"a convolution from {shape} to {out} with kernel {kernel}, stride {stride} cannot be timed")
    return (*pads, *pads)
