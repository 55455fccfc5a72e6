"""nas deploy: from a run to a folder that runs on a board."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nas.cli.amounts import precisions
from nas.cli.output import Quiet, hushed, note, print_json
from nas.errors import UserError
from nas.files.plain import printable


def deploy(
    run: Annotated[Path, typer.Argument(help="The run's folder.")],
    out: Annotated[Path, typer.Option(help="The deployment folder: a new one, or one to add a version to.")],
    which: Annotated[str, typer.Option("--pick", metavar="TRIAL|knee", help="A trial's number, or knee.")] = "knee",
    precision: Annotated[
        str | None,
        typer.Option(
            help="fp32, int8: the first is the one that is used (default: the trial's); fp32 is always added."
        ),
    ] = None,
    no_train: Annotated[
        bool, typer.Option("--no-train", help="Deploy the weights of the search's short training.")
    ] = False,
    quiet: Quiet = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Make a folder that classifies pictures on a board, with NumPy, Pillow and ONNX Runtime alone.

    The network is exported, run on its validation and test images, and timed here; the folder has the model files, a
    program, and a card that says all of it. Stop it at any time: the same command goes on. A folder that is there gets
    another version, and its older ones stay.

    Example: nas deploy runs/tiny-raspberry-pi-4-1 --pick 17 --precision int8 --no-train --out flowers

    Then, on the board: python flowers/run.py image.jpg
    """
    from nas.deploy.folder import check_folder
    from nas.deploy.job import Job
    from nas.deploy.job import deploy as make
    from nas.profiling.boards.local import Stopped
    from nas.report.pick import choose
    from nas.run import load_run

    if which != "knee" and not which.isdecimal():
        raise UserError(f"--pick must be a trial's number or knee; got {which[:80]!r}")
    chosen = precisions(precision)
    check_folder(out)
    found = load_run(run)
    trial = choose(found, {}, knee=which == "knee", trial=None if which == "knee" else int(which)).trial
    job = Job(found, trial, tuple(chosen or [trial.candidate.precision]), train=not no_train)
    try:
        with hushed():
            place = make(job, out, tell=note)
    except Stopped as stopped:
        raise typer.Exit(stopped.status) from None
    if as_json:
        from nas.deploy.card import read_card

        print_json({"folder": str(place)} | read_card(place).model_dump())
    else:
        print(printable(f"Written: {place}; try: python {out / 'run.py'} image.jpg"))
