"""A device profile fitted to whole networks that others measured and published."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path

from nas.device.calibration import Line
from nas.device.fit.blocks import fit_blocks
from nas.device.fit.rates import fit_profile
from nas.device.folder import write_profile
from nas.device.formats.help import NETWORK_FORMATS
from nas.device.formats.mlperf import read_mlperf
from nas.device.formats.vendor_tables import read_published
from nas.device.tables.validation import HeldOutError
from nas.errors import unknown
from nas.profiling.build.imported import describe_typed


@dataclass(frozen=True, slots=True)
class FittedDevice:
    """What was fitted: `blocks` to `networks`, both None where rates were; networks that could not be built are
    `left_out`."""

    errors: tuple[HeldOutError, ...]
    left_out: tuple[str, ...] = ()
    blocks: int | None = None
    networks: int | None = None


def fit_device(
    runs: Path, platform: str, out: Path, *, about: Path | None = None, form: str = "mlperf"
) -> FittedDevice:
    """Writes the profile `out`, fitted to the networks of `platform` in the CSV file `runs`.

    `form` is its format: mlperf and published give rates, help-fbnet and help-ofa a table of blocks; `about` is a TOML
    file that describes the device (default: the profile.toml in `out`). Raises UserError.
    """
    if form not in (known := ["mlperf", "published", *NETWORK_FORMATS]):
        raise unknown("format of measured networks", form, known)
    option = "" if form == "mlperf" else f" --format {form}"
    command = f"nas devices fit {runs.name}{option} --platform {shlex.quote(platform)} --out {out}"
    described = describe_typed(about, out, command)
    if form not in NETWORK_FORMATS:
        published = read_published(runs, platform) if form == "published" else None
        fitted = fit_profile(published.runs if published else read_mlperf(runs, platform))
        write_profile(out, described, rates=fitted.rates, validation=fitted.validation, errors=fitted.errors)
        return FittedDevice(fitted.errors, tuple(published.left_out) if published else ())
    networks = NETWORK_FORMATS[form](runs, platform)
    blocks = fit_blocks(networks)
    line = Line(slope=1.0, offset_ms=float(f"{blocks.offset_ms:.6g}"))
    changed = {"blocks": "fitted", "batch": networks.batch, "calibration": {networks.precision: line}}
    described = described.model_copy(update=changed)
    write_profile(out, described, lookup_table=blocks.times, validation=blocks.validation, errors=blocks.errors)
    return FittedDevice(blocks.errors, blocks=len(blocks.times), networks=len(networks.names))
