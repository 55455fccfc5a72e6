"""The runtimes by their names."""

from __future__ import annotations

from nas.errors import unknown
from nas.runtimes.executorch import ExecuTorch
from nas.runtimes.litert import LiteRT
from nas.runtimes.onnxruntime import OnnxRuntime
from nas.runtimes.openvino import OpenVino
from nas.runtimes.runtime import Exporter, Runtime, RuntimeName
from nas.runtimes.tensorrt import TensorRt


def deployed_runtime(name: RuntimeName) -> OnnxRuntime | LiteRT:
    """The runtime of that name, of those that deployment folders are made for."""
    return LiteRT() if name == "litert" else OnnxRuntime()


def runtime_of(name: str) -> Runtime:
    """The runtime of that name, of those that a board is measured with. Raises UserError where there is none."""
    known: dict[str, Runtime] = {runtime.name: runtime for runtime in (OnnxRuntime(), LiteRT())}
    if name not in known:
        raise unknown("runtime", name, known)
    return known[name]


def exporter_of(name: str) -> Exporter:
    """What writes files for the runtime of that name. Raises UserError where there is none."""
    every: tuple[Exporter, ...] = (OnnxRuntime(), LiteRT(), OpenVino(), ExecuTorch(), TensorRt())
    known = {one.name: one for one in every}
    if name not in known:
        raise unknown("runtime", name, known)
    return known[name]
