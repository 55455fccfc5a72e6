"""A trained model as an ONNX file, checked against the module that it came from."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from nas.errors import UserError
from nas.files.atomic import write_atomic
from nas.models.int8 import Int8
from nas.runtimes.images import check_calibration
from nas.runtimes.onnx.fusion import fusion_of
from nas.runtimes.onnx.parity import agreement, first_that_differs
from nas.runtimes.runtime import Exported
from nas.space.layer import Precision

if TYPE_CHECKING:
    from nas.runtimes.onnx.variants import Variants

TOLERANCE: dict[Precision, float] = {  # of the largest logit: runtimes fuse and reorder sums
    "fp32": 1e-3, "fp16": 5e-2,
}  # fmt: skip
LEAST_AGREEMENT = 0.9  # of int8's first classes with the module's; below it, the block is named where it goes wrong


def export_onnx(variants: Variants, path: Path) -> Exported:
    """Writes the file of batch 1 (input "image", output "logits", both float32) in the model's precision.

    It appears only when it agrees with the module on the images of `variants`: the logits of fp32 and fp16 within
    TOLERANCE, those of int8 finite. The file's metadata_props are `facts_of` the model. Raises UserError when it cannot
    be written, when weights or outputs are not finite, and when it disagrees, naming the first block that differs.
    """
    precision = variants.model.precision
    if precision == "int8" and Int8.of(variants.model).scheme == "static":
        check_calibration(variants.model, variants.calibration)  # before seconds of tracing
    wanted = variants.logits
    exported = _compared(variants, path, "fp32", variants.exported.SerializeToString())
    graph = variants.graph(precision)
    data = graph.SerializeToString()
    difference, alike = exported if precision == "fp32" else _compared(variants, path, precision, data)
    write_atomic(path, data)
    return Exported(
        path, variants.model.network.input_shape, len(data) / 1e6, difference, precision, alike,
        tuple(_notes(variants, precision, data, alike, len(wanted))),
    )  # fmt: skip


def _compared(variants: Variants, path: Path, precision: Precision, data: bytes) -> tuple[float, float]:
    """The largest difference from the module's logits as a share of the largest, and the agreement of first classes."""
    import onnx

    run, wanted = variants.runtime.session(data), variants.logits
    got = [run(image) for image in variants.images]
    differences = [float(np.abs(g - w).max() / max(np.abs(w).max(), 1e-6)) for g, w in zip(got, wanted, strict=True)]
    largest, allowed = max(differences), TOLERANCE.get(precision, np.inf)
    if not (largest <= allowed and np.isfinite(largest)):
        first = first_that_differs(
            variants.module, variants.exported, onnx.load_model_from_string(data), variants.images[:4],
            variants.runtime.outputs, least=-20 * np.log10(min(allowed, 0.3)),
        )  # fmt: skip
        raise UserError(
            f"{path} is not written: in {precision} the exported network differs from the module by {largest:.2%} of "
            f"its largest logit, where at most {allowed:.2%} is allowed; the first block that differs is "
            f"{first or 'the last'}"
        )
    return largest, agreement(wanted, got)


def _notes(variants: Variants, precision: Precision, data: bytes, alike: float, images: int) -> Iterator[str]:
    import onnx

    if precision == "fp16":
        yield "fp16 is for GPUs and NPUs: a CPU converts it at each layer, and is slower with it than with fp32"
    if precision == "int8":
        yield fusion_of(variants.runtime.optimized(data)).text
        if alike < LEAST_AGREEMENT:
            first = first_that_differs(
                variants.module, variants.exported, onnx.load_model_from_string(data), variants.images[:8],
                variants.runtime.outputs,
            )  # fmt: skip
            where = f"; the first block that differs is {first}" if first else ""
            yield f"int8 gives another class than fp32 on {round((1 - alike) * images)} of {images} images{where}"
