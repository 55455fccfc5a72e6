"""ONNX Runtime on the CPU: ONNX files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from nas.device.formats.onnxruntime_profile import read_onnxruntime
from nas.device.formats.trace import Trace
from nas.errors import UserError
from nas.runtimes.runtime import Exported, RuntimeName, Session
from nas.space.layer import Precision
from nas.space.network import Network

if TYPE_CHECKING:
    import numpy as np
    import onnx
    from onnxruntime import InferenceSession, SessionOptions

    from nas.data.dataset import Split
    from nas.models.trained import TrainedModel
    from nas.runtimes.onnx.adapt import Adaptable
    from nas.runtimes.onnx.variants import Variants
    from nas.runtimes.parity import Outputs


class OnnxRuntime:
    """See `nas.runtimes.runtime.Runtime`."""

    name: RuntimeName = "onnxruntime"
    suffix = ".onnx"
    packages = "onnxruntime        (Python 3.8 or later)"
    timed: tuple[Precision, ...] = ("fp32", "fp16", "int8")
    exported: tuple[Precision, ...] = ("fp32", "fp16", "int8")

    def check(self) -> None:
        pass  # nas needs it

    def write_network(self, network: Network, precision: Precision, *, whole: bool) -> bytes:
        from nas.runtimes.onnx.blocks import network_graph
        from nas.runtimes.onnx.fp16 import halved
        from nas.runtimes.onnx.int8 import quantized, within_network

        built = network_graph(network)
        if precision == "int8":
            built = quantized(built) if whole else within_network(quantized(built))
        elif precision == "fp16":
            built = halved(built, keep_io=whole)
        return bytes(built.SerializeToString())

    def export(self, model: TrainedModel, path: Path, *, calibration: Split | None = None) -> Exported:
        from nas.runtimes.onnx.export import export_onnx

        return export_onnx(self.variants(model, calibration), path)

    def variants(self, model: TrainedModel, calibration: Split | None = None) -> Variants:
        """The model as ONNX graphs of every precision, traced and calibrated once. Raises UserError as `export`."""
        from nas.runtimes.onnx.variants import Variants

        return Variants(model, calibration, self)

    def adaptable(self, model: TrainedModel, files: Mapping[Precision, bytes], images: Split | None) -> Adaptable:
        """What a board needs beside the model's files, by precision, to adapt them; `images` are of its training.

        Raises UserError.
        """
        from nas.runtimes.onnx.adapt import adaptable

        return adaptable(self.variants(model, images), files)

    def session(self, model: bytes, threads: int = 1) -> Session:
        run_all = self.outputs(model, threads)

        def run(images: np.ndarray) -> np.ndarray:
            return next(iter(run_all(images).values()))

        return run

    def outputs(self, model: bytes, threads: int = 1) -> Outputs:
        """The model, ready to give every output of its graph by name. Raises UserError as `session`."""
        session = _started(model, _options(threads))
        image, names = session.get_inputs()[0].name, [output.name for output in session.get_outputs()]

        def run(images: np.ndarray) -> dict[str, np.ndarray]:
            return dict(zip(names, session.run(None, {image: images}), strict=True))

        return run

    def optimized(self, model: bytes) -> onnx.ModelProto:
        """The graph that ONNX Runtime makes of a model on this machine, and runs."""
        import onnx

        with TemporaryDirectory() as folder:
            options = _options(1)
            options.optimized_model_filepath = str(Path(folder) / "optimized.onnx")
            options.log_severity_level = 3  # it warns that such a file is for this machine only
            _started(model, options)
            return onnx.load(options.optimized_model_filepath)

    def read_profile(self, path: Path) -> Trace:
        return read_onnxruntime(path)


def _started(model: bytes, options: SessionOptions) -> InferenceSession:
    """A session on the CPU. Raises UserError for a model that ONNX Runtime refuses: it may lack an operator."""
    import onnxruntime
    from onnxruntime.capi import onnxruntime_pybind11_state as states

    refused = (states.Fail, states.InvalidArgument, states.InvalidGraph, states.InvalidProtobuf, states.NotImplemented)
    try:
        return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except refused as error:
        said = " ".join(str(error).split()).rpartition(" : ")[2][:300]
        raise UserError(f"ONNX Runtime {onnxruntime.__version__} cannot run the model: {said}") from None


def _options(threads: int) -> SessionOptions:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    return options
