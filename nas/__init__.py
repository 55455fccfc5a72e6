"""Hardware-aware architecture search: a search space and a device profile in, a Pareto front out.

The words of the command line, for programs; each is loaded when it is first used:

    space = nas.load_space("mobilenet-v3")
    device = nas.load_device("raspberry-pi-4")
    nas.predict("timm:mobilenetv2_100", device, "int8").latency_ms
    run = nas.search("raspberry-pi-4", trials=50)
    run.front  # a pandas DataFrame
    nas.pick(run, max_latency_ms=3.0)  # the trial: its candidate, accuracy and costs
    nas.report(run)  # report.html and so on, in the run's folder
    nas.build(run, pick=17, onnx="out.onnx")
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nas.device.profile import load_device
    from nas.models.price import predict
    from nas.run import load_run
    from nas.space.search_space import load_space

__version__ = "0.1.0"
__all__ = ["__version__", "build", "load_device", "load_run", "load_space", "pick", "predict", "report", "search"]

_PLACES = {
    "build": "nas.deploy.build",
    "load_device": "nas.device.profile",
    "load_run": "nas.run",
    "load_space": "nas.space.search_space",
    "pick": "nas.report.pick",
    "predict": "nas.models.price",
}


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_PLACES[name]), name)


class _Package(ModuleType):
    """`report` and `search` are packages too: importing one must not hide the function of that name.

    The import system sets a package here as an attribute, which is passed over; it stays in `sys.modules`.
    """

    @property
    def report(self) -> Any:
        return _function("nas.report", "report")

    @report.setter
    def report(self, package: ModuleType) -> None: ...

    @property
    def search(self) -> Any:
        return _function("nas.search", "api")

    @search.setter
    def search(self, package: ModuleType) -> None: ...


def _function(package: str, file: str) -> Any:
    """The function called like its package; by its name `import nas.search.loop as loop` finds the package's files."""
    function = getattr(import_module(f"{package}.{file}"), package.rpartition(".")[2])
    function.__name__ = package
    return function


sys.modules[__name__].__class__ = _Package
