"""A model file ready to run on a board: ONNX Runtime's, or LiteRT's, whatever that is called there.

Python 3.8 or later and NumPy; nothing else of nas: a deployment carries this file as it is.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import platform
from pathlib import Path
from typing import Any, Mapping

import numpy as np

from nas.data.pixels import muted

CPU = "CPUExecutionProvider"
ABOUT = ("flags", "Features", "model name", "CPU part")  # of /proc/cpuinfo: what an optimized graph depends on
DIGEST = 32  # bytes


class Refused(Exception):
    """One line for the user. `status` is the exit status: 2 what was given is wrong, 3 something must be installed."""

    def __init__(self, message: str, status: int = 2) -> None:
        super().__init__(message)
        self.status = status


def onnx_runtime() -> Any:
    """The module onnxruntime. Raises Refused with status 3 where it is missing."""
    try:
        import onnxruntime
    except ImportError as error:
        raise Refused(str(error), 3) from None
    return onnxruntime


def lite_runtime() -> tuple[Any, str]:
    """LiteRT's class of interpreters, and the package's name and version.

    It is ai-edge-litert's, or that of tflite-runtime or TensorFlow, as it was called before. Raises Refused with status
    3 where none of them is there.
    """
    try:
        import ai_edge_litert
        from ai_edge_litert.interpreter import Interpreter

        return Interpreter, f"LiteRT {getattr(ai_edge_litert, '__version__', '(unknown version)')}"
    except ImportError as error:
        missing = Refused(str(error), 3)
    with contextlib.suppress(ImportError):
        import tflite_runtime
        from tflite_runtime.interpreter import Interpreter

        return Interpreter, f"TensorFlow Lite {tflite_runtime.__version__}"
    try:
        import tensorflow

        return tensorflow.lite.Interpreter, f"TensorFlow Lite of TensorFlow {tensorflow.__version__}"
    except ImportError:
        raise missing from None


class Network:
    """A model in ONNX Runtime, on the CPU. Raises Refused where it is missing, or cannot run the model.

    `kept`: a folder in which the graph is kept as ONNX Runtime optimizes it on this machine, so that the next start is
    faster; where it cannot be written, nothing is kept.
    """

    def __init__(self, model: bytes, threads: int, kept: Path | None = None) -> None:
        self.onnxruntime = ort = onnx_runtime()
        self.runtime = f"ONNX Runtime {ort.__version__}"
        self.threads, place = threads, None if kept is None else _place(kept, model, ort)
        self.from_kept = False
        optimized = None if place is None else _read_kept(place)
        if optimized is not None:
            try:
                self.session = self._started(optimized, ort.GraphOptimizationLevel.ORT_DISABLE_ALL)
                self.from_kept = True
            except Exception:  # whatever it has against it, the model itself is there
                optimized = None
        if optimized is None:
            try:
                self.session = self._started(model) if place is None else self._optimized(model, place)
            except Exception as error:  # it raises many kinds
                reason = (str(error).splitlines() or [type(error).__name__])[0][:300]
                raise Refused(f"{self.runtime} cannot run the model: {reason}") from None
        self.name = self.session.get_inputs()[0].name

    def ready(self, image: np.ndarray) -> np.ndarray:
        """float32 (1, 3, r, r) as the model takes it."""
        return image

    def scores(self, ready: np.ndarray) -> np.ndarray:
        """What `ready` gives to a score for each class, float32 (classes,)."""
        return self.outputs(ready)[0]

    def outputs(self, ready: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        """`scores`, and the pooled features before the classifier, float32 (d,); None where the model gives none."""
        found = self.session.run(None, {self.name: ready})
        return found[0][0], found[1][0] if len(found) > 1 else None

    def _started(self, model: bytes, level: Any = None, path: Path | None = None) -> Any:
        options = self.onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = self.threads, 1
        options.log_severity_level = 3
        if level is not None:
            options.graph_optimization_level = level
        if path is not None:
            options.optimized_model_filepath = str(path)
        return self.onnxruntime.InferenceSession(model, options, providers=[CPU])

    def _optimized(self, model: bytes, place: Path) -> Any:
        """A session of the model; its graph, as optimized here, is kept in the file `place` where that is possible."""
        part = place.with_name(f".{os.getpid()}-{place.name}.part")
        try:
            place.parent.mkdir(exist_ok=True)
            part.write_bytes(b"")
        except OSError:
            return self._started(model)
        try:
            try:
                session = self._started(model, path=part)
            except Exception:  # a full disk too
                return self._started(model)
            with contextlib.suppress(OSError):
                content = part.read_bytes()
                part.write_bytes(hashlib.sha256(content).digest() + content)
                part.replace(place)
                for old in place.parent.glob(f"{place.name.split('-')[0]}-*"):  # of another runtime, or machine
                    if old != place:
                        old.unlink()
            return session
        finally:
            with contextlib.suppress(OSError):
                part.unlink()


class LiteNetwork:
    """A model in LiteRT, on the CPU, as `Network`; what it takes and gives may be float32, int8 or uint8."""

    from_kept = False

    def __init__(self, model: bytes, threads: int) -> None:
        interpreter, self.runtime = lite_runtime()
        try:
            with muted():  # it tells of its kernels
                self.session = interpreter(model_content=model, num_threads=threads)
                self.session.allocate_tensors()
        except Exception as error:  # it raises many kinds
            reason = (str(error).splitlines() or [type(error).__name__])[0][:300]
            raise Refused(f"{self.runtime} cannot run the model: {reason}") from None
        self.image, self.end = self.session.get_input_details()[0], self.session.get_output_details()[0]

    def ready(self, image: np.ndarray) -> np.ndarray:
        """float32 (1, 3, r, r) to channels last, as the model stores it."""
        values = np.ascontiguousarray(image.transpose(0, 2, 3, 1))
        kind = self.image["dtype"]
        if kind == np.float32:
            return values
        scale, zero = self.image["quantization"]
        limits = np.iinfo(kind)
        stored: np.ndarray = np.clip(np.rint(values / scale) + zero, limits.min, limits.max).astype(kind)
        return stored

    def scores(self, ready: np.ndarray) -> np.ndarray:
        """What `ready` gives to a score for each class, float32 (classes,)."""
        self.session.set_tensor(self.image["index"], ready)
        self.session.invoke()
        found: np.ndarray = self.session.get_tensor(self.end["index"])[0]
        return found if found.dtype == np.float32 else _real(found, self.end)

    def outputs(self, ready: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        """`scores`, and no features: see `Network.outputs`."""
        return self.scores(ready), None


def _real(stored: np.ndarray, detail: Mapping[str, Any]) -> np.ndarray:
    scale, zero = detail["quantization"]
    return np.asarray((stored.astype(np.float32) - zero) * np.float32(scale))


def _place(folder: Path, model: bytes, ort: Any) -> Path:
    """The file of a model's optimized graph: for these bytes, this ONNX Runtime and this processor alone."""
    try:
        with Path("/proc/cpuinfo").open(encoding="utf-8", errors="replace") as file:
            about = sorted({line.strip() for line in file if line.startswith(ABOUT)})
    except OSError:
        about = [platform.processor()]
    digest = hashlib.sha256(model).hexdigest()
    known = [digest, ort.__version__, ",".join(ort.get_available_providers()), platform.system(), platform.machine()]
    key = hashlib.sha256("\n".join([*known, *about]).encode("utf-8")).hexdigest()
    return folder / f"{digest[:24]}-{key[:24]}"


def _read_kept(place: Path) -> bytes | None:
    """The optimized graph; None where there is none, or it is not what was written."""
    try:
        if not place.is_file():
            return None
        content = place.read_bytes()
    except OSError:
        return None
    return content[DIGEST:] if hashlib.sha256(content[DIGEST:]).digest() == content[:DIGEST] else None
