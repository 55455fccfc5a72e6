"""Blocks written as TFLite models, as TFLite's converter writes them: channels last, batch norm and ReLU folded in.

float32, or int8 throughout: weights with one scale a channel (a linear layer: one in all, as the converter does for
every runtime), activations with a scale and a zero point. The scales are estimated, not calibrated: the time does not
depend on them.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from nas.errors import UserError
from nas.profiling.block_graph import INPUT, OUTPUT, padding_of
from nas.profiling.random_weights import RandomWeights, spread
from nas.space.block import Block
from nas.space.layer import FUSED, Layer

NEEDS = "models for LiteRT are written with the package ai-edge-litert: pip install ai-edge-litert"
SIGMAS = 4.0  # that int8 represents, to either side
VERSIONS = {  # of an operation in float32 and in int8, the oldest that can do it: old runtimes then run it too
    "CONV_2D": (1, 3), "DEPTHWISE_CONV_2D": (1, 3), "FULLY_CONNECTED": (1, 4), "ADD": (1, 2), "MUL": (1, 2),
    "MEAN": (1, 2), "PAD": (1, 2), "RELU": (1, 2), "RELU6": (1, 2), "LOGISTIC": (1, 2), "HARD_SWISH": (1, 1),
    "RESHAPE": (1, 1), "TRANSPOSE": (4, 4), "QUANTIZE": (1, 1), "DEQUANTIZE": (2, 2),
}  # fmt: skip
GROUPED = 6  # the version of CONV_2D that has groups


@dataclass(frozen=True, slots=True)
class _Tensor:
    """A tensor in the graph, of shape (1, h, w, c) or (1, n); in int8, value = scale * (stored - zero).

    `rms` estimates its root mean square, from which the scales of what is computed from it are made.
    """

    index: int
    shape: tuple[int, ...]
    rms: float
    scale: float
    zero: int


def tflite_graph(blocks: Sequence[Block], seed: int = 0, *, int8: bool = False, float_io: bool = True) -> bytes:
    """One or more consecutive blocks as a TFLite file, batch 1, with the weights of `block_graph` and the same seed.

    In int8, input and output are int8 too unless `float_io`, which converts at the edges, as deployed networks do.
    Raises UserError for a block of imported layers or a layer that has no TFLite form here, or where the package that
    writes the format is missing.
    """
    graph = _Graph(RandomWeights(seed), int8)
    channels, height, width = blocks[0].in_shape
    outside = graph.tensor((1, height, width, channels), 1.0, floats=float_io, name=INPUT)
    current = graph.convert("QUANTIZE", outside) if int8 and float_io else outside
    for block in blocks:
        current = _write_block(graph, block, current)
    if int8 and float_io:
        current = graph.convert("DEQUANTIZE", current)
    return graph.file(outside, current)


class _Graph:
    """The tensors and operations written so far."""

    def __init__(self, random: RandomWeights, int8: bool) -> None:
        try:
            from ai_edge_litert import schema_py_generated as schema
        except ImportError:
            raise UserError(NEEDS) from None
        self.schema: Any = schema
        self.random, self.int8 = random, int8
        self.codes: dict[tuple[str, int], int] = {}  # operation and version, in the order of the file
        self.buffers: list[Any] = [schema.BufferT()]  # the first is empty: that of tensors that are computed
        self.tensors: list[Any] = []
        self.operators: list[Any] = []

    def tensor(
        self, shape: tuple[int, ...], rms: float, function: str = "", *, floats: bool = False, name: str = ""
    ) -> _Tensor:
        """A tensor that is computed, as the activation `function` leaves it; float32, or int8 where the graph is."""
        low, high = _limits(rms, function)
        scale = (high - low) / 255
        zero = round(-128 - low / scale)
        if self.int8 and not floats:
            index = self._add(shape, "INT8", [scale], [zero], name=name)
        else:
            index = self._add(shape, "FLOAT32", name=name)
        return _Tensor(index, shape, rms, scale, zero)

    def alike(self, x: _Tensor, shape: tuple[int, ...]) -> _Tensor:
        """A tensor of the same values in another shape: of the same scale."""
        index = self._add(shape, "INT8", [x.scale], [x.zero]) if self.int8 else self._add(shape, "FLOAT32")
        return _Tensor(index, shape, x.rms, x.scale, x.zero)

    def integers(self, values: Any) -> int:
        """A constant that an operation reads its shapes or axes from."""
        data = np.array(values, np.int32)
        return self._add(data.shape, "INT32", data=data)

    def number(self, value: float) -> int:
        """A constant that is added or multiplied."""
        if self.int8:
            return self._add((1,), "INT8", [value / 127], [0], data=np.array([127], np.int8))
        return self._add((1,), "FLOAT32", data=np.array([value], np.float32))

    def weight(self, x: _Tensor, shape: tuple[int, ...], order: tuple[int, ...], axis: int | None) -> list[int]:
        """The weight of ONNX's shape (out, in / groups, ...), its axes put in `order`, and the bias.

        `axis`: the axis of the output channels, each of which has a scale; None for one scale in all.
        """
        values, bias = self.random.draw(*shape), self.random.draw(shape[0])
        if not self.int8:
            return [
                self._add(data.shape, "FLOAT32", data=np.ascontiguousarray(data))
                for data in (values.transpose(order), bias)
            ]
        scale = self.random.largest * spread(*shape) / 127  # one for all channels, so that the weights repeat
        stored = np.ascontiguousarray(np.rint(values / np.float32(scale)).astype(np.int8).transpose(order))
        scales = [scale] * (1 if axis is None else shape[0])
        products = [x.scale * s for s in scales]
        zeros = [0] * len(scales)
        whole = np.rint(bias / products[0]).astype(np.int32)
        return [
            self._add(stored.shape, "INT8", scales, zeros, axis or 0, stored),
            self._add(whole.shape, "INT32", products, zeros, data=whole),
        ]

    def operator(
        self, name: str, inputs: Iterable[int], output: _Tensor, options: str = "", version: int = 0, **fields: Any
    ) -> _Tensor:
        """Adds an operation; `options` and `fields` are the schema's table of its options and what it holds."""
        code = self.codes.setdefault((name, version or VERSIONS[name][self.int8]), len(self.codes))
        made = self.schema.OperatorT(opcodeIndex=code, inputs=list(inputs), outputs=[output.index])
        if options:
            made.builtinOptionsType = getattr(self.schema.BuiltinOptions, options)
            made.builtinOptions = getattr(self.schema, f"{options}T")(**fields)
        self.operators.append(made)
        return output

    def convert(self, name: str, x: _Tensor) -> _Tensor:
        """From float32 to int8, or back."""
        if name == "QUANTIZE":
            return self.operator(name, [x.index], self.tensor(x.shape, x.rms), "QuantizeOptions")
        return self.operator(name, [x.index], self.tensor(x.shape, x.rms, floats=True), "DequantizeOptions")

    def fused(self, function: str) -> int:
        """The schema's number of an activation that is computed with the operation before it."""
        names = {"": "NONE", "relu": "RELU", "relu6": "RELU6"}
        return int(getattr(self.schema.ActivationFunctionType, names[function]))

    def file(self, first: _Tensor, last: _Tensor) -> bytes:
        import flatbuffers

        schema = self.schema
        self.tensors[last.index].name = OUTPUT
        codes = []
        for name, version in self.codes:
            number = getattr(schema.BuiltinOperator, name)
            codes.append(schema.OperatorCodeT(builtinCode=number, deprecatedBuiltinCode=min(number, 127)))
            codes[-1].version = version
        graph = schema.SubGraphT(
            tensors=self.tensors, inputs=[first.index], outputs=[last.index], operators=self.operators, name="blocks"
        )
        model = schema.ModelT(
            version=3, operatorCodes=codes, subgraphs=[graph], description="blocks", buffers=self.buffers
        )
        builder = flatbuffers.Builder(1 << 20)
        builder.Finish(model.Pack(builder), b"TFL3")
        return bytes(builder.Output())

    def _add(
        self, shape: Sequence[int], kind: str, scales: Sequence[float] = (), zeros: Sequence[int] = (), axis: int = 0,
        data: np.ndarray | None = None, name: str = "",
    ) -> int:  # fmt: skip
        schema = self.schema
        tensor = schema.TensorT(shape=list(shape), type=getattr(schema.TensorType, kind), buffer=0)
        tensor.name = name or f"tensor_{len(self.tensors)}"
        if scales:
            tensor.quantization = schema.QuantizationParametersT(
                scale=list(scales), zeroPoint=list(zeros), quantizedDimension=axis
            )
        if data is not None:
            tensor.buffer = len(self.buffers)
            self.buffers.append(schema.BufferT(data=np.frombuffer(data.tobytes(), np.uint8)))
        self.tensors.append(tensor)
        return len(self.tensors) - 1


