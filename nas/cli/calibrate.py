"""nas calibrate: a new version for what the camera sees now."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nas.cli.amounts import drop
from nas.cli.output import Quiet, hushed, note, print_json
from nas.errors import UserError
from nas.files.plain import printable


def calibrate(
    folder: Annotated[Path, typer.Argument(help="The deployment folder, with what serve.pyz noted in it.")],
    labels: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The labels.csv that was asked for, filled in.")
    ] = None,
    ssh: Annotated[str | None, typer.Option(metavar="USER@HOST", help="Fetch state and log of this board.")] = None,
    there: Annotated[
        str | None, typer.Option(metavar="PATH", help="With --ssh: the folder on the board (default: FOLDER's name).")
    ] = None,
    frames: Annotated[
        bool, typer.Option("--frames", help="With --ssh: fetch the frames too that were kept there by --keep.")
    ] = False,
    images: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Pictures of what is seen now, in the place of kept frames.")
    ] = None,
    unlabelled: Annotated[bool, typer.Option("--unlabelled", help="Learn without asking for labels.")] = False,
    model: Annotated[
        Path | None, typer.Option(metavar="DIR", help="The trained model of the version (default: found in its run).")
    ] = None,
    max_loss: Annotated[
        str, typer.Option(metavar="PERCENT", help="Largest loss on the old test images, in points.")
    ] = "1%",
    epochs: Annotated[int, typer.Option(min=1, help="Epochs of the training.")] = 5,
    ask: Annotated[int, typer.Option(min=20, help="Pictures that labels are asked for.")] = 200,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and write nothing.")] = False,
    quiet: Quiet = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Make a version that does better on what the camera sees now, where an alarm says that this is needed.

    First labels are asked for: the pictures that the network is least certain of, with a file to fill in. Then it
    learns from them, from pictures of its training, and from such pictures changed as the drift changes them. The new
    version is written where it loses no more than --max-loss on the old test images and is better on the new ones; the
    one in use stays in use until nas switch. If it is stopped, the same command goes on.

    Example: nas calibrate flowers

    Example: nas calibrate flowers --labels flowers/monitor/labels/labels.csv
    """
    from nas.cli.train import training_bar
    from nas.monitor.calibrate import Calibration
    from nas.monitor.calibrate import calibrate as run
    from nas.profiling.boards.local import Stopped

    if frames and ssh is None:
        raise UserError("--frames fetches frames from a board: give --ssh, or --images for a folder here")
    if there is not None and ssh is None:
        raise UserError("--there is the folder on a board: give --ssh")
    most = drop(max_loss, "--max-loss")
    asked = Calibration(
        folder, labels, images, model, 0.01 if most is None else most, epochs, ask, unlabelled, dry_run
    )  # fmt: skip
    if ssh is not None:
        from nas.monitor.fetch import fetch

        fetch(ssh, there or folder.absolute().name, folder, frames=frames)
    try:
        with hushed(), training_bar() as show:
            done = run(asked, tell=note, on_training=show)
    except Stopped as stopped:
        raise typer.Exit(stopped.status) from None
    if as_json:
        found = done.verification
        print_json({
            "version": done.version, "asked": None if done.asked is None else str(done.asked),
            "verified": [] if found is None else found.lines,
        })  # fmt: skip
    elif done.version is not None:
        print(printable(f"Written: version {done.version}; put it into use: nas switch {folder} --to {done.version}"))
    elif done.asked is not None:
        print(printable(f"Fill in the last column of {done.asked}, then: nas calibrate {folder} --labels {done.asked}"))
