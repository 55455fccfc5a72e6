"""A network with its weights as an ONNX file, checked against the module that it came from."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from nas.errors import UserError
from nas.space.network import Network

TOLERANCE = 1e-3  # of the largest logit: ONNX Runtime fuses and reorders sums


@dataclass(frozen=True, slots=True)
class Exported:
    """What was written: the file, its size, and the largest difference from the module's logits, as a fraction."""

    path: Path
    megabytes: float
    difference: float


def export_onnx(network: Network, weights: Mapping[str, Tensor], path: Path) -> Exported:
    """Writes an fp32 ONNX file of batch 1 (input "image", output "logits") and runs it once in ONNX Runtime.

    Weights are those of nas.models.build. The file appears only when it agrees with the module on a random image.
    Raises UserError when it cannot be written, RuntimeError when it disagrees.
    """
    import numpy as np
    import onnxruntime
    import torch

    from nas.models.builder import build

    model = build(network).eval()
    model.load_state_dict(dict(weights), strict=True)
    image = torch.randn(1, *network.input_shape, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        wanted = model(image).numpy()
    partial = path.with_name(path.name + ".partial")
    try:
        with _quiet():
            program = torch.onnx.export(
                model, (image,), input_names=["image"], output_names=["logits"], dynamo=True, verbose=False
            )
            if program is None:
                raise RuntimeError("torch exported nothing")
            program.save(str(partial), external_data=False)
        session = onnxruntime.InferenceSession(str(partial), providers=["CPUExecutionProvider"])
        got = session.run(None, {"image": image.numpy()})[0]
        difference = float(np.abs(got - wanted).max() / max(np.abs(wanted).max(), 1e-6))
        if not difference <= TOLERANCE:
            raise RuntimeError(f"the exported network differs from the module by {difference:.2%} of its largest logit")
        partial.replace(path)
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror or error}") from None
    finally:
        partial.unlink(missing_ok=True)
    return Exported(path, path.stat().st_size / 1e6, difference)


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
