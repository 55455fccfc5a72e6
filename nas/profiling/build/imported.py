"""A device profile from a published table of measured blocks, or from a runtime's own profile of one network."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

from nas.device.folder import require_ours, write_profile
from nas.device.formats.layer_times import TRACE_FORMATS, read_trace
from nas.device.formats.ofa import FORMATS, import_table
from nas.device.formats.relative_tables import RELATIVE_FORMATS
from nas.device.info import About, read_about
from nas.errors import UserError, unknown


def import_profile(
    files: Sequence[Path], form: str, out: Path, *, about: Path | None = None, platform: str | None = None,
    rest_ms: float | None = None, model: str | None = None, precision: str = "fp32",
) -> int | None:  # fmt: skip
    """Writes the profile `out` and gives the number of its measured blocks; None where a trace made rates.

    `form` is the files' format, `about` a TOML file that describes the device (default: the profile.toml in `out`).
    `platform` is a column of the table, `rest_ms` the milliseconds of what it lacks, `model` the network that a trace
    is of. Raises UserError for an option that the format lacks or does not take, and for files that cannot be read.
    """
    traces, relative = form in TRACE_FORMATS, form in RELATIVE_FORMATS
    if form not in (known := [*FORMATS, *RELATIVE_FORMATS, *TRACE_FORMATS]):
        raise unknown("table format", form, known)
    given = {"platform": platform, "rest-ms": rest_ms, "model": model}
    needed = ["model"] * traces + ["rest-ms"] * relative + ["platform"] * (form == "hwnasbench-fbnet")
    for name, value in given.items():
        if (value is not None) != (name in needed):
            must = "needs" if name in needed else "takes no"
            raise UserError(f"--format {form} {must} --{name}")
    if len(files) > 1 and (traces or relative):
        raise UserError(f"--format {form} reads one file; got {len(files)}")
    options = "".join(f" --{name} {shlex.quote(str(value))}" for name, value in given.items() if value is not None)
    options += f" --precision {precision}" if traces and precision != "fp32" else ""
    names = " ".join(shlex.quote(file.name) for file in files)
    described = describe_typed(about, out, f"nas devices import {names} --format {form}{options} --out {out}")
    if traces:
        from nas.models.price import read_model  # late: it loads PyTorch

        write_profile(out, described, rates=read_trace(files[0], form, read_model(str(model)), precision))
        return None
    times = RELATIVE_FORMATS[form](files[0], platform or "", rest_ms or 0.0) if relative else import_table(files, form)
    if not times:
        raise UserError(f"{files[0]}: must list at least one block; got none")
    write_profile(out, described, lookup_table=times)
    return len(times)


def describe_typed(about: Path | None, out: Path, command: str) -> About:
    """What a user wrote of the device, with the command. Raises UserError where `out` is not ours to write."""
    require_ours(out)
    return read_about(about or out / "profile.toml").model_copy(update={"command": command})
