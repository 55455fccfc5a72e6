"""LiteRT, as TensorFlow Lite is called now, on the CPU: TFLite files."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nas.data.pixels import muted
from nas.device.formats.tflite_profile import read_tflite
from nas.device.formats.trace import Trace
from nas.errors import UserError
from nas.runtimes.runtime import Exported, RuntimeName, Session
from nas.space.layer import Precision
from nas.space.network import Network

if TYPE_CHECKING:
    import numpy as np

    from nas.data.dataset import Split
    from nas.models.trained import TrainedModel
    from nas.runtimes.tflite.variants import Variants


class LiteRT:
    """See `nas.runtimes.runtime.Runtime`.

    fp16 is not timed: the CPU kernels compute it in fp32 on most boards.
    """

    name: RuntimeName = "litert"
    suffix = ".tflite"
    packages = "ai-edge-litert        (Python 3.8: 'numpy<2' tflite-runtime)"
    timed: tuple[Precision, ...] = ("fp32", "int8")
    exported: tuple[Precision, ...] = ("fp32", "fp16", "int8")

    def check(self) -> None:
        _interpreter()

    def write_network(self, network: Network, precision: Precision, *, whole: bool) -> bytes:
        from nas.runtimes.tflite.blocks import tflite_graph

        return tflite_graph(network, int8=precision == "int8", float_io=whole)

    def export(self, model: TrainedModel, path: Path, *, calibration: Split | None = None) -> Exported:
        from nas.runtimes.tflite.export import export_tflite

        return export_tflite(self.variants(model, calibration), path)

    def variants(self, model: TrainedModel, calibration: Split | None = None) -> Variants:
        """The model as files of every precision, ranges measured once. Raises UserError as `export`."""
        from nas.runtimes.tflite.variants import Variants

        return Variants(model, calibration, self.outputs)

    def session(self, model: bytes, threads: int = 1) -> Session:
        run_all = self.outputs(model, threads)

        def run(images: np.ndarray) -> np.ndarray:
            return run_all(images)[0]

        return run

    def outputs(self, model: bytes, threads: int = 1) -> Callable[[np.ndarray], list[np.ndarray]]:
        """The model, ready to give every output of its graph, real values, channels first where it has any.

        Raises UserError as `session`.
        """
        interpreter = _started(model, threads)
        image, ends = interpreter.get_input_details()[0], interpreter.get_output_details()

        def run(images: np.ndarray) -> list[np.ndarray]:
            values = images.transpose(0, 2, 3, 1)
            interpreter.set_tensor(image["index"], _stored(values, image))
            interpreter.invoke()
            found = [_real(interpreter.get_tensor(end["index"]), end) for end in ends]
            return [value.transpose(0, 3, 1, 2) if value.ndim == 4 else value for value in found]

        return run

    def read_profile(self, path: Path) -> Trace:
        return read_tflite(path)


def _started(model: bytes, threads: int) -> Any:
    """An interpreter of the model. Raises UserError where the package is missing, or refuses the model."""
    made = _interpreter()
    try:
        with muted():  # it tells of its kernels
            interpreter = made(model_content=model, num_threads=threads)
            interpreter.allocate_tensors()
    except (ValueError, RuntimeError) as error:
        said = " ".join(str(error).split())[:300]
        raise UserError(f"LiteRT cannot run the model: {said}") from None
    return interpreter


def _interpreter() -> Any:
    try:
        from ai_edge_litert.interpreter import Interpreter
    except ImportError:
        raise UserError('LiteRT is not installed: pip install "edge-nas[litert]"') from None
    return Interpreter


def _stored(values: np.ndarray, detail: Mapping[str, Any]) -> np.ndarray:
    """Real values as a tensor stores them: int8 by its scale and zero point."""
    import numpy as np

    kind = detail["dtype"]
    if kind == np.float32:
        return values
    (scale, zero), limits = detail["quantization"], np.iinfo(kind)
    return np.asarray(np.clip(np.rint(values / scale) + zero, limits.min, limits.max), kind)


def _real(values: np.ndarray, detail: Mapping[str, Any]) -> np.ndarray:
    import numpy as np

    if values.dtype == np.float32:
        return values
    scale, zero = detail["quantization"]
    return np.asarray((values.astype(np.float32) - zero) * np.float32(scale))
