"""A trained model as a file for a runtime: `nas export`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from nas.deploy.build import check_output
from nas.errors import UserError
from nas.models.int8 import Int8
from nas.runtimes.by_name import exporter_of
from nas.space.layer import Precision

if TYPE_CHECKING:
    from nas.deploy.source import Source
    from nas.runtimes.runtime import Exported


def export(
    source: Source, out: Path, *, runtime: str = "onnxruntime", precision: Precision | None = None,
    dynamic: bool = False, force: bool = False,
) -> Exported:  # fmt: skip
    """Writes the model's file for a runtime, in its own precision or another; see `Exporter.export`.

    `dynamic` goes before what the model's recipe says of int8. The calibration images, training images of
    the source's dataset, are also those that the file is compared with the module on; fp32 needs no dataset. Raises
    UserError for a precision that the runtime does not export, and as `Exporter.export`.
    """
    made, model = exporter_of(runtime), source.model
    precision = precision or model.precision
    if precision not in made.exported:
        raise UserError(f"files for {runtime} are exported in {', '.join(made.exported)}; got {precision}")
    if dynamic and (precision != "int8" or runtime != "onnxruntime"):
        raise UserError(f"dynamic ranges are of int8 files for onnxruntime; got {precision} for {runtime}")
    made.check()
    check_output(out, force=force)
    if out.suffix != made.suffix:
        raise UserError(f"{out}: a file for {runtime} must end in {made.suffix}")
    if made.suffix == ".xml":
        check_output(out.with_suffix(".bin"), force=force)
    if dynamic:
        model = Int8("dynamic").within(model)
    if precision == "fp32" and source.dataset_name is None:
        return made.export(replace(model, precision=precision), out)

    from nas.compress.quantize import calibration_images

    images = calibration_images(source.dataset())
    return made.export(replace(model, precision=precision), out, calibration=images)
