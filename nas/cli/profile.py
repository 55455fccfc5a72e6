"""nas profile: a device profile, measured here, over ssh, or by copying a bundle to the board."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nas.cli import completion, profile_vela
from nas.cli.amounts import precisions
from nas.cli.output import Quiet, hushed, note, stderr_console
from nas.cli.own_profile import own_folder
from nas.numbers import clock, percent

if TYPE_CHECKING:
    from nas.profiling.plan.bundle import Progress
    from nas.profiling.plan.plan import Plan
    from nas.profiling.results.results import Results

Space = Annotated[
    str, typer.Option(help="The search space whose blocks are measured.", autocompletion=completion.spaces)
]
Precisions = Annotated[str, typer.Option("--precision", help="Some of fp32, fp16, int8, separated by commas.")]
Runtime = Annotated[str, typer.Option(help="onnxruntime, or litert (TFLite models).")]
Resolution = Annotated[int | None, typer.Option(help="Measure only this resolution of the space (default: all).")]
Seed = Annotated[int, typer.Option(min=0, help="Random seed of the order and of the whole networks.")]
Quick = Annotated[
    bool, typer.Option("--quick", help="Measure only ten networks, and adapt the profiles of known devices to them.")
]
Networks = Annotated[
    int | None,
    typer.Option(min=1, help="Measure this many whole networks and no blocks, for nas devices validate."),
]
Rounds = Annotated[
    int | None,
    typer.Option(min=1, max=1000, help="Most measurements of a block, a third of those of a network (default: 6)."),
]
Noisy = Annotated[bool, typer.Option("--noisy", help="Accept a machine whose speed varied too much.")]
Power = Annotated[
    Path | None, typer.Option(help="Power trace of an external meter: CSV, PowerTOP's reports or tegrastats' lines.")
]
PowerUnit = Annotated[
    str | None, typer.Option(metavar="UNIT", help="Unit of --power where the file does not name it: mW; or mV,mA.")
]

app = typer.Typer(
    help="Measure a device profile of this machine, of a board over ssh, or with a bundle copied to the board.\n\n"
    "Blocks are timed one by one, then whole networks that calibrate their sum; the error on held-out networks "
    "is printed. Stop it at any time; the same command continues. Keep the machine idle meanwhile.\n\n"
    "Example: nas profile --space mobilenet-v3 --resolution 160 --name my-laptop\n\n"
    "Over ssh: nas profile --ssh pi@raspberrypi --space tiny --name my-board\n\n"
    "By hand: nas profile pack --out bundle.zip; on the board python3 agent.pyz; nas profile build results.json\n\n"
    "Without a board, an Arm Ethos-U: nas profile vela --config ethos-u55-128 --space mobilenet-v2",
    invoke_without_command=True,
)


@app.callback()
def profile(
    context: typer.Context,
    space: Space = "tiny",
    precision: Precisions = "fp32,int8",
    runtime: Runtime = "onnxruntime",
    resolution: Resolution = None,
    threads: Annotated[int, typer.Option(min=1, help="Threads of the runtime.")] = 1,
    cpus: Annotated[str | None, typer.Option(help="CPU cores to run on, e.g. 0,1.")] = None,
    meter: Annotated[str, typer.Option(help="Energy meter: rapl, ina3221, nvml, external, none.")] = "none",
    ssh: Annotated[str | None, typer.Option(metavar="USER@HOST", help="Measure this board, over ssh.")] = None,
    python: Annotated[str, typer.Option(help="With --ssh: Python on the board, e.g. venv/bin/python.")] = "python3",
    quick: Quick = False,
    networks: Networks = None,
    name: Annotated[str, typer.Option(help="The profile's name.")] = "this-machine",
    out: Annotated[Path | None, typer.Option(help="The profile's folder (default: among your own profiles).")] = None,
    power: Power = None,
    power_unit: PowerUnit = None,
    noisy: Noisy = False,
    rounds: Rounds = None,
    seed: Seed = 0,
    quiet: Quiet = False,
) -> None:
    if context.invoked_subcommand:
        return
    from nas.errors import UserError
    from nas.profiling.boards.local import RESULTS, Stopped, clean
    from nas.profiling.energy.trace_columns import power_units
    from nas.profiling.measure import measure
    from nas.profiling.plan.request import plan_for

    folder, units = own_folder(name, out), power_units(power_unit)
    if power is not None and meter != "external":
        raise UserError(f"--power {power}: the agent must know that a meter runs beside it: add --meter external")
    plan = plan_for(
        space, precisions(precision) or [], runtime=runtime, resolution=resolution, seed=seed, quick=quick,
        networks=networks, rounds=rounds,
    )  # fmt: skip
    _announce(plan)
    try:
        with hushed():
            results = measure(
                plan, folder, threads=threads, cpus=cpus, meter=meter, ssh=ssh, python=python,
                progress=packing(len(plan.items)),
            )  # fmt: skip
    except Stopped as stopped:
        raise typer.Exit(stopped.status) from None
    if networks is None:
        _build(results, folder, power, units, noisy)
    else:
        print(f"{folder / RESULTS}: compare with nas devices validate NAME --against {folder / RESULTS}")
    clean(folder)


@app.command(short_help="Make a bundle to copy to a board.")
def pack(
    out: Annotated[Path, typer.Option(help="The bundle: a new folder, or a file that ends in .zip.")],
    space: Space = "tiny",
    precision: Precisions = "fp32,int8",
    runtime: Runtime = "onnxruntime",
    resolution: Resolution = None,
    quick: Quick = False,
    networks: Networks = None,
    rounds: Rounds = None,
    seed: Seed = 0,
    quiet: Quiet = False,
) -> None:
    """Make a bundle for a board: the models, the plan and the agent, agent.pyz.

    The board needs Python 3.8 or later with NumPy and ONNX Runtime; with --runtime litert, LiteRT (pip install
    ai-edge-litert, here too).

    Example: nas profile pack --space tiny --precision fp32,int8 --out bundle.zip
    """
    from nas.profiling.plan.bundle import write_bundle
    from nas.profiling.plan.request import plan_for

    plan = plan_for(
        space, precisions(precision) or [], runtime=runtime, resolution=resolution, seed=seed, quick=quick,
        networks=networks, rounds=rounds,
    )  # fmt: skip
    _announce(plan)
    write_bundle(plan, out, packing(len(plan.items)))
    print(f"{out}: {out.stat().st_size / 1e6:.0f} MB" if out.is_file() else f"{out}: copy this folder to the board")
    note("On the board: unzip it, then python3 agent.pyz; here: nas profile build results.json --name my-board")


@app.command(short_help="Make a profile from a board's results.json.")
def build(
    results: Annotated[Path, typer.Argument(help="The results.json that the agent wrote.")],
    name: Annotated[str, typer.Option(help="The profile's name.")] = "my-board",
    out: Annotated[Path | None, typer.Option(help="The profile's folder (default: among your own profiles).")] = None,
    power: Power = None,
    power_unit: PowerUnit = None,
    noisy: Noisy = False,
    quiet: Quiet = False,
) -> None:
    """Make a device profile from what the agent measured on a board.

    Example: nas profile build results.json --name my-board --power meter.csv

    Example: nas profile build results.json --name my-laptop --power powertop.csv
    """
    from nas.profiling.energy.trace_columns import power_units
    from nas.profiling.results.results import read_results

    units = power_units(power_unit)
    _build(read_results(results), own_folder(name, out), power, units, noisy)


app.command("vela", short_help="Estimate an Ethos-U by its compiler, without a board.")(profile_vela.vela)


def _announce(plan: Plan) -> None:
    blocks = sum(item.kind == "block" for item in plan.items)
    whole = sum(item.kind in ("calibrate", "check") for item in plan.items)
    note(f"{blocks} blocks and {whole} whole networks, about {clock(plan.seconds)}")


def packing(total: int) -> Progress:
    """A progress bar for writing so many models."""
    from rich.progress import track

    console = stderr_console()
    steps = iter(track(range(total), "writing models", console=console, disable=not console.is_terminal))

    def show(done: int, total: int) -> None:
        next(steps, None)

    return show


def _build(results: Results, folder: Path, power: Path | None, units: Mapping[str, float], noisy: bool) -> None:
    from nas.catalog import home
    from nas.profiling.build.profile import build_profile

    built = build_profile(results, folder, power, units=units, noisy=noisy)
    lacking = set(results.plan.precisions) - set(results.precisions)
    if built.lost:
        note(f"{len(built.lost)} energy windows could not be read; the first: {built.lost[0]}")
    if lacking:
        note(f"{', '.join(sorted(lacking))}: this runtime does not have it")
    for e in built.errors:
        unit = "" if e.quantity == "latency" else "energy, "
        print(
            f"{e.precision}: {unit}mean error {percent(e.mean)} on {e.networks} networks, a fifth held out at a time "
            f"(a constant: {percent(e.constant)}, MACs: {percent(e.macs)}), Spearman {e.spearman:.3f}"
        )
    if built.agreement:
        print(built.agreement)
    own = folder == home() / "device_profiles" / folder.name
    print(f"{folder}: search with --device {folder.name if own else folder}")
