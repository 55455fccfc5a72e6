"""TensorRT: the ONNX file that it builds an engine from, on the board."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from nas.errors import UserError
from nas.models.int8 import Int8
from nas.runtimes.runtime import Exported
from nas.space.layer import Precision

if TYPE_CHECKING:
    from nas.data.dataset import Split
    from nas.models.trained import TrainedModel


class TensorRt:
    """See `nas.runtimes.runtime.Exporter`.

    Since TensorRT 11 a network's precision is that of its tensors, and no option's; TensorRT 10 does the same with
    --stronglyTyped, which 11 ignores. int8 activations are signed, their zero points 0.
    """

    name = "tensorrt"
    suffix = ".onnx"
    exported: tuple[Precision, ...] = ("fp32", "fp16", "int8")

    def check(self) -> None:
        pass  # an engine is built on the board, for its GPU

    def export(self, model: TrainedModel, path: Path, *, calibration: Split | None = None) -> Exported:
        from nas.runtimes.onnxruntime import OnnxRuntime

        if model.precision == "int8":
            kept = Int8.of(model)
            if kept.scheme != "static":
                raise UserError("int8 files for TensorRT have static ranges; got dynamic ranges")
            model = Int8(target="tensorrt", float_blocks=kept.float_blocks).within(model)
        written = OnnxRuntime().export(model, path, calibration=calibration)
        engine = path.with_suffix(".engine").name
        notes = [
            f"on the board: trtexec --onnx={path.name} --saveEngine={engine} --stronglyTyped",
            f"TensorRT 8 and 9 choose precisions themselves: --{model.precision} in place of --stronglyTyped"
            if model.precision != "fp32"
            else "TensorRT computes fp32 in TF32 where the GPU has it; --noTF32 keeps it exact",
            "the file was compared with the model in ONNX Runtime; an engine runs only on the GPU that it was built on",
        ]
        if model.precision == "int8":
            notes.append("what stays in float runs in fp32; on a CPU this file is slower than fp32")
        wrong = [note for note in written.notes if note.startswith("int8 gives another class")]
        return replace(written, notes=(*notes, *wrong))
