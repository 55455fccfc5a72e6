"""A trained model as a file for a runtime: `nas export`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from nas.deploy.build import check_output
from nas.errors import UserError
from nas.models.int8 import Int8, Target
from nas.runtimes.by_name import runtime_of
from nas.space.layer import Precision

if TYPE_CHECKING:
    from nas.deploy.source import Source
    from nas.runtimes.runtime import Exported


def export(
    source: Source, out: Path, *, runtime: str = "onnxruntime", precision: Precision | None = None,
    target: Target | None = None, dynamic: bool = False, force: bool = False,
) -> Exported:  # fmt: skip
    """Writes the model's file for a runtime, in its own precision or another; see `Runtime.export`.

    `target` and `dynamic` go before what the model's recipe says of int8. The calibration images, training images of
    the source's dataset, are also those that the file is compared with the module on; fp32 needs no dataset. Raises
    UserError for a precision that the runtime does not export, and as `Runtime.export`.
    """
    made, model = runtime_of(runtime), source.model
    made.check()
    precision = precision or model.precision
    if precision not in made.exported:
        known = f"in {', '.join(made.exported)}" if made.exported else "not yet"
        raise UserError(f"files for {runtime} are exported {known}; got {precision}")
    if precision != "int8" and (target or dynamic):
        raise UserError(f"a target and dynamic ranges are int8's; got {precision}")
    check_output(out, force=force)
    if target or dynamic:
        kept = Int8.of(model)
        model = Int8("dynamic" if dynamic else kept.scheme, target or kept.target, kept.float_blocks).within(model)
    if precision == "fp32" and source.dataset_name is None:
        return made.export(replace(model, precision=precision), out)

    from nas.compress.quantize import calibration_images

    images = calibration_images(source.dataset())
    return made.export(replace(model, precision=precision), out, calibration=images)
