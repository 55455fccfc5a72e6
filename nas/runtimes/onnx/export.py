"""A trained model as an ONNX file, checked against the module that it came from."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from nas.files.atomic import write_atomic
from nas.models.int8 import Int8
from nas.runtimes.images import check_calibration
from nas.runtimes.onnx.features import add_features, features_of
from nas.runtimes.onnx.fusion import fusion_of
from nas.runtimes.onnx.parity import first_that_differs
from nas.runtimes.parity import LEAST_AGREEMENT, agreement, check_difference, disagreement, largest_difference
from nas.runtimes.runtime import Exported
from nas.space.layer import Precision

if TYPE_CHECKING:
    from nas.runtimes.onnx.variants import Variants


def export_onnx(variants: Variants, path: Path) -> Exported:
    """Writes the file of batch 1 (input "image", outputs "logits" and "features", float32) in the model's precision.

    The features (1, d) are those that the classifier reads: what watches the network needs them. The file appears only
    when it agrees with the module on the images of `variants`: the logits of fp32 and fp16 within TOLERANCE, those of
    int8 finite. Its metadata_props are `facts_of` the model. Raises UserError when it cannot be written, when weights
    or outputs are not finite, and when it disagrees, naming the first block that differs.
    """
    precision = variants.model.precision
    if precision == "int8" and Int8.of(variants.model).scheme == "static":
        check_calibration(variants.model.classes, variants.calibration)  # before seconds of tracing
    wanted = variants.logits
    exported = _compared(variants, path, "fp32", variants.exported.SerializeToString())
    graph = variants.graph(precision)
    add_features(graph, features_of(variants.exported))
    data = graph.SerializeToString()
    difference, alike = exported if precision == "fp32" else _compared(variants, path, precision, data)
    write_atomic(path, data)
    return Exported(
        path, variants.model.network.input_shape, len(data) / 1e6, difference, precision, alike,
        tuple(_notes(variants, precision, data, alike, len(wanted))), variants.model.network.detects,
    )  # fmt: skip


def _compared(variants: Variants, path: Path, precision: Precision, data: bytes) -> tuple[float, float]:
    """The largest difference from the module's logits as a share of the largest, and the agreement of first classes."""
    import onnx

    run, wanted = variants.runtime.session(data), variants.logits
    got = [run(image) for image in variants.images]
    difference = largest_difference(wanted, got)
    check_difference(path, precision, difference, lambda least: first_that_differs(
        variants.module, variants.exported, onnx.load_model_from_string(data), variants.images[:4],
        variants.runtime.outputs, least=least,
    ))  # fmt: skip
    return difference, agreement(wanted, got)


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
            yield disagreement(alike, images, boxes=variants.model.network.detects) + where
