"""The runtimes by their names."""

from __future__ import annotations

from nas.errors import unknown
from nas.runtimes.litert import LiteRT
from nas.runtimes.onnxruntime import OnnxRuntime
from nas.runtimes.runtime import Runtime, RuntimeName


def deployed_runtime(name: RuntimeName) -> OnnxRuntime | LiteRT:
    """The runtime of that name, of those that deployment folders are made for."""
    return LiteRT() if name == "litert" else OnnxRuntime()


def runtime_of(name: str) -> Runtime:
    """The runtime of that name. Raises UserError where there is none."""
    known: dict[str, Runtime] = {runtime.name: runtime for runtime in (OnnxRuntime(), LiteRT())}
    if name not in known:
        raise unknown("runtime", name, known)
    return known[name]