def _limits(rms: float, function: str) -> tuple[float, float]:
    """The range that int8 represents."""
    high = SIGMAS * rms
    if function in ("sigmoid", "hsigmoid"):
        return 0.0, 255 / 256  # TFLite wants a scale of 1/256 there
    if function in ("hswish", "swish"):
        return -0.375, high  # the least value of h-swish
    return (0.0, min(high, 6.0) if function == "relu6" else high) if function in FUSED else (-high, high)


def _write_block(graph: _Graph, block: Block, current: _Tensor) -> _Tensor:
    if block.kind == "imported":
        raise UserError(f"a block read from a file cannot be timed on its own: {block.key}")
    entrance, scaled = current, current
    layers = block.layers
    for before, layer, after in zip((None, *layers), layers, (*layers[1:], None), strict=False):
        if before and _fuses(before, layer):
            continue
        if layer.op == "add":
            added = graph.tensor(current.shape, math.hypot(current.rms, entrance.rms))
            current = graph.operator("ADD", [current.index, entrance.index], added, "AddOptions")
        elif layer.op == "multiply":
            product = graph.tensor(scaled.shape, scaled.rms)
            current = graph.operator("MUL", [scaled.index, current.index], product, "MulOptions")
        else:
            if layer.op == "global_pool":  # in squeeze-excite: what is pooled is later scaled
                scaled = current
            function = after.function if after and _fuses(layer, after) else ""
            current = _write_layer(graph, layer, current, function)
    return current


