"""Networks as TFLite models, as TFLite's converter writes them: channels last, batch norm and ReLU folded in."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

import numpy as np

from nas.errors import UserError
from nas.runtimes.onnx.blocks import padding_of
from nas.runtimes.tflite.file import GROUPED, Tensor, TfliteFile
from nas.runtimes.tflite.weights import ToTime
from nas.space.block import KINDS, Block
from nas.space.layer import FUSED, Layer
from nas.space.network import Network


def tflite_graph(network: Network, seed: int = 0, *, int8: bool = False, float_io: bool = True) -> bytes:
    """A network, or a block of one, as a TFLite file, batch 1, with the weights of `network_graph` and the same seed.

    In int8, input and output are int8 too unless `float_io`, which converts at the edges, as deployed networks do.
    Raises UserError for a block of imported layers or a layer that has no TFLite form here, or where the package that
    writes the format is missing.
    """
    graph = TfliteFile(ToTime(seed), "int8" if int8 else "fp32")
    names = [f"block_{number}" for number in range(len(network.blocks))]
    written = write_network(graph, network, names, float_io=float_io)
    return graph.file(written.first, written.last)


class Written(NamedTuple):
    """The tensors that a network was written with: the image, the output of each block, and what the network gives.

    That is one tensor, but for a detector that gives int8: there it is one for each head, with its own scale.
    """

    first: Tensor
    outputs: list[Tensor]
    last: list[Tensor]


def write_network(
    graph: TfliteFile, network: Network, names: Sequence[str], *, float_io: bool = True,
    in_float: Collection[str] = (), ends: tuple[str, str] = ("input", "output"),
) -> Written:  # fmt: skip
    """Writes a network's blocks, or a block of one.

    The names of the blocks' tensors begin with `names`; those of `in_float` compute in float32 in an int8 graph. A
    detector's heads end as the rows of their boxes, joined in float32, so that each keeps the scale of its own values.
    `ends`: the names of what goes in and comes out. Raises UserError as `tflite_graph`.
    """
    int8, (channels, height, width) = graph.int8, network.input_shape
    graph.int8 = int8 and not float_io
    first = graph.tensor((1, height, width, channels), 1.0, name=ends[0])
    outputs: list[Tensor] = []
    for number, (block, name) in enumerate(zip(network.blocks, names, strict=True)):
        graph.scope, graph.int8 = name, int8 and name not in in_float
        source = network.source(number)
        outputs.append(_write_block(graph, block, graph.converted(first if source < 0 else outputs[source])))
    graph.int8 = int8 and not float_io
    last = _rows(graph, network, outputs) if network.detects else [graph.converted(outputs[-1])]
    if network.detects and not graph.int8 and len(last) > 1:
        graph.scope = "heads"
        joined = graph.alike(last[0], (1, sum(row.shape[1] for row in last), last[0].shape[2]))
        numbers = [row.index for row in last]
        last = [graph.operator("CONCATENATION", numbers, joined, "ConcatenationOptions", axis=1)]
    if len(last) == 1:
        graph.tensors[last[0].index].name = ends[1]
    return Written(first, outputs, last)


def _rows(graph: TfliteFile, network: Network, outputs: Sequence[Tensor]) -> list[Tensor]:
    """What each of a detector's heads says, a row for each of its boxes, (1, boxes, classes + 4)."""
    found, int8 = [], graph.int8
    for head in network.heads or (len(network.blocks) - 1,):
        x, block = outputs[head], network.blocks[head]
        graph.int8 = x.int8
        row = _reshape(graph, x, (1, *KINDS[block.kind].boxes(block)))
        graph.int8 = int8
        found.append(graph.converted(row))
    return found


def _write_block(graph: TfliteFile, block: Block, current: Tensor) -> Tensor:
    if block.kind == "imported":
        raise UserError(f"a block read from a file cannot be timed on its own: {block.key}")
    entrance, scaled = current, current
    layers = block.layers
    for before, layer, after in zip((None, *layers[:-1]), layers, (*layers[1:], None), strict=True):
        if before and _fuses(before, layer):
            continue
        if layer.op == "add":
            added = graph.tensor(current.shape, math.hypot(current.rms, entrance.rms))
            current = graph.operator("ADD", [current.index, entrance.index], added, "AddOptions")
        elif layer.op == "multiply":
            product = graph.tensor(scaled.shape, scaled.rms * current.rms)
            current = graph.operator("MUL", [scaled.index, current.index], product, "MulOptions")
        else:
            if layer.op == "global_pool":  # in squeeze-excite: what is pooled is later scaled
                scaled = current
            function = after.function if after and _fuses(layer, after) else ""
            current = _write_layer(graph, layer, current, function)
    return current


def _fuses(layer: Layer, after: Layer) -> bool:
    return layer.op in ("conv", "linear") and after.op == "activation" and after.function in FUSED


