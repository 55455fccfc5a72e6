"""nas pick: one network of a run's front."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from nas.cli.amounts import amount, share
from nas.cli.output import Quiet, print_json
from nas.errors import UserError
from nas.numbers import count, figure, percent

MaxLatency = Annotated[str | None, typer.Option(metavar="TIME", help="Such as 20ms.")]
MaxEnergy = Annotated[str | None, typer.Option(metavar="ENERGY", help="Such as 60mJ.")]
MaxSize = Annotated[str | None, typer.Option(metavar="BYTES", help="Of the weights, such as 4MB.")]
MaxMemory = Annotated[str | None, typer.Option(metavar="BYTES", help="Peak of the activations, such as 2MB.")]


def budgets(latency: str | None, energy: str | None, size: str | None, memory: str | None) -> dict[str, float]:
    """The budgets that were given, by their names in a run's settings: ms, mJ and 10^6 bytes."""
    given = {
        "max_latency_ms": amount(latency, "ms", "--max-latency"),
        "max_energy_mj": amount(energy, "mJ", "--max-energy"),
        "max_size_mb": amount(size, "MB", "--max-size"),
        "max_memory_mb": amount(memory, "MB", "--max-memory"),
    }
    return {name: value for name, value in given.items() if value is not None}


def pick(
    run: Annotated[Path, typer.Argument(help="The run's folder.")],
    max_latency: MaxLatency = None,
    max_energy: MaxEnergy = None,
    max_size: MaxSize = None,
    max_memory: MaxMemory = None,
    min_accuracy: Annotated[
        str | None, typer.Option(metavar="PERCENT", help="The cheapest that reaches it, such as 95%.")
    ] = None,
    knee: Annotated[bool, typer.Option("--knee", help="The point of the front after which gains shrink.")] = False,
    trial: Annotated[int | None, typer.Option(help="This trial.")] = None,
    remeasure: Annotated[
        bool, typer.Option("--remeasure", help="First measure the front on the run's device: this machine, or --ssh.")
    ] = False,
    ssh: Annotated[str | None, typer.Option(metavar="USER@HOST", help="Measure on that board.")] = None,
    python: Annotated[str, typer.Option(help="With --ssh: Python on the board, as venv/bin/python.")] = "python3",
    threads: Annotated[
        int | None, typer.Option(min=1, help="Threads that the runtime computes with (default: as the profile).")
    ] = None,
    meter: Annotated[str, typer.Option(help="Energy meter: rapl, ina3221, nvml, none.")] = "none",
    quiet: Quiet = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Pick the most accurate network of a run under budgets, or its knee, and say how to rebuild it.

    With --remeasure the networks of the front are timed whole on the device that the run was searched for: this
    machine, or a board over ssh; any other machine is refused. Predicted and measured are then shown side by side,
    and what was measured counts: one that breaks a budget loses its place.

    Example: nas pick runs/tiny-raspberry-pi-4-1 --max-latency 3ms --max-energy 20mJ

    Example: nas pick runs/tiny-my-board-1 --max-latency 3ms --remeasure --ssh pi@raspberrypi
    """
    from nas import report
    from nas.report.pick import check_limits
    from nas.report.words import basis_of, build_command
    from nas.run import BUDGETS, load_run, row_of

    limits = budgets(max_latency, max_energy, max_size, max_memory)
    least = share(min_accuracy, "--min-accuracy")
    found = load_run(run)
    if not remeasure and (ssh or (python, threads, meter) != ("python3", None, "none")):
        raise UserError("--ssh, --python, --threads and --meter say how to measure: they need --remeasure")
    if remeasure:
        from nas.cli.remeasure import remeasure_front

        check_limits(
            found, {BUDGETS[name].column: limit for name, limit in limits.items()}, least, knee, trial
        )  # before minutes of work
        found = remeasure_front(found, ssh, python, threads, meter, show=not as_json)
    chosen = report.pick(found, **limits, min_accuracy=least, knee=knee, trial=trial)
    command = build_command(found, chosen)
    measured = found.measured.get(chosen.trial)
    if as_json:
        predicted = next(t for t in found.trials if t.trial == chosen.trial)
        print_json(row_of(predicted) | {
            "candidate": chosen.candidate.as_dict(), "build": command,
            "measured": None if measured is None else asdict(measured),
        })  # fmt: skip
        return
    costs = chosen.costs
    energy = f", {figure(costs.energy_mj)} mJ" if costs.energy_mj is not None else ""
    print(
        f"trial {chosen.trial}: {percent(chosen.accuracy)} at {figure(costs.latency_ms)} ms{energy} "
        f"({basis_of(costs)})\n"
        f"deployed: {chosen.candidate.precision}, {figure(costs.size_mb)} MB, {count(costs.macs)} MACs\n"
        f"network: {report.summary(chosen.candidate)}  (all of it: --json)\n"
        f"rebuild it: {command}"
    )
