"""nas profile: a device profile of this machine, measured."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from nas.cli.amounts import precisions
from nas.cli.output import clock, percent
from nas.errors import UserError


def profile(
    space: Annotated[str, typer.Option(help="The search space whose blocks are measured.")] = "tiny",
    precision: Annotated[str, typer.Option(help="fp32, int8, or both with a comma between.")] = "fp32,int8",
    threads: Annotated[int, typer.Option(min=1, help="Threads that ONNX Runtime computes with.")] = 1,
    resolution: Annotated[int | None, typer.Option(help="One of the space's resolutions alone (default: all).")] = None,
    name: Annotated[str, typer.Option(help="The profile's name.")] = "this-machine",
    out: Annotated[
        Path | None, typer.Option(help="The profile's folder (default: among your own, by its name).")
    ] = None,
    seed: Annotated[int, typer.Option(help="Draws the order and the whole networks.")] = 0,
) -> None:
    """Measure the blocks of a space on this machine through ONNX Runtime, and write a device profile.

    Every block is timed (warm-up, at least 30 runs, median and p90), then whole networks that calibrate the sum of
    their blocks, and others that only check it: their error is printed. Stop it at any time; the same command goes
    on. Leave the machine alone meanwhile.

    Example: nas profile --space mobilenet-v3 --resolution 160 --precision int8 --threads 2
    """
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    from nas.catalog import home
    from nas.device.profile import write_profile
    from nas.profiling.machine import about_machine
    from nas.profiling.space_profile import make_plan, measure
    from nas.space.search_space import load_space

    folder = out or home() / "device_profiles" / name
    if folder.exists() and not folder.is_dir():
        raise UserError(f"{folder} exists and is no folder; choose another by --out")
    searched = load_space(space)
    wanted = precisions(precision) or []
    plan = make_plan(searched, wanted, resolution, seed)
    blocks = sum(not item.whole for item in plan.items)
    print(
        f"{blocks} blocks and {len(plan.items) - blocks} whole networks, about {clock(plan.seconds)}", file=sys.stderr
    )
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"cannot write {folder}: {error.strerror or error}") from None
    console = Console(stderr=True)
    columns = (BarColumn(20), MofNCompleteColumn(), TextColumn("{task.description}"))
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task("measuring", total=None)

        def show(done: int, total: int, left: float) -> None:
            bar.update(task, completed=done, total=total, description=f"{clock(left)} left")

        found = measure(plan, folder, threads, seed, show)
    about = about_machine(folder.name, searched, found, resolution)
    write_profile(folder, about, lookup_table=found.blocks, validation=found.validation, errors=found.errors)
    for e in found.errors:
        print(
            f"{e.precision}: mean error {percent(e.mean)} on {e.networks} networks held out "
            f"(a constant: {percent(e.constant)}, MACs: {percent(e.macs)}), Spearman {e.spearman:.3f}"
        )
    print(f"{folder}: search with --device {folder.name if out is None else folder}")
