"""What any network costs on a device: a file, a timm model, a torch module, or a network of blocks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from nas.device.cost import Prediction
from nas.device.cost import predict as predict_network
from nas.device.profile import DeviceProfile, load_device
from nas.errors import UserError, require
from nas.space.graph.graph import Reading
from nas.space.layer import PRECISIONS, Precision
from nas.space.network import Network

if TYPE_CHECKING:
    from torch import nn

FORMS = "path.onnx or timm:NAME[@RESOLUTION]"


def read_model(model: str) -> Reading:
    """The network named by `path.onnx` or `timm:NAME[@RESOLUTION]`, and what in it was not understood.

    Raises UserError for anything else, and for a file or a name that cannot be read.
    """
    if not model.startswith("timm:"):
        if not model.endswith(".onnx"):
            raise UserError(f"a model must be given as {FORMS}; got {model[:200]!r}")
        from nas.space.onnx.file import read_onnx

        return read_onnx(Path(model))
    name, at, resolution = model.removeprefix("timm:").partition("@")
    if at and not (resolution.isascii() and resolution.isdigit() and 0 < int(resolution[:9]) <= 100_000):
        raise UserError(f"the resolution after @ must be a whole number of pixels above 0; got {model[:200]!r}")
    from nas.models.trace import read_timm

    return read_timm(name, int(resolution) if at else None)


def predict(
    model: str | Network | nn.Module,
    device: str | DeviceProfile,
    precision: Precision | None = None,
    *,
    input_shape: Sequence[int] | None = None,
) -> Prediction:
    """What a model costs on a device, for one image: `latency_ms`, `energy_mj`, and how sure they are.

    `model` is a file (`path.onnx`), a timm model (`timm:NAME[@RESOLUTION]`), a torch module with the `input_shape`
    (channels, height, width) of its image, or a Network. Without `precision`, an ONNX file is predicted at its own, all
    else at fp32. What the profile has no figure for is named in `unknown`.

    Example: nas.predict(torchvision.models.resnet18(), "raspberry-pi-4", input_shape=(3, 224, 224)).latency_ms

    Raises UserError when the model cannot be read or the device lacks the precision.
    """
    if precision is not None and precision not in PRECISIONS:
        raise UserError(f"precision must be one of {', '.join(PRECISIONS)}; got {precision!r}")
    module = callable(getattr(model, "named_parameters", None))  # torch is not imported to find out
    if input_shape is not None and not module:
        raise UserError("input_shape belongs to a torch module; a file, a timm model and a Network have their own")
    if input_shape is not None:
        require("input_shape", input_shape, (list, tuple), "(channels, height, width)")
    profile = device if isinstance(device, DeviceProfile) else load_device(device)
    if isinstance(model, Network):
        return predict_network(profile, model, precision or "fp32")
    if isinstance(model, str):
        reading = read_model(model)
    elif not module:
        raise UserError(f"a model must be {FORMS}, a torch module or a Network; got {type(model).__name__}")
    elif input_shape is None:
        raise UserError("a torch module needs the shape of its image: input_shape=(channels, height, width)")
    else:
        from nas.models.trace import trace_module

        reading = trace_module(model, input_shape)
    return predict_network(profile, reading.network, chosen_precision(profile, reading, precision), reading.unread)


def chosen_precision(profile: DeviceProfile, reading: Reading, asked: Precision | None) -> Precision:
    """The precision asked for, else the file's own. Raises UserError when the device lacks it."""
    if asked is None and reading.precision not in profile.precisions:
        has = ", ".join(profile.precisions)
        raise UserError(
            f"the file is {reading.precision}, and device {profile.name} has only {has}; name one of them as precision"
        )
    profile.require(precision=asked)
    return asked or reading.precision
