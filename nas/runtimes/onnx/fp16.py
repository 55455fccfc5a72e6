"""fp16 models for timing: weights and activations as half-precision numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import onnx


def halved(model: onnx.ModelProto, *, keep_io: bool) -> onnx.ModelProto:
    """The model in float16. With `keep_io` its input and output stay float32, as a deployed network's do."""
    import onnx
    from onnxruntime.transformers.float16 import convert_float_to_float16

    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    converted: onnx.ModelProto = convert_float_to_float16(copy, keep_io_types=keep_io)
    return converted
