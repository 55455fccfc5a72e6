"""nas devices import and fit: a profile from a published table, or fitted to networks that were measured on a board."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nas.cli.held_out import print_errors
from nas.files.plain import printable

if TYPE_CHECKING:
    from nas.device.profile import About

Out = Annotated[Path, typer.Option(help="The profile's folder; one that exists is made anew.")]
AboutFile = Annotated[
    Path | None,
    typer.Option(help="A TOML file with board, soc, runtime, source ... (default: the profile.toml in --out)."),
]


def import_(
    files: Annotated[list[Path], typer.Argument(help="A published table, CSV or YAML (several for ofa), or a trace.")],
    form: Annotated[
        str,
        typer.Option("--format", help="ofa, proxylessnas, hwnasbench-fbnet, singlepath; onnxruntime, tflite (traces)."),
    ],
    out: Out,
    about: AboutFile = None,
    platform: Annotated[str | None, typer.Option(help="The column's name (hwnasbench-fbnet): raspi4, pixel3.")] = None,
    rest_ms: Annotated[
        float | None,
        typer.Option(help="Milliseconds of what the table has not (hwnasbench-fbnet, singlepath)."),
    ] = None,
    model: Annotated[
        str | None, typer.Option(help="What the trace is of: path.onnx, or timm:NAME[@RESOLUTION].")
    ] = None,
    precision: Annotated[str, typer.Option(help="What the trace ran in: fp32, fp16 or int8.")] = "fp32",
) -> None:
    """Make a profile from a published table of measured blocks, or from a runtime's trace of one network.

    Example: nas devices import note10.csv --format ofa --about note10.toml --out device_profiles/samsung-note10
    """
    from nas.device.formats.layer_times import TRACE_FORMATS, read_trace
    from nas.device.formats.ofa import FORMATS, import_table
    from nas.device.formats.relative_tables import RELATIVE_FORMATS
    from nas.errors import UserError, unknown

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
        raise UserError(f"--format {form} reads one file; came {len(files)}")
    options = "".join(f" --{name} {shlex.quote(str(value))}" for name, value in given.items() if value is not None)
    options += f" --precision {precision}" if traces and precision != "fp32" else ""
    names = " ".join(shlex.quote(file.name) for file in files)
    description = _about(about, out, f"nas devices import {names} --format {form}{options} --out {out}")
    if traces:
        from nas.models.price import read_model

        rates = read_trace(files[0], form, read_model(str(model)), precision)
        _write(out, description, {"rates": rates})
        print(f"{out}: rates of one network's layers; what another network costs is an extrapolation")
        return
    times = RELATIVE_FORMATS[form](files[0], platform or "", rest_ms or 0.0) if relative else import_table(files, form)
    _write(out, description, {"lookup_table": times})
    print(f"{out}: {len(times)} measured blocks")


def fit(
    runs: Annotated[Path, typer.Argument(help="A CSV file of whole networks measured on the device.")],
    platform: Annotated[
        str,
        typer.Option(help="The device's rows (mlperf; published: DEVICE/ACCELERATOR/THREADS), or its column (help-*)."),
    ],
    out: Out,
    about: AboutFile = None,
    form: Annotated[
        str, typer.Option("--format", help="mlperf, published (rates); help-fbnet, help-ofa (a table of blocks).")
    ] = "mlperf",
) -> None:
    """Fit a profile to whole networks, and say how far off it is on networks and families held out.

    Example: nas devices fit runs.csv --platform rpi4-tflite-v2.7.1-ruy --out device_profiles/raspberry-pi-4
    """
    from nas.device.fit.blocks import fit_blocks
    from nas.device.fit.rates import fit_profile
    from nas.device.formats.help import NETWORK_FORMATS
    from nas.device.formats.mlperf import read_mlperf
    from nas.device.formats.vendor_tables import read_published
    from nas.device.profile import Line
    from nas.errors import unknown

    if form not in (known := ["mlperf", "published", *NETWORK_FORMATS]):
        raise unknown("format of measured networks", form, known)
    option = "" if form == "mlperf" else f" --format {form}"
    description = _about(
        about, out, f"nas devices fit {runs.name}{option} --platform {shlex.quote(platform)} --out {out}"
    )
    if form not in NETWORK_FORMATS:
        published = read_published(runs, platform) if form == "published" else None
        fitted = fit_profile(published.runs if published else read_mlperf(runs, platform))
        _write(out, description, {"rates": fitted.rates, "validation": fitted.validation, "errors": fitted.errors})
        print(f"{out}: rates fitted to {platform}")
        if published and published.left_out:
            print(f"Left out, for they cannot be built here: {printable(', '.join(published.left_out))}")
        print_errors(fitted.errors)
        return
    networks = NETWORK_FORMATS[form](runs, platform)
    blocks = fit_blocks(networks)
    line = Line(slope=1.0, offset_ms=float(f"{blocks.offset_ms:.6g}"))
    changed = {"blocks": "fitted", "batch": networks.batch, "calibration": {networks.precision: line}}
    description = description.model_copy(update=changed)
    _write(out, description, {"lookup_table": blocks.times, "validation": blocks.validation, "errors": blocks.errors})
    print(f"{out}: {len(blocks.times)} blocks fitted to {len(networks.names)} networks on {platform}")
    print_errors(blocks.errors)


def _about(about: Path | None, out: Path, command: str) -> About:
    from nas.device.profile import read_about, require_ours

    require_ours(out)
    return read_about(about or out / "profile.toml").model_copy(update={"command": command})


def _write(out: Path, about: About, data: dict[str, Any]) -> None:
    from nas.device.profile import write_profile

    write_profile(out, about, **data)
