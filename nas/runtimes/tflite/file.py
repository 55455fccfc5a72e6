"""A TFLite file, written tensor by tensor and operation by operation: float32, or int8 throughout.

In int8, weights have one scale a channel, activations a scale and a zero point. The scales are estimated, not
calibrated: the time does not depend on them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from nas.errors import UserError
from nas.runtimes.random_weights import RandomWeights, spread
from nas.space.layer import FUSED

NEEDS = "models for LiteRT are written with its own package: pip install 'ai-edge-litert>=2.1'"
SIGMAS = 4.0  # that int8 represents, to either side
VERSIONS = {  # of an operation in float32 and in int8, the oldest that can do it: old runtimes then run it too
    "CONV_2D": (1, 3), "DEPTHWISE_CONV_2D": (1, 3), "FULLY_CONNECTED": (1, 4), "ADD": (1, 2), "MUL": (1, 2),
    "MEAN": (1, 2), "PAD": (1, 2), "RELU": (1, 2), "RELU6": (1, 2), "LOGISTIC": (1, 2), "HARD_SWISH": (1, 1),
    "RESHAPE": (1, 1), "TRANSPOSE": (4, 4), "QUANTIZE": (1, 1), "DEQUANTIZE": (2, 2),
}  # fmt: skip
GROUPED = 6  # the version of CONV_2D that has groups


@dataclass(frozen=True, slots=True)
class Tensor:
    """A tensor in the graph, of shape (1, h, w, c) or (1, n); in int8, value = scale * (stored - zero).

    `rms` estimates its root mean square, from which the scales of what is computed from it are made.
    """

    index: int
    shape: tuple[int, ...]
    rms: float
    scale: float
    zero: int


class TfliteFile:
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
    ) -> Tensor:
        """A tensor that is computed, as the activation `function` leaves it; float32, or int8 where the graph is."""
        low, high = _limits(rms, function)
        scale = (high - low) / 255
        zero = round(-128 - low / scale)
        if self.int8 and not floats:
            index = self._add(shape, "INT8", [scale], [zero], name=name)
        else:
            index = self._add(shape, "FLOAT32", name=name)
        return Tensor(index, shape, rms, scale, zero)

    def alike(self, x: Tensor, shape: tuple[int, ...]) -> Tensor:
        """A tensor of the same values in another shape: of the same scale."""
        index = self._add(shape, "INT8", [x.scale], [x.zero]) if self.int8 else self._add(shape, "FLOAT32")
        return Tensor(index, shape, x.rms, x.scale, x.zero)

    def integers(self, values: Any) -> int:
        """A constant that an operation reads its shapes or axes from."""
        data = np.array(values, np.int32)
        return self._add(data.shape, "INT32", data=data)

    def number(self, value: float) -> int:
        """A constant that is added or multiplied."""
        if self.int8:
            return self._add((1,), "INT8", [value / 127], [0], data=np.array([127], np.int8))
        return self._add((1,), "FLOAT32", data=np.array([value], np.float32))

    def weight(self, x: Tensor, shape: tuple[int, ...], order: tuple[int, ...], axis: int | None) -> list[int]:
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
        self, name: str, inputs: Iterable[int], output: Tensor, options: str = "", version: int = 0, **fields: Any
    ) -> Tensor:
        """Adds an operation; `options` and `fields` are the schema's table of its options and what it holds."""
        code = self.codes.setdefault((name, version or VERSIONS[name][self.int8]), len(self.codes))
        made = self.schema.OperatorT(opcodeIndex=code, inputs=list(inputs), outputs=[output.index])
        if options:
            made.builtinOptionsType = getattr(self.schema.BuiltinOptions, options)
            made.builtinOptions = getattr(self.schema, f"{options}T")(**fields)
        self.operators.append(made)
        return output

    def convert(self, name: str, x: Tensor) -> Tensor:
        """From float32 to int8, or back."""
        if name == "QUANTIZE":
            return self.operator(name, [x.index], self.tensor(x.shape, x.rms), "QuantizeOptions")
        return self.operator(name, [x.index], self.tensor(x.shape, x.rms, floats=True), "DequantizeOptions")

    def fused(self, function: str) -> int:
        """The schema's number of an activation that is computed with the operation before it."""
        names = {"": "NONE", "relu": "RELU", "relu6": "RELU6"}
        return int(getattr(self.schema.ActivationFunctionType, names[function]))

    def file(self, first: Tensor, last: Tensor) -> bytes:
        import flatbuffers

        schema = self.schema
        self.tensors[last.index].name = "output"
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
