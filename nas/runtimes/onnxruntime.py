"""ONNX Runtime on the CPU: ONNX files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from nas.device.formats.onnxruntime_profile import read_onnxruntime
from nas.device.formats.trace import Trace
from nas.errors import UserError
from nas.runtimes.runtime import Exported, RuntimeName, Session
from nas.space.block import Block
from nas.space.layer import Precision

if TYPE_CHECKING:
    import numpy as np

    from nas.models.trained import TrainedModel


class OnnxRuntime:
    """See `nas.runtimes.runtime.Runtime`."""

    name: RuntimeName = "onnxruntime"
    suffix = ".onnx"
    packages = "onnxruntime        (Python 3.8 or later)"
    timed: tuple[Precision, ...] = ("fp32", "fp16", "int8")
    exported: tuple[Precision, ...] = ("fp32",)

    def write_blocks(self, blocks: Sequence[Block], precision: Precision, *, whole: bool) -> bytes:
        from nas.runtimes.onnx.blocks import block_graph
        from nas.runtimes.onnx.fp16 import halved
        from nas.runtimes.onnx.int8 import quantized, within_network

        built = block_graph(blocks)
        if precision == "int8":
            built = quantized(built) if whole else within_network(quantized(built))
        elif precision == "fp16":
            built = halved(built, keep_io=whole)
        return bytes(built.SerializeToString())

    def export(self, model: TrainedModel, path: Path, precision: Precision = "fp32") -> Exported:
        from nas.runtimes.onnx.export import export_onnx

        if precision not in self.exported:
            raise UserError(f"ONNX files are exported in {', '.join(self.exported)}; got {precision}")
        return export_onnx(model, path, self.session)

    def session(self, model: bytes, threads: int = 1) -> Session:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
        session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        name = session.get_inputs()[0].name

        def run(images: np.ndarray) -> np.ndarray:
            scores: np.ndarray = session.run(None, {name: images})[0]
            return scores

        return run

    def read_profile(self, path: Path) -> Trace:
        return read_onnxruntime(path)
