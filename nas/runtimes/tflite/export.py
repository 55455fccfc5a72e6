"""A trained model as a TFLite file, checked against the module that it came from."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from nas.files.atomic import write_atomic
from nas.models.int8 import Int8
from nas.runtimes.parity import (
    LEAST_AGREEMENT,
    LEAST_SNR,
    agreement,
    check_difference,
    disagreement,
    first_block_that_differs,
    largest_difference,
)
from nas.runtimes.runtime import Exported
from nas.space.layer import Precision

if TYPE_CHECKING:
    from nas.runtimes.tflite.variants import Variants


def export_tflite(variants: Variants, path: Path) -> Exported:
    """Writes the file of batch 1 (input "image", channels last, output "logits", both float32) in its precision.

    It appears only when it agrees with the module on the images of `variants`: the logits of fp32 and fp16 within
    TOLERANCE. The file's metadata "nas" holds `facts_of` the model as JSON. Raises UserError when it cannot be written,
    when weights or outputs are not finite, and when it disagrees, naming the first block that differs.
    """
    precision, data = variants.model.precision, b""
    steps: tuple[Precision, ...] = ("fp32",) if precision == "fp32" else ("fp32", precision)
    for step in steps:
        data = variants.file(step)
        run = variants.open_outputs(data)
        got = [run(image)[0] for image in variants.images]
        difference, alike = largest_difference(variants.logits, got), agreement(variants.logits, got)
        check_difference(path, step, difference, partial(_first_that_differs, variants, step))
    write_atomic(path, data)
    return Exported(
        path, variants.model.network.input_shape, len(data) / 1e6, difference, precision, alike,
        tuple(_notes(variants, precision, alike)), variants.model.network.detects,
    )  # fmt: skip


def _first_that_differs(variants: Variants, precision: Precision, least: float) -> str | None:
    images = variants.images[:8]
    return first_block_that_differs(variants.block_values(images), variants.blocks_of(precision, images), least)


def _notes(variants: Variants, precision: Precision, alike: float) -> Iterator[str]:
    if precision == "fp16":
        yield "fp16 halves the file: a CPU converts the weights when it loads them, and computes in fp32; GPUs in fp16"
    if precision == "int8":
        if left := Int8.of(variants.model).float_blocks:
            yield f"all of it computes in integers but {', '.join(left)}"
        if alike < LEAST_AGREEMENT:
            first = _first_that_differs(variants, precision, LEAST_SNR)
            where = f"; the first block that differs is {first}" if first else ""
            yield disagreement(alike, len(variants.images), boxes=variants.model.network.detects) + where
