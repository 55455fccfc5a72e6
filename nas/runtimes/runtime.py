"""A runtime: what runs networks on a board, and all that differs between one and another."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol, get_args

from nas.device.formats.trace import Trace
from nas.numbers import percent
from nas.space.layer import PRECISIONS, Precision
from nas.space.network import Network

if TYPE_CHECKING:
    import numpy as np

    from nas.data.dataset import Split
    from nas.models.trained import TrainedModel

RuntimeName = Literal["onnxruntime", "litert"]
TITLES: dict[RuntimeName, str] = {"onnxruntime": "ONNX Runtime", "litert": "LiteRT"}
Form = Literal["fp32", "fp16", "int8", "fp32-litert", "fp16-litert", "int8-litert"]
# a model file of a deployment, by its precision, and its runtime where that is not ONNX Runtime
Session = Callable[["np.ndarray"], "np.ndarray"]  # float32 images (1, c, h, w) to float32 scores (1, classes)


@dataclass(frozen=True, slots=True)
class Exported:
    """The file that was written."""

    path: Path
    input_shape: tuple[int, int, int]  # channels, height, width
    megabytes: float  # 10^6 bytes
    difference: float  # the largest from the module's logits, as a fraction of the largest logit
    precision: Precision = "fp32"
    agreement: float = 1.0  # the share of the images it was tried on, or of their boxes, with the module's first class
    notes: tuple[str, ...] = ()  # what the user should know: what is not fused, where it first differs
    boxes: bool = False  # whether it is a detector's

    @property
    def agreed(self) -> str:
        """How well the file agrees with the module, in words."""
        if self.precision == "int8":
            of = "boxes that PyTorch is sure of" if self.boxes else "images it was compared on"
            return f"its first class is PyTorch's on {percent(self.agreement)} of the {of}"
        return f"its logits differ from PyTorch's by at most {self.difference:.1e} of the largest"


def form_of(precision: Precision, runtime: RuntimeName) -> Form:
    """The name of a deployment's model file in a precision, for a runtime."""
    name = precision if runtime == "onnxruntime" else f"{precision}-{runtime}"
    return next(form for form in get_args(Form) if form == name)


def parts_of(form: Form) -> tuple[Precision, RuntimeName]:
    """The precision and the runtime of a deployment's model file, by its name."""
    precision, _, runtime = form.partition("-")
    return (
        next(p for p in PRECISIONS if p == precision),
        next(r for r in get_args(RuntimeName) if r == (runtime or "onnxruntime")),
    )


def fp32_of(form: Form) -> Form:
    """The model file that another one of the same runtime is compared with."""
    return form_of("fp32", parts_of(form)[1])


class Exporter(Protocol):
    """What writes files for a runtime. Its library is imported in its own file alone, when it is first needed."""

    @property
    def name(self) -> str: ...

    @property
    def suffix(self) -> str:
        """Of its model files."""
        ...

    @property
    def exported(self) -> tuple[Precision, ...]:
        """The precisions of `export`."""
        ...

    def check(self) -> None:
        """Raises UserError where the runtime's package is missing here."""
        ...

    def export(self, model: TrainedModel, path: Path, *, calibration: Split | None = None) -> Exported:
        """Writes a trained model as a file to deploy, in its precision, once it was found to agree with the module.

        `calibration` are training images: int8 takes the ranges of its activations from them, and the file is compared
        with the module on some of them; without any, on a random image. A test holds the operators of a `Runtime` to
        those of its `write_network`. Raises UserError for a precision that is not among `exported`, for int8 without
        images or with images of one class alone, when the file cannot be written, and when it disagrees.
        """
        ...


class Runtime(Exporter, Protocol):
    """What a runtime that boards are measured with can do."""

    name: RuntimeName  # in plans and results
    packages: str  # what pip installs on the board, beside NumPy
    timed: tuple[Precision, ...]  # precisions of `write_network`

    def write_network(self, network: Network, precision: Precision, *, whole: bool) -> bytes:
        """A network, or a block of one, with random weights as a model to time, batch 1.

        Part of a network reads and writes what flows inside a network of that precision; a `whole` one takes float32
        images and gives float32 scores, as it is deployed. Raises UserError for a block that it cannot write.
        """
        ...

    def session(self, model: bytes, threads: int = 1) -> Session:
        """The model, ready to run on this machine's CPU. Raises UserError where the runtime's package is missing,
        and for a model that the runtime refuses.
        """
        ...

    def read_profile(self, path: Path) -> Trace:
        """What the runtime's own profiler wrote of one network. Raises UserError."""
        ...
