"""A TFLite file, written tensor by tensor and operation by operation: float32, weights in float16, or int8.

In int8, weights have one scale a channel, activations a scale and a zero point: of ranges that were measured, or, to
time, of estimated ones, on which the time does not depend.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from nas.errors import UserError
from nas.runtimes.tflite.weights import Weights
from nas.space.layer import FUSED, Precision

NEEDS = "models for LiteRT are written with its own package: pip install 'ai-edge-litert>=2.1'"
SIGMAS = 4.0  # that int8 represents, to either side
VERSIONS = {  # of an operation in float32 and in int8, the oldest that can do it: old runtimes then run it too
    "CONV_2D": (1, 3), "DEPTHWISE_CONV_2D": (1, 3), "FULLY_CONNECTED": (1, 4), "ADD": (1, 2), "MUL": (1, 2),
    "MEAN": (1, 2), "PAD": (1, 2), "RELU": (1, 2), "RELU6": (1, 2), "LOGISTIC": (1, 2), "HARD_SWISH": (1, 1),
    "RESHAPE": (1, 1), "CONCATENATION": (1, 2), "TRANSPOSE": (4, 4), "QUANTIZE": (1, 1), "DEQUANTIZE": (2, 2),
}  # fmt: skip
FROM_FLOAT16 = 3  # the version of DEQUANTIZE that reads float16
GROUPED = 6  # the version of CONV_2D that has groups
ALIGNED = 16  # bytes, of every constant: what the format asks for
LARGEST_BIAS = 2**30

Ranges = Mapping[str, tuple[float, float]]  # the lowest and highest value of a tensor, by its name


@dataclass(frozen=True, slots=True)
class Tensor:
    """A tensor in the graph, of shape (1, h, w, c) or (1, n); in int8, value = scale * (stored - zero).

    `rms` estimates its root mean square, from which the scales of what is computed from it are made where no range was
    measured. `name` is without what a conversion adds to it.
    """

    index: int
    shape: tuple[int, ...]
    rms: float
    scale: float
    zero: int
    name: str
    int8: bool


class TfliteFile:
    """The tensors and operations written so far.

    `scope` begins the names of tensors; while `int8` holds, what is written computes in int8.
    """

    def __init__(self, weights: Weights, precision: Precision, ranges: Ranges | None = None) -> None:
        try:
            from ai_edge_litert import schema_py_generated as schema
        except ImportError:
            raise UserError(NEEDS) from None
        self.schema: Any = schema
        self.weights, self.ranges = weights, ranges
        self.int8, self.half = precision == "int8", precision == "fp16"
        self.scope, self.computed = "", list[Tensor]()
        self.codes: dict[tuple[str, int], int] = {}  # operation and version, in the order of the file
        self.buffers: list[Any] = [schema.BufferT()]  # the first is empty: that of tensors that are computed
        self.places: dict[bytes, int] = {}  # of buffers, by what they hold
        self.tensors: list[Any] = []
        self.operators: list[Any] = []

    def tensor(self, shape: tuple[int, ...], rms: float, function: str = "", *, name: str = "") -> Tensor:
        """A tensor that is computed, as the activation `function` leaves it; float32, or int8 where the graph is."""
        name = name or f"{self.scope}/{len(self.computed)}"
        low, high = _limits(rms, function, (self.ranges or {}).get(name))
        scale = (high - low) / 255
        return self._computed(shape, rms, scale, round(-128 - low / scale), name)

    def alike(self, x: Tensor, shape: tuple[int, ...]) -> Tensor:
        """A tensor of the same values in another shape: of the same scale."""
        return self._computed(shape, x.rms, x.scale, x.zero, f"{self.scope}/{len(self.computed)}")

    def mean(self, x: Tensor, shape: tuple[int, ...]) -> Tensor:
        """A tensor of means of the values: of a range of its own where that was measured."""
        name = f"{self.scope}/{len(self.computed)}"
        if self.ranges is None or name not in self.ranges:
            return self.alike(x, shape)
        return self.tensor(shape, x.rms, name=name)

    def _computed(self, shape: tuple[int, ...], rms: float, scale: float, zero: int, name: str) -> Tensor:
        found = Tensor(self._stored(shape, scale, zero, name), shape, rms, scale, zero, name, self.int8)
        self.computed.append(found)
        return found

    def _stored(self, shape: tuple[int, ...], scale: float, zero: int, name: str) -> int:
        return self._add(shape, "INT8", [scale], [zero], name=name) if self.int8 else self._add(shape, name=name)

    def integers(self, values: Any) -> int:
        """A constant that an operation reads its shapes or axes from."""
        data = np.array(values, np.int32)
        return self._add(data.shape, "INT32", data=data)

    def number(self, value: float) -> int:
        """A constant that is added or multiplied."""
        if self.int8:
            return self._add((1,), "INT8", [value / 127], [0], data=np.array([127], np.int8))
        return self._add((1,), data=np.array([value], np.float32))

    def weight(self, x: Tensor, shape: tuple[int, ...], order: tuple[int, ...], axis: int | None) -> list[int]:
        """The next layer's weight of ONNX's shape (out, in / groups, ...), its axes put in `order`, and the bias.

        `axis`: the axis of the output channels, each of which has a scale; None for one scale in all.
        """
        values, bias = self.weights.take(*shape)
        if not self.int8:
            return [self._floats(np.ascontiguousarray(data)) for data in (values.transpose(order), bias)]
        # a bias is stored in steps of its channel's scale, so that of a channel of tiny weights would not fit
        scales = np.maximum(self.weights.scales(values), np.abs(bias) / (x.scale * LARGEST_BIAS))
        if axis is None:
            scales = scales.max(keepdims=True)
        steps = scales.astype(np.float32).reshape(-1, *[1] * (len(shape) - 1))
        stored = np.clip(np.rint(values / steps), -127, 127).astype(np.int8).transpose(order)
        products = x.scale * scales
        zeros = [0] * len(scales)
        whole = np.rint(bias / products).astype(np.int32)
        return [
            self._add(stored.shape, "INT8", scales.tolist(), zeros, axis or 0, np.ascontiguousarray(stored)),
            self._add(whole.shape, "INT32", products.tolist(), zeros, data=whole),
        ]

    def _floats(self, data: np.ndarray) -> int:
        """A constant in float32; of fp16 stored in float16, and converted when the model is loaded."""
        if not self.half:
            return self._add(data.shape, data=data)
        with np.errstate(over="ignore"):
            stored = self._add(data.shape, "FLOAT16", data=data.astype(np.float16))
        wide = self._add(data.shape)
        self._operate("DEQUANTIZE", [stored], wide, "DequantizeOptions", FROM_FLOAT16)
        return wide

    def operator(
        self, name: str, inputs: Iterable[int], output: Tensor, options: str = "", version: int = 0, **fields: Any
    ) -> Tensor:
        """Adds an operation; `options` and `fields` are the schema's table of its options and what it holds."""
        self._operate(name, inputs, output.index, options, version or VERSIONS[name][self.int8], **fields)
        return output

    def _operate(
        self, name: str, inputs: Iterable[int], output: int, options: str, version: int, **fields: Any
    ) -> None:  # fmt: skip
        code = self.codes.setdefault((name, version), len(self.codes))
        made = self.schema.OperatorT(opcodeIndex=code, inputs=list(inputs), outputs=[output])
        if options:
            made.builtinOptionsType = getattr(self.schema.BuiltinOptions, options)
            made.builtinOptions = getattr(self.schema, f"{options}T")(**fields)
        self.operators.append(made)

    def converted(self, x: Tensor) -> Tensor:
        """The tensor as the graph computes now: int8 or float32."""
        if x.int8 == self.int8:
            return x
        name = "QUANTIZE" if self.int8 else "DEQUANTIZE"
        index = self._stored(x.shape, x.scale, x.zero, f"{x.name}/{name.lower()}d")
        self._operate(name, [x.index], index, f"{name.capitalize()}Options", VERSIONS[name][1])
        return replace(x, index=index, int8=self.int8)

    def fused(self, function: str) -> int:
        """The schema's number of an activation that is computed with the operation before it."""
        names = {"": "NONE", "relu": "RELU", "relu6": "RELU6"}
        return int(getattr(self.schema.ActivationFunctionType, names[function]))

    def file(self, first: Tensor, outputs: Sequence[Tensor], facts: Mapping[str, bytes] | None = None) -> bytes:
        """The file. `facts` are kept in it by their names, for programs that read it."""
        import flatbuffers

        schema = self.schema
        codes = []
        for name, version in self.codes:
            number = getattr(schema.BuiltinOperator, name)
            codes.append(schema.OperatorCodeT(builtinCode=number, deprecatedBuiltinCode=min(number, 127)))
            codes[-1].version = version
        metadata = []
        for name, content in (facts or {}).items():
            metadata.append(schema.MetadataT(name=name, buffer=self._buffer(np.frombuffer(content, np.uint8))))
        ends = [[first.index], [tensor.index for tensor in outputs]]
        maps = [[schema.TensorMapT(name=self.tensors[i].name, tensorIndex=i) for i in end] for end in ends]
        signature = schema.SignatureDefT(inputs=maps[0], outputs=maps[1], signatureKey="serving_default")
        graph = schema.SubGraphT(
            tensors=self.tensors, inputs=ends[0], outputs=ends[1], operators=self.operators, name="main"
        )
        model = schema.ModelT(
            version=3, operatorCodes=codes, subgraphs=[graph], description="nas", buffers=self.buffers,
            metadata=metadata, signatureDefs=[signature],
        )  # fmt: skip
        builder = flatbuffers.Builder(1 << 20)
        builder.Finish(model.Pack(builder), b"TFL3")
        return bytes(builder.Output())

    def _buffer(self, data: np.ndarray) -> int:
        """A constant's place in the file, its bytes aligned as the format asks for."""
        schema, content = self.schema, data.tobytes()
        if self.weights.once and content in self.places:
            return self.places[content]

        class Aligned(schema.BufferT):  # type: ignore[misc, name-defined]
            def Pack(self, builder: Any) -> Any:  # the schema's own aligns to one byte
                builder.StartVector(1, len(content), ALIGNED)
                builder.head -= len(content)
                builder.Bytes[builder.head : builder.head + len(content)] = content
                packed = builder.EndVector()
                schema.BufferStart(builder)
                schema.BufferAddData(builder, packed)
                return schema.BufferEnd(builder)

        self.buffers.append(Aligned())
        self.places[content] = len(self.buffers) - 1
        return len(self.buffers) - 1

    def _add(
        self, shape: Sequence[int], kind: str = "FLOAT32", scales: Sequence[float] = (), zeros: Sequence[int] = (),
        axis: int = 0, data: np.ndarray | None = None, name: str = "",
    ) -> int:  # fmt: skip
        schema = self.schema
        tensor = schema.TensorT(shape=list(shape), type=getattr(schema.TensorType, kind), buffer=0)
        tensor.name = name or f"tensor_{len(self.tensors)}"
        if scales:
            tensor.quantization = schema.QuantizationParametersT(
                scale=list(scales), zeroPoint=list(zeros), quantizedDimension=axis
            )
        if data is not None:
            tensor.buffer = self._buffer(data)
        self.tensors.append(tensor)
        return len(self.tensors) - 1


def _limits(rms: float, function: str, measured: tuple[float, float] | None) -> tuple[float, float]:
    """The range that int8 represents; zero, with which images are padded, is always in it."""
    if function == "sigmoid" or (function == "hsigmoid" and measured is None):
        return 0.0, 255 / 256  # TFLite wants a scale of 1/256 there
    if measured is not None:
        return min(measured[0], 0.0), max(measured[1], 1e-6)
    high = SIGMAS * rms
    if function in ("hswish", "swish"):
        return -0.375, high  # the least value of h-swish
    return (0.0, min(high, 6.0) if function == "relu6" else high) if function in FUSED else (-high, high)
