"""The runtimes that the agent measures with: ONNX Runtime and LiteRT."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from .plan import RUNTIMES
from .runner import Runner
from .terminal import Refused

CAST = b"InsertedPrecisionFreeCast_"  # what ONNX Runtime puts before an operation that it has in float32 only
CPU = "CPUExecutionProvider"  # ONNX Runtime's default


class OnnxRuntime(Runner):
    """Runs ONNX models."""

    needs = "ONNX Runtime: pip install numpy onnxruntime"

    def __init__(self, threads: int, provider: str) -> None:
        super().__init__(threads)
        try:
            import onnxruntime
        except ImportError as error:
            raise self.missing(error) from None
        if provider not in onnxruntime.get_available_providers():
            known = ", ".join(onnxruntime.get_available_providers())
            raise Refused(f"--provider must be one that this ONNX Runtime has: {known}; not {provider}")
        self.onnxruntime, self.provider = onnxruntime, provider
        self.title = f"ONNX Runtime {onnxruntime.__version__}"
        self.name = f"{self.title} {provider.replace('ExecutionProvider', '')}"
        self.set_clock(threads == 1 and provider == CPU)

    def session(self, model: bytes, optimized: str | None = None) -> Any:
        """The model, ready to run; also written to the path `optimized` as the runtime will run it."""
        ort = self.onnxruntime
        options = ort.SessionOptions()
        options.intra_op_num_threads = self.threads
        options.inter_op_num_threads = 1
        options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
        options.log_severity_level = 3
        if optimized:
            options.optimized_model_filepath = optimized
        try:
            return ort.InferenceSession(model, options, providers=[self.provider])
        except Exception as error:  # it raises many kinds
            raise self.failed(error) from None

    def runs_as_float32(self, model: bytes) -> bool:
        """It does where it converts what the first operation reads.

        Later operations may still be converted, as a deployed network's are.
        """
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "optimized.onnx"
            image = self.session(model, str(path)).get_inputs()[0]
            # a whole network takes float32, and its own conversion is merged with the runtime's
            first = CAST + image.name.encode() if image.type == "tensor(float16)" else CAST
            return first in path.read_bytes()

    def load(self, model: bytes, seed: int) -> Callable[[], Any]:
        np, session = self.numpy, self.session(model)
        rng, image = np.random.default_rng(seed), session.get_inputs()[0]
        if not all(isinstance(size, int) and size > 0 for size in image.shape):
            raise Refused(f"a model's input must have a fixed shape; got {image.shape}")
        if image.type == "tensor(uint8)":
            values = rng.integers(0, 256, image.shape, dtype=np.uint8)
        else:
            values = rng.standard_normal(image.shape).astype(np.float16 if "float16" in image.type else np.float32)
        binding = session.io_binding()
        binding.bind_cpu_input(image.name, values)
        binding.bind_output(session.get_outputs()[0].name)
        return lambda: session.run_with_iobinding(binding)


class LiteRT(Runner):
    """Runs TFLite models through LiteRT or, as it was called before, TensorFlow Lite, with XNNPACK."""

    needs = "LiteRT: pip install numpy ai-edge-litert; for Python 3.8: pip install 'numpy<2' tflite-runtime"

    def __init__(self, threads: int, provider: str) -> None:
        if provider != CPU:
            raise Refused(f"--provider is for ONNX Runtime; this bundle is for LiteRT, on the CPU; got {provider}")
        super().__init__(threads)
        self.interpreter, self.title = self._find()
        self.name = f"{self.title} CPU"
        self.set_clock(threads == 1)  # XNNPACK then computes on the thread that calls it

    def _find(self) -> tuple[Any, str]:
        """The class of interpreters, and the package's name and version."""
        try:
            import ai_edge_litert
            from ai_edge_litert.interpreter import Interpreter

            return Interpreter, f"LiteRT {getattr(ai_edge_litert, '__version__', '(unknown version)')}"
        except ImportError as error:
            missing = self.missing(error)
        try:
            import tflite_runtime
            from tflite_runtime.interpreter import Interpreter

            return Interpreter, f"TensorFlow Lite {tflite_runtime.__version__}"
        except ImportError:
            raise missing from None

    def runs_as_float32(self, model: bytes) -> bool:
        return True

    def load(self, model: bytes, seed: int) -> Callable[[], Any]:
        np = self.numpy
        try:
            interpreter = self.interpreter(model_content=model, num_threads=self.threads)
            interpreter.allocate_tensors()
            image = interpreter.get_input_details()[0]
            rng, shape = np.random.default_rng(seed), image["shape"]
            if image["dtype"] == np.int8:
                values = rng.integers(-128, 128, shape, dtype=np.int8)
            else:
                values = rng.standard_normal(shape).astype(np.float32)
            interpreter.set_tensor(image["index"], values)
            run: Callable[[], Any] = interpreter.invoke
        except Exception as error:  # it raises many kinds
            raise self.failed(error) from None
        return run


def open_runner(plan: Mapping[str, Any], threads: int, provider: str) -> Runner:
    """The runtime that the plan's models are for. Raises Refused where it is missing."""
    known = {"onnxruntime": OnnxRuntime, "litert": LiteRT}
    return known[plan.get("runtime", RUNTIMES[0])](threads, provider)
