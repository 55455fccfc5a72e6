"""A trained model as an ONNX file, checked against the module that it came from."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import warnings
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from nas.errors import UserError
from nas.files.atomic import write_atomic

if TYPE_CHECKING:
    import onnx
    from google.protobuf.message import Message
    from torch import Tensor, nn

    from nas.models.trained import TrainedModel

TOLERANCE = 1e-3  # of the largest logit: ONNX Runtime fuses and reorders sums


@dataclass(frozen=True, slots=True)
class Exported:
    """The file that was written."""

    path: Path
    input_shape: tuple[int, int, int]  # channels, height, width
    megabytes: float  # 10^6 bytes
    difference: float  # the largest from the module's logits, as a fraction of the largest logit


def check_output(path: Path, *, force: bool) -> None:
    """Raises UserError unless a file can be written at `path`; an existing one only with `force`."""
    if not path.parent.is_dir():
        raise UserError(f"cannot write {path}: there is no folder {path.parent}")
    if path.exists() and not path.is_file():
        raise UserError(f"cannot write {path}: it is a folder, a pipe or a device")
    if path.exists() and not force:
        raise UserError(f"{path} already exists; replace it with --force, or choose another name")


def export_onnx(model: TrainedModel, path: Path) -> Exported:
    """Writes an fp32 ONNX file of batch 1 (input "image", output "logits") and runs it once in ONNX Runtime.

    The file's metadata_props hold task, classes, preprocessing, precision and lineage, the last four as JSON. It holds
    nothing of the machine that wrote it, and appears only when it agrees with the module on a random image. Raises
    UserError when it cannot be written, when weights or outputs are not finite, and when the file disagrees.
    """
    import numpy as np
    import onnxruntime
    import torch

    from nas.models.trained import check_finite

    check_finite(model.weights, f"{path} is not written")
    module = model.module()
    image = torch.randn(1, *model.network.input_shape, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        wanted = module(image).numpy()
    if not np.isfinite(wanted).all():
        raise UserError(f"{path} is not written: the network's outputs are not finite")
    proto = _traced(module, image)
    _strip(proto)
    for key, value in _facts(model).items():
        proto.metadata_props.add(key=key, value=value)
    data = proto.SerializeToString()
    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    got = session.run(None, {"image": image.numpy()})[0]
    difference = float(np.abs(got - wanted).max() / max(np.abs(wanted).max(), 1e-6))
    if not difference <= TOLERANCE:
        raise UserError(
            f"{path} is not written: the exported network differs from the module by {difference:.2%} of its largest "
            f"logit, where at most {TOLERANCE:.2%} is allowed"
        )
    write_atomic(path, data)
    return Exported(path, model.network.input_shape, len(data) / 1e6, difference)


def _facts(model: TrainedModel) -> dict[str, str]:
    return {
        "task": model.task,
        "classes": json.dumps(model.classes),
        "preprocessing": json.dumps(asdict(model.preprocessing)),
        "precision": json.dumps(model.precision),
        "lineage": json.dumps(asdict(model.lineage)),
    }


def _traced(module: nn.Module, image: Tensor) -> onnx.ModelProto:
    import torch

    with _quiet():
        program = torch.onnx.export(
            module, (image,), input_names=["image"], output_names=["logits"], dynamo=True, verbose=False
        )
    if program is None:
        raise RuntimeError("torch exported nothing")
    proto: onnx.ModelProto = program.model_proto
    return proto


def _strip(part: Message) -> None:
    """Removes every doc string and every metadata property below a protobuf message.

    The exporter writes stack traces into them, with the paths of the machine.
    """
    for descriptor, value in part.ListFields():
        if descriptor.name in ("doc_string", "metadata_props"):
            part.ClearField(descriptor.name)
        elif descriptor.message_type is not None:
            for inner in [value] if hasattr(value, "ListFields") else value:
                _strip(inner)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """The exporter prints a page of progress and warnings that tell the user nothing."""
    level = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(level)
