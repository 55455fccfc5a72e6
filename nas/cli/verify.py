"""nas verify: a deployment on its images, here or on a board."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nas.cli.output import Quiet, hushed, note, print_json, print_table
from nas.files.plain import printable
from nas.numbers import figure, percent

if TYPE_CHECKING:
    from collections.abc import Mapping

    from nas.deploy.verify import VerifiedModel
    from nas.runtimes.runtime import Form


def verify(
    folder: Annotated[Path, typer.Argument(help="The deployment folder.")],
    ssh: Annotated[str | None, typer.Option(metavar="USER@HOST", help="Verify on this board, over ssh.")] = None,
    python: Annotated[str, typer.Option(help="With --ssh: Python on the board, e.g. venv/bin/python.")] = "python3",
    device: Annotated[str | None, typer.Option(help="Predict by this device profile (default: the search's).")] = None,
    images: Annotated[
        str | None, typer.Option(metavar="SOURCE", help="Other test images: folder:PATH or npz:PATH.")
    ] = None,
    threads: Annotated[int | None, typer.Option(min=1, help="Threads (default: the profile's).")] = None,
    meter: Annotated[str, typer.Option(help="Energy meter: rapl, ina3221, nvml, none.")] = "none",
    version: Annotated[int | None, typer.Option(min=1, help="The version (default: the one in use).")] = None,
    quiet: Quiet = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Run a deployed version on test images and time it, here or on a board, beside what was predicted.

    Every model runs on the same images with the same threads, in turn. What is found is kept in the version's
    verified.json and verified.md. The board needs Python 3.8 with NumPy, Pillow and ONNX Runtime or LiteRT; nothing
    stays there, and a model whose runtime it has not is left out.

    Example: nas verify flowers --ssh pi@raspberrypi --python venv/bin/python
    """
    from nas.deploy.verified_page import sentences
    from nas.deploy.verify import PAGE
    from nas.deploy.verify import verify as measure
    from nas.profiling.boards.local import Stopped

    try:
        with hushed():
            done = measure(
                folder,
                version=version,
                ssh=ssh,
                python=python,
                device=device,
                images=images,
                threads=threads,
                meter=meter,
            )
    except Stopped as stopped:
        raise typer.Exit(stopped.status) from None
    if as_json:
        print_json(done.found.model_dump())
        return
    print(printable(f"version {done.card.version} on {done.found.where}"))
    _print(done.found.models)
    for line in sentences(done.found):
        note(line)
    print(printable(f"Written: {done.folder / PAGE}"))


def _print(models: Mapping[Form, VerifiedModel]) -> None:
    """Accuracies, then costs: two tables of at most 80 columns."""
    from nas.deploy.verified_page import named, points

    rows = [
        (named(p), percent(m.accuracy.value), f"{100 * m.accuracy.low:.1f} to {100 * m.accuracy.high:.1f}",
         points(m.less_fp32), figure(m.megabytes), m.verdict)
        for p, m in models.items()
    ]  # fmt: skip
    print_table(["", "accuracy", "95% interval", "less fp32, points", "file MB", "budgets"], rows, right=["file MB"])
    energy = any(m.measured.energy_mj is not None for m in models.values())
    costs = [
        (
            named(p), figure(t.p50_ms), figure(t.p90_ms), figure(t.p99_ms), figure(t.cpu_ms), _relative(m),
            figure(m.predicted.latency_ms if m.predicted else None), figure(t.first_ms), figure(t.memory_mb),
            *[figure(t.energy_mj)] * energy,
        )
        for p, m in models.items() if (t := m.measured)
    ]  # fmt: skip
    heads = ["", "p50 ms", "p90", "p99", "CPU", "of fp32", "predicted", "first", "MB", *["mJ"] * energy]
    print_table(heads, costs, right=[head for head in heads if head])


def _relative(model: VerifiedModel) -> str:
    return "-" if model.relative is None else f"{model.relative[0]:.2f}"