def _write_layer(graph: TfliteFile, layer: Layer, x: Tensor, function: str) -> Tensor:
    """A layer, with the activation `function` computed by it."""
    channels, height, width = layer.out_shape
    if layer.op == "conv":
        return _write_conv(graph, layer, x, function)
    if layer.op == "linear":
        weight = graph.weight(x, (channels, layer.in_shape[0]), (0, 1), None)
        output = graph.tensor((1, channels), _after(math.sqrt(2) * x.rms, function), function)
        fused = graph.fused(function)
        inputs = [x.index, *weight]
        return graph.operator("FULLY_CONNECTED", inputs, output, "FullyConnectedOptions", fusedActivationFunction=fused)
    if layer.op == "activation":
        return _write_activation(graph, layer.function, x)
    if layer.op == "global_pool":
        pooled = graph.mean(x, (1, 1, 1, channels))
        return graph.operator("MEAN", [x.index, graph.integers([1, 2])], pooled, "ReducerOptions", keepDims=True)
    if layer.op == "shuffle":
        groups = layer.groups
        split = _reshape(graph, x, (1, height, width, groups, channels // groups))
        turned = graph.alike(x, (1, height, width, channels // groups, groups))
        order = graph.integers([0, 1, 2, 4, 3])
        return _reshape(graph, graph.operator("TRANSPOSE", [split.index, order], turned, "TransposeOptions"), x.shape)
    raise UserError(f"a block with a layer of type {layer.op} cannot be timed")


def _write_conv(graph: TfliteFile, layer: Layer, x: Tensor, function: str) -> Tensor:
    """A convolution. TFLite's own padding puts more on the right than on the left where they must differ; what is
    trained in PyTorch has as much on both sides, and is then padded by an operation of its own."""
    (channels, height, width), depthwise = layer.out_shape, layer.kind == "depthwise"
    above, left, _, _ = padding_of(layer.in_shape, layer.out_shape, layer.kernel, layer.stride)
    same = all(
        max((out - 1) * layer.stride + kernel - size, 0) == 2 * pad
        for out, kernel, size, pad in zip(
            layer.out_shape[1:], layer.kernel, layer.in_shape[1:], (above, left), strict=True
        )
    )
    if not same:
        _, rows, columns, _ = x.shape
        padded = graph.alike(x, (1, rows + 2 * above, columns + 2 * left, x.shape[3]))
        sides = graph.integers([[0, 0], [above, above], [left, left], [0, 0]])
        x = graph.operator("PAD", [x.index, sides], padded, "PadOptions")
    shape = (channels, layer.in_shape[0] // layer.groups, *layer.kernel)
    weight = graph.weight(x, shape, (1, 2, 3, 0) if depthwise else (0, 2, 3, 1), 3 if depthwise else 0)
    rms = math.sqrt(2 * _inside(layer, (above, left))) * x.rms
    output = graph.tensor((1, height, width, channels), _after(rms, function), function)
    fields: dict[str, Any] = {"strideW": layer.stride, "strideH": layer.stride}
    padding = graph.schema.Padding
    fields["padding"] = padding.SAME if same else padding.VALID
    fields["fusedActivationFunction"] = graph.fused(function)
    inputs = [x.index, *weight]
    if depthwise:
        fields["depthMultiplier"] = channels // layer.in_shape[0]
        return graph.operator("DEPTHWISE_CONV_2D", inputs, output, "DepthwiseConv2DOptions", **fields)
    version = GROUPED if layer.groups > 1 else 0
    return graph.operator("CONV_2D", inputs, output, "Conv2DOptions", version, **fields)


def _inside(layer: Layer, pads: tuple[int, int]) -> float:
    """The share of the values under a kernel, over all its places, that are none of the padding's zeros."""
    share = 1.0
    for size, out, kernel, pad in zip(layer.in_shape[1:], layer.out_shape[1:], layer.kernel, pads, strict=True):
        at = np.arange(out)[:, None] * layer.stride - pad + np.arange(kernel)
        share *= float(np.mean((at >= 0) & (at < size)))
    return share


def _after(rms: float, function: str) -> float:
    """The root mean square once the activation has set the negative half to about 0, and ReLU6 has capped the rest."""
    return min(rms / math.sqrt(2) if function else rms, 4.0 if function == "relu6" else math.inf)


def _write_activation(graph: TfliteFile, function: str, x: Tensor) -> Tensor:
    rms = 0.5 if function in ("sigmoid", "hsigmoid") else _after(x.rms, function)
    output = graph.tensor(x.shape, rms, function)
    if function in FUSED:
        return graph.operator(function.upper(), [x.index], output)
    if function == "hswish":
        return graph.operator("HARD_SWISH", [x.index], output, "HardSwishOptions")
    if function == "sigmoid":
        return graph.operator("LOGISTIC", [x.index], output)
    if function == "swish":
        gate = graph.operator("LOGISTIC", [x.index], graph.tensor(x.shape, 0.5, "sigmoid"))
        return graph.operator("MUL", [x.index, gate.index], output, "MulOptions")
    if function == "hsigmoid":
        relu6, six = graph.fused("relu6"), graph.tensor(x.shape, 6.0, "relu6")
        above = graph.operator(
            "ADD", [x.index, graph.number(3)], six, "AddOptions", fusedActivationFunction=relu6
        )  # fmt: skip
        return graph.operator("MUL", [above.index, graph.number(1 / 6)], output, "MulOptions")
    raise UserError(f"a block with the activation {function!r} cannot be timed")


def _reshape(graph: TfliteFile, x: Tensor, shape: tuple[int, ...]) -> Tensor:
    inputs = [x.index, graph.integers(shape)]
    return graph.operator("RESHAPE", inputs, graph.alike(x, shape), "ReshapeOptions", newShape=list(shape))
