"""int8 models, quantized by ONNX Runtime: to deploy, calibrated on images; to time, on random data."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from inspect import signature
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np
from onnxruntime.quantization import (
    CalibrationDataReader,
    QuantFormat,
    QuantType,
    quantize_dynamic,
    quantize_static,
)

from nas.models.int8 import Target

if TYPE_CHECKING:
    import onnx

_IMAGES = 2  # random ones, enough to give every tensor a range; the time does not depend on the values
_LINEAR = ("Gemm", "MatMul")
# TensorRT: activations around zero, and biases in float, for it knows no 32-bit ones
_TENSORRT = {"ActivationSymmetric": True, "QuantizeBias": False}
_CAN_KEEP_RANGES = "calibration_cache_path" in signature(quantize_static).parameters  # newer ONNX Runtimes


class _Images(CalibrationDataReader):  # type: ignore[misc]
    def __init__(self, name: str, images: Iterable[np.ndarray]) -> None:
        self._images = ({name: image} for image in images)

    def get_next(self) -> dict[str, np.ndarray] | None:
        return next(self._images, None)


def quantized(
    model: onnx.ModelProto, images: Iterable[np.ndarray] | None = None, *, float_nodes: Sequence[str] = (),
    target: Target = "cpu", ranges: Path | None = None,
) -> onnx.ModelProto:  # fmt: skip
    """The model in QDQ form: weights int8, one scale a channel, activations uint8; input and output stay float32.

    Unsigned activations with signed weights are what the dot-product instructions of x86 and ARM take; for TensorRT
    they are signed, and symmetric. Ranges are the lowest and highest value on `images`, float32 (1, c, h, w), random
    ones where none are given; they are kept in the file `ranges`, and read from it where it is there. `float_nodes` are
    left as they are, by their names.
    """
    import onnx

    image = model.graph.input[0]
    if images is None:
        rng = np.random.default_rng(0)
        shape = tuple(dim.dim_value for dim in image.type.tensor_type.shape.dim)
        images = (rng.standard_normal(shape).astype(np.float32) for _ in range(_IMAGES))
    kept: dict[str, Any] = {"calibration_cache_path": ranges} if ranges and _CAN_KEEP_RANGES else {}
    with _quiet(), TemporaryDirectory() as folder:
        path = Path(folder) / "int8.onnx"
        quantize_static(
            _copy(model),
            path,
            _Images(image.name, images),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            weight_type=QuantType.QInt8,
            activation_type=QuantType.QUInt8 if target == "cpu" else QuantType.QInt8,
            nodes_to_exclude=list(float_nodes),
            extra_options=dict(_TENSORRT) if target == "tensorrt" else None,
            **kept,
        )
        return onnx.load(path)


def dynamically_quantized(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model with int8 weights in its linear layers alone; ranges of activations are measured at each inference.

    Convolutions stay in float: quantized so, they are three times slower.
    """
    import onnx

    with _quiet(), TemporaryDirectory() as folder:
        path = Path(folder) / "int8.onnx"
        quantize_dynamic(_copy(model), path, op_types_to_quantize=list(_LINEAR), weight_type=QuantType.QInt8)
        return onnx.load(path)


def _copy(model: onnx.ModelProto) -> onnx.ModelProto:
    """The quantizers move the weights out of the model that they are given."""
    import onnx

    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    return copy


@contextmanager
def _quiet() -> Iterator[None]:
    """ONNX Runtime recommends a pre-processing that has nothing left to fold here."""
    level = logging.getLogger().level
    logging.getLogger().setLevel(logging.ERROR)
    try:
        yield
    finally:
        logging.getLogger().setLevel(level)


def within_network(model: onnx.ModelProto) -> onnx.ModelProto:
    """A quantized block as it stands inside a network: uint8 goes in and out, without conversion at its edges."""
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