def _fuses(layer: Layer, after: Layer) -> bool:
    return layer.op in ("conv", "linear") and after.op == "activation" and after.function in FUSED


def _write_layer(graph: _Graph, layer: Layer, x: _Tensor, function: str) -> _Tensor:
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
        pooled = graph.alike(x, (1, 1, 1, channels))
        return graph.operator("MEAN", [x.index, graph.integers([1, 2])], pooled, "ReducerOptions", keepDims=True)
    if layer.op == "shuffle":
        groups = layer.groups
        split = _reshape(graph, x, (1, height, width, groups, channels // groups))
        turned = graph.alike(x, (1, height, width, channels // groups, groups))
        order = graph.integers([0, 1, 2, 4, 3])
        return _reshape(graph, graph.operator("TRANSPOSE", [split.index, order], turned, "TransposeOptions"), x.shape)
    raise UserError(f"a block with a layer of type {layer.op} cannot be timed")


def _write_conv(graph: _Graph, layer: Layer, x: _Tensor, function: str) -> _Tensor:
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
    output = graph.tensor((1, height, width, channels), _after(math.sqrt(2) * x.rms, function), function)
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


def _after(rms: float, function: str) -> float:
    """The root mean square once the activation has set the negative half to about 0."""
    return rms / math.sqrt(2) if function else rms


def _write_activation(graph: _Graph, function: str, x: _Tensor) -> _Tensor:
    output = graph.tensor(x.shape, _after(x.rms, function), function)
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


def _reshape(graph: _Graph, x: _Tensor, shape: tuple[int, ...]) -> _Tensor:
    inputs = [x.index, graph.integers(shape)]
    return graph.operator("RESHAPE", inputs, graph.alike(x, shape), "ReshapeOptions", newShape=list(shape))
