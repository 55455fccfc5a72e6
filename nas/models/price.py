"""Any network's price: a file, a timm model, or a network of blocks, on a device."""

from __future__ import annotations

from pathlib import Path

from nas.device.cost import Prediction
from nas.device.cost import predict as predict_network
from nas.device.profile import DeviceProfile, load_device
from nas.errors import UserError
from nas.space.graph import Reading
from nas.space.layer import PRECISIONS, Precision
from nas.space.network import Network


def read_model(model: str) -> Reading:
    """The network named by `path.onnx` or `timm:NAME[@RESOLUTION]`, and what in it was not understood.

    Raises UserError for anything else, and for a file or a name that cannot be read.
    """
    if not model.startswith("timm:"):
        if not model.endswith(".onnx"):
            raise UserError(f"a model must be given as path.onnx or timm:NAME[@RESOLUTION]; came {model!r}")
        from nas.space.onnx_file import read_onnx

        return read_onnx(Path(model))
    name, at, resolution = model.removeprefix("timm:").partition("@")
    if at and not (resolution.isdigit() and int(resolution) > 0):
        raise UserError(f"the resolution after @ must be a whole number of pixels above 0; came {model!r}")
    from nas.models.trace import read_timm

    return read_timm(name, int(resolution) if at else None)


def predict(model: str | Network, device: str | DeviceProfile, precision: Precision = "fp32") -> Prediction:
    """What a model costs on a device. What cannot be priced is named in `unknown`, and the figures are the rest's.

    Raises UserError when the model cannot be read or the device lacks the precision.
    """
    if precision not in PRECISIONS:
        raise UserError(f"precision must be one of {', '.join(PRECISIONS)}; came {precision!r}")
    profile = load_device(device) if isinstance(device, str) else device
    if isinstance(model, Network):
        return predict_network(profile, model, precision)
    reading = read_model(model)
    return predict_network(profile, reading.network, precision, reading.unread)
