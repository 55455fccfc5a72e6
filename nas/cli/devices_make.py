"""nas devices import and fit: a profile from a published table, or fitted to networks that were measured on a board."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nas.cli.held_out import print_errors
from nas.files.plain import printable

MOST_NAMED = 50  # networks that are left out
Out = Annotated[Path, typer.Option(help="The profile's folder; one that exists is replaced.")]
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
        typer.Option(help="Milliseconds of the layers that the table lacks (hwnasbench-fbnet, singlepath)."),
    ] = None,
    model: Annotated[str | None, typer.Option(help="The traced network: FILE.onnx, or timm:NAME[@RESOLUTION].")] = None,
    precision: Annotated[str, typer.Option(help="Its precision in the trace: fp32, fp16 or int8.")] = "fp32",
) -> None:
    """Make a profile from a published table of measured blocks, or from a runtime's trace of one network.

    Example: nas devices import note10.csv --format ofa --about note10.toml --out device_profiles/samsung-note10
    """
    from nas.profiling.build.imported import import_profile

    blocks = import_profile(
        files, form, out, about=about, platform=platform, rest_ms=rest_ms, model=model, precision=precision
    )
    if blocks is None:
        print(f"{out}: rates of one network's layers; the costs of other networks are extrapolated")
    else:
        print(f"{out}: {blocks} measured blocks")


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
    """Fit a profile to measured whole networks, and print its errors on held-out networks and families.

    Example: nas devices fit runs.csv --platform rpi4-tflite-v2.7.1-ruy --out device_profiles/raspberry-pi-4
    """
    from nas.profiling.build.fitted import fit_device

    fitted = fit_device(runs, platform, out, about=about, form=form)
    if fitted.blocks is None:
        print(f"{out}: rates fitted to {platform}")
    else:
        print(f"{out}: {fitted.blocks} blocks fitted to {fitted.networks} networks on {platform}")
    if fitted.left_out:
        named = ", ".join(name[:80] for name in fitted.left_out[:MOST_NAMED])
        more = len(fitted.left_out) - MOST_NAMED
        others = f" and {more} more" if more > 0 else ""
        print(f"Left out, because they cannot be built here: {printable(named)}{others}")
    print_errors(fitted.errors)
