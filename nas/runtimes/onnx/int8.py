"""int8 models for timing: quantised by ONNX Runtime as a deployed network is, calibrated on random data."""

from __future__ import annotations

import logging
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import numpy as np
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

if TYPE_CHECKING:
    import onnx

_IMAGES = 2  # enough to give every tensor a range; the time does not depend on the values


class _RandomImages(CalibrationDataReader):  # type: ignore[misc]
    def __init__(self, name: str, shape: tuple[int, ...], seed: int) -> None:
        rng = np.random.default_rng(seed)
        self._images = iter([{name: rng.standard_normal(shape).astype(np.float32)} for _ in range(_IMAGES)])

    def get_next(self) -> dict[str, np.ndarray] | None:
        return next(self._images, None)


def quantized(model: onnx.ModelProto, seed: int = 0) -> onnx.ModelProto:
    """The model in QDQ form: weights int8, one scale a channel, activations uint8; input and output stay float32.

    Unsigned activations with signed weights are what the dot-product instructions of x86 and ARM take.
    """
    import onnx

    float_model = onnx.ModelProto()
    float_model.CopyFrom(model)  # quantize_static moves the weights out of the model that it is given
    image = model.graph.input[0]
    shape = tuple(dim.dim_value for dim in image.type.tensor_type.shape.dim)
    level = logging.getLogger().level
    logging.getLogger().setLevel(logging.ERROR)  # it recommends a pre-processing that has nothing left to fold here
    try:
        with TemporaryDirectory() as folder:
            path = Path(folder) / "int8.onnx"
            quantize_static(
                float_model,
                path,
                _RandomImages(image.name, shape, seed),
                quant_format=QuantFormat.QDQ,
                per_channel=True,
                weight_type=QuantType.QInt8,
                activation_type=QuantType.QUInt8,
            )
            return onnx.load(path)
    finally:
        logging.getLogger().setLevel(level)


def within_network(model: onnx.ModelProto) -> onnx.ModelProto:
    """A quantised block as it stands inside a network: uint8 goes in and out, without conversion at its edges."""
    import onnx

    inner = onnx.ModelProto()
    inner.CopyFrom(model)
    graph = inner.graph
    for node in list(graph.node):
        if node.op_type == "QuantizeLinear" and node.input[0] == graph.input[0].name:
            _retype(graph.input[0], node.output[0])
            graph.node.remove(node)
        elif node.op_type == "DequantizeLinear" and node.output[0] == graph.output[0].name:
            _retype(graph.output[0], node.input[0])
            graph.node.remove(node)
    return inner


def _retype(value: onnx.ValueInfoProto, name: str) -> None:
    import onnx

    value.name = name
    value.type.tensor_type.elem_type = onnx.TensorProto.UINT8
