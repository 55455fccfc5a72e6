"""nas verify: a deployment on its images, here or on a board."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nas.cli.output import Quiet, hushed, note, print_json, print_table
from nas.errors import UserError
from nas.files.plain import printable
from nas.numbers import figure, percent

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nas.deploy.verified import VerifiedModel


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
    version: Annotated[
        str | None,
        typer.Option(metavar="N,...|all", help="Versions to compare with each other (default: the one in use)."),
    ] = None,
    bundle: Annotated[
        Path | None, typer.Option(help="For a board without ssh: write what it runs, a .zip file or a new folder.")
    ] = None,
    results: Annotated[Path | None, typer.Option(help="Read the results.json that a board made of the bundle.")] = None,
    quiet: Quiet = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Run a deployed version on test images and time it, here or on a board, beside what was predicted.

    Every precision, and with --version 1,2 or all every variant, runs on the same images with the same threads, in
    turn. What is found is kept in the version's verified.json, and shown on the folder's page, verified.html. The board
    needs Python 3.8 with NumPy, Pillow and ONNX Runtime or LiteRT; nothing stays there, and a model whose runtime it
    has not is left out.

    Example: nas verify flowers --version all --ssh pi@raspberrypi --python venv/bin/python

    By hand: nas verify flowers --bundle bundle.zip; on the board python3 agent.pyz verify; nas verify flowers --results
    results.json
    """
    from nas.deploy.variant import named
    from nas.deploy.verified_page import sentences
    from nas.deploy.verify import bundle as write_bundle
    from nas.deploy.verify import verify as measure
    from nas.profiling.boards.local import Stopped

    chosen = _versions(folder, version)
    if bundle is not None:
        if ssh or results or meter != "none" or device:
            raise UserError("--bundle writes what a board runs: leave out --ssh, --results, --meter and --device")
        write_bundle(folder, bundle, versions=chosen, images=images, threads=threads)
        size = f"{bundle.stat().st_size / 1e6:.0f} MB" if bundle.is_file() else "copy this folder to the board"
        print(printable(f"{bundle}: {size}"))
        note(f"On the board: unzip it, then python3 agent.pyz verify; here: nas verify {folder} --results results.json")
        return
    if results is not None and (ssh or meter != "none"):
        raise UserError("--results are of a board that has measured: leave out --ssh and --meter")
    try:
        with hushed():
            done = measure(
                folder, versions=chosen, ssh=ssh, python=python, device=device, images=images, threads=threads,
                meter=meter, results=results,
            )  # fmt: skip
    except Stopped as stopped:
        raise typer.Exit(stopped.status) from None
    if as_json:
        print_json([{"version": number} | one.model_dump() for number, one in done.found.items()])
        return
    where = next(iter(done.found.values())).where
    numbers = ", ".join(map(str, done.found))
    print(printable(f"version{'s' * (len(done.found) > 1)} {numbers} on {where}"))
    several = len(done.found) > 1
    rows = [
        (f"{n} {named(form)}" if several else named(form), m)
        for n, one in done.found.items() for form, m in one.models.items()
    ]  # fmt: skip
    _print(rows, next(iter(done.found.values())).base)
    for line in sentences(done.cards, done.found):
        note(line)
    print(printable(f"Written: {done.page}"))


def _versions(folder: Path, asked: str | None) -> list[int] | None:
    """The numbers that were asked for; None: the one in use. Raises UserError."""
    from nas.deploy.folder import version_folder, versions_in

    if asked is None:
        return None
    if asked == "all":
        return versions_in(folder) or [int(version_folder(folder).name)]
    words = [word.strip() for word in asked.split(",")]
    if not all(word.isascii() and word.isdigit() and len(word) < 10 for word in words):
        raise UserError(f"--version must be numbers, e.g. 1,2, or all; got {asked[:80]!r}")
    return [int(word) for word in words]


def _print(rows: Sequence[tuple[str, VerifiedModel]], base: str) -> None:
    """Accuracies, of a detector also AP50 and what its boxes take, then costs: tables of at most 80 columns."""
    from nas.deploy.detected import by_size
    from nas.deploy.verified_page import points
    from nas.run.average_precision import SIZES

    accuracies = [
        (name, percent(m.accuracy.value), f"{100 * m.accuracy.low:.1f} to {100 * m.accuracy.high:.1f}",
         points(m.less_fp32), figure(m.megabytes), m.verdict)
        for name, m in rows
    ]  # fmt: skip
    detects = any(m.at_50 is not None for _, m in rows)
    heads = ["", "mAP" if detects else "accuracy", "95% interval", f"less {base}, points", "file MB", "budgets"]
    print_table(heads, accuracies, right=["file MB"])
    if detects:
        boxes = [
            (name, percent(found.value), f"{100 * found.low:.1f} to {100 * found.high:.1f}", points(m.at_50_less_fp32),
             figure(m.measured.boxes_ms))
            for name, m in rows if (found := m.at_50)
        ]  # fmt: skip
        print_table(["", "AP50", "95% interval", f"less {base}, points", "boxes, ms"], boxes, right=["boxes, ms"])
        sized = by_size({name: m.detected for name, m in rows if m.detected})
        print_table(["", "AP75", *(f"mAP, {size}" for size in SIZES)], sized)
    energy = any(m.measured.energy_mj is not None for _, m in rows)
    costs = [
        (
            name, figure(t.p50_ms), figure(t.p90_ms), figure(t.p99_ms), figure(t.cpu_ms), _relative(m),
            figure(m.predicted.latency_ms if m.predicted else None), figure(t.first_ms), figure(t.memory_mb),
            *[figure(t.energy_mj)] * energy,
        )
        for name, m in rows for t in (m.measured,)
    ]  # fmt: skip
    heads = ["", "p50 ms", "p90", "p99", "CPU", "of fp32", "predicted", "first", "MB", *["mJ"] * energy]
    print_table(heads, costs, right=[head for head in heads if head])


def _relative(model: VerifiedModel) -> str:
    return "-" if model.relative is None else f"{model.relative[0]:.2f}"
