"""LiteRT, as TensorFlow Lite is called now, on the CPU: TFLite files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from nas.device.formats.tflite_profile import read_tflite
from nas.device.formats.trace import Trace
from nas.errors import UserError
from nas.runtimes.runtime import Exported, RuntimeName, Session
from nas.space.block import Block
from nas.space.layer import Precision

if TYPE_CHECKING:
    import numpy as np

    from nas.data.dataset import Split
    from nas.models.trained import TrainedModel


class LiteRT:
    """See `nas.runtimes.runtime.Runtime`.

    fp16 is not timed: the CPU kernels compute it in fp32 on most boards.
    """

    name: RuntimeName = "litert"
    suffix = ".tflite"
    packages = "ai-edge-litert        (Python 3.8: 'numpy<2' tflite-runtime)"
    timed: tuple[Precision, ...] = ("fp32", "int8")
    exported: tuple[Precision, ...] = ()

    def write_blocks(self, blocks: Sequence[Block], precision: Precision, *, whole: bool) -> bytes:
        from nas.runtimes.tflite.blocks import tflite_graph

        return tflite_graph(blocks, int8=precision == "int8", float_io=whole)

    def export(self, model: TrainedModel, path: Path, *, calibration: Split | None = None) -> Exported:
        raise UserError("trained models are not exported for LiteRT yet; export an ONNX file")

    def session(self, model: bytes, threads: int = 1) -> Session:
        try:
            from ai_edge_litert.interpreter import Interpreter
        except ImportError:
            raise UserError('LiteRT is not installed: pip install "edge-nas[litert]"') from None
        interpreter = Interpreter(model_content=model, num_threads=threads)
        interpreter.allocate_tensors()
        image, scores = interpreter.get_input_details()[0]["index"], interpreter.get_output_details()[0]["index"]

        def run(images: np.ndarray) -> np.ndarray:
            interpreter.set_tensor(image, images.transpose(0, 2, 3, 1))
            interpreter.invoke()
            found: np.ndarray = interpreter.get_tensor(scores)
            return found

        return run

    def read_profile(self, path: Path) -> Trace:
        return read_tflite(path)
