"""nas pick: one network of a run's front."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nas.cli.amounts import amount, share
from nas.cli.output import Quiet, note, print_json
from nas.errors import UserError
from nas.files.plain import printable

if TYPE_CHECKING:
    from nas.report.pick import Choice
    from nas.run import Run

MaxLatency = Annotated[str | None, typer.Option(metavar="TIME", help="Latency budget, e.g. 20ms.")]
MaxEnergy = Annotated[str | None, typer.Option(metavar="ENERGY", help="Energy budget, e.g. 60mJ.")]
MaxSize = Annotated[str | None, typer.Option(metavar="BYTES", help="Budget for the weights, e.g. 4MB.")]
MaxMemory = Annotated[str | None, typer.Option(metavar="BYTES", help="Budget for peak activations, e.g. 2MB.")]

Greedy = Annotated[
    bool,
    typer.Option(
        "--greedy",
        help="Take the most accurate itself, not the cheapest of those that cannot be told from it.",
    ),
]


def budgets(latency: str | None, energy: str | None, size: str | None, memory: str | None) -> dict[str, float]:
    """The budgets that were given, by their names in a run's settings: ms, mJ and 10^6 bytes."""
    given = {
        "max_latency_ms": amount(latency, "ms", "--max-latency"),
        "max_energy_mj": amount(energy, "mJ", "--max-energy"),
        "max_size_mb": amount(size, "MB", "--max-size"),
        "max_memory_mb": amount(memory, "MB", "--max-memory"),
    }
    return {name: value for name, value in given.items() if value is not None}


def check_pick(which: str | None) -> None:
    """Raises UserError unless a --pick is a trial's number or knee."""
    if which not in (None, "knee") and not re.fullmatch(r"[0-9]{1,9}", which or ""):
        raise UserError(f"--pick must be a trial's number or knee; got {(which or '')[:80]!r}")


def picked(run: Run, which: str | None, limits: Mapping[str, float], *, greedy: bool = False) -> Choice:
    """The network that a --pick names, or else the best within the limits; what it ties with is noted.

    Raises UserError.
    """
    from nas.report.pick import choose
    from nas.report.words import ties_text

    number = None if which in (None, "knee") else int(which or "")
    found = choose(run, limits, knee=which == "knee", trial=number, greedy=greedy)
    if said := ties_text(run, found.ties):
        note(said)
    return found


def pick(
    run: Annotated[Path, typer.Argument(help="The run's folder.")],
    max_latency: MaxLatency = None,
    max_energy: MaxEnergy = None,
    max_size: MaxSize = None,
    max_memory: MaxMemory = None,
    min_accuracy: Annotated[
        str | None,
        typer.Option(metavar="PERCENT", help="Pick the fastest with at least this accuracy, e.g. 95%."),
    ] = None,
    min_robust_accuracy: Annotated[
        str | None,
        typer.Option(metavar="PERCENT", help="Only networks with at least this accuracy on corrupted images."),
    ] = None,
    greedy: Greedy = False,
    knee: Annotated[bool, typer.Option("--knee", help="Pick the knee of the front: beyond it, gains shrink.")] = False,
    trial: Annotated[int | None, typer.Option(help="Pick the trial with this number.")] = None,
    remeasure: Annotated[
        bool, typer.Option("--remeasure", help="First measure the front on the run's device.")
    ] = False,
    ssh: Annotated[str | None, typer.Option(metavar="USER@HOST", help="Measure on this board, over ssh.")] = None,
    python: Annotated[str, typer.Option(help="With --ssh: Python on the board, e.g. venv/bin/python.")] = "python3",
    threads: Annotated[int | None, typer.Option(min=1, help="Threads of the runtime (default: the profile's).")] = None,
    meter: Annotated[str, typer.Option(help="Energy meter: rapl, ina3221, nvml, none.")] = "none",
    quiet: Quiet = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Pick the most accurate network of a run within budgets, or its knee, and show how to rebuild it.

    Where the accuracies of networks differ by no more than the error of the difference, the cheapest of those that
    cannot be told from the most accurate is picked, or, where the search had a guide, the best by its scores and
    accuracy together.

    With --remeasure the networks of the front are measured on the device that the run was searched for: this
    machine, or a board over ssh; any other machine is refused. Predictions and measurements are shown side by side,
    and the measurements count: a network that exceeds a budget when measured is not picked.

    Example: nas pick runs/tiny-raspberry-pi-4-1 --max-latency 3ms --max-energy 20mJ

    Example: nas pick runs/tiny-my-board-1 --max-latency 3ms --remeasure --ssh pi@raspberrypi
    """
    from nas.report.pick import check_limits, choose
    from nas.report.words import pick_json, pick_text
    from nas.run import load_run

    limits = budgets(max_latency, max_energy, max_size, max_memory)
    least = share(min_accuracy, "--min-accuracy")
    robust = share(min_robust_accuracy, "--min-robust-accuracy")
    if not remeasure and (ssh or (python, threads, meter) != ("python3", None, "none")):
        raise UserError("--ssh, --python, --threads and --meter say how to measure: they need --remeasure")
    found = load_run(run)
    if remeasure:
        from nas.cli.remeasure import remeasure_front

        check_limits(found, limits, least, knee, trial, robust, greedy)  # before minutes of work
        found = remeasure_front(found, ssh, python, threads, meter, show=not as_json)
    chosen = choose(found, limits, least, robust, knee=knee, trial=trial, greedy=greedy)
    if as_json:
        print_json(pick_json(found, chosen.trial, chosen.ties))
    else:
        print(printable(pick_text(found, chosen.trial, chosen.ties)))
