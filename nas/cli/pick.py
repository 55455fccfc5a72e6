"""nas pick: one network of a run's front."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nas.cli.amounts import amount, share
from nas.cli.output import count, figure, percent, print_json

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
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Pick the most accurate network of a run under budgets, or its knee, and say how to rebuild it.

    Example: nas pick runs/tiny-raspberry-pi-4-1 --max-latency 3ms --max-energy 20mJ
    """
    from nas import report
    from nas.run import load_run, row_of

    limits = budgets(max_latency, max_energy, max_size, max_memory)
    chosen = report.pick(
        load_run(run), **limits, min_accuracy=share(min_accuracy, "--min-accuracy"), knee=knee, trial=trial
    )
    command = f"nas build {run} --pick {chosen.trial} --onnx trial-{chosen.trial}.onnx"
    if as_json:
        print_json(row_of(chosen) | {"candidate": chosen.candidate.as_dict(), "build": command})
        return
    costs = chosen.costs
    energy = f", {figure(costs.energy_mj)} mJ" if costs.energy_mj is not None else ""
    print(
        f"trial {chosen.trial}: {percent(chosen.accuracy)} at {figure(costs.latency_ms)} ms{energy} ({costs.basis}), "
        f"{chosen.candidate.precision}, {figure(costs.size_mb)} MB, {count(costs.macs)} MACs\n"
        f"network: {report.summary(chosen.candidate)}  (all of it: --json)\n"
        f"rebuild it: {command}"
    )
