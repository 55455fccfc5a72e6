"""nas deploy: from a run to a folder that runs on a board."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nas.cli.amounts import drop, precisions, runtimes
from nas.cli.output import Interrupted, Quiet, hushed, note, print_json
from nas.cli.pick import check_pick, picked
from nas.cli.source import DatasetName, Model, Pick
from nas.errors import UserError
from nas.files.plain import printable

if TYPE_CHECKING:
    from nas.deploy.job import Job
    from nas.deploy.train import TrainingOptions
    from nas.runtimes.runtime import RuntimeName
    from nas.space.layer import Precision


def deploy(
    model: Model,
    out: Annotated[Path, typer.Option(help="The deployment folder: a new one, or one to add a version to.")],
    pick: Pick = None,
    precision: Annotated[
        str | None,
        typer.Option(help="fp32, fp16, int8: the first is used (default: the trial's); fp32 is always beside it."),
    ] = None,
    runtime: Annotated[
        str, typer.Option(help="Runtimes: onnxruntime, litert; of several the first is used.")
    ] = "onnxruntime",
    max_drop: Annotated[
        str | None, typer.Option(metavar="PERCENT", help="Largest loss of accuracy in points, e.g. 1%.")
    ] = None,
    no_train: Annotated[
        bool, typer.Option("--no-train", help="Deploy the weights that are there, e.g. of the short training.")
    ] = False,
    epochs: Annotated[
        int | None, typer.Option(min=1, help="Epochs of the training (default: as many as fit into --time).")
    ] = None,
    time: Annotated[
        str | None, typer.Option(help="Time that the training may take, e.g. 90s, 10m or 2h (default: 6m).")
    ] = None,
    teacher: Annotated[str, typer.Option(metavar="TEACHER", help="Teacher of the training, as nas train.")] = "none",
    device: Annotated[str | None, typer.Option(help="Of a model's folder: the device profile to predict by.")] = None,
    dataset: DatasetName = None,
    data_licence: Annotated[
        str,
        typer.Option(metavar="TEXT", help="Licence of the dataset, for the card (default: what its folder names)."),
    ] = "",
    quiet: Quiet = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Make a folder that runs a network on a board, with NumPy, Pillow and a runtime alone.

    The network is trained in full, exported, run on its validation and test images, and timed here; the folder has the
    model files, a program, and a card that says all of it. A network that nas train has trained is taken as it is; else
    the training takes six minutes at most, unless --epochs or --time give it more: what that means is said before it
    begins. With --max-drop a loss that is larger is not accepted: see
    nas compress. Stop it at any time: the same command goes on. A folder that is there gets another version, and its
    older ones stay.

    Example: nas deploy runs/tiny-raspberry-pi-4-1 --pick 17 --precision int8 --max-drop 1% --out flowers

    Then, on the board: python flowers/run.py image.jpg
    """
    from nas.cli.train import training_bar
    from nas.deploy.folder import check_folder
    from nas.deploy.job import USUAL
    from nas.deploy.job import deploy as make
    from nas.deploy.train import TrainingOptions
    from nas.monitor.watched import watch_version
    from nas.profiling.boards.local import Stopped
    from nas.search.plan import minutes_of

    chosen, most = tuple(precisions(precision) or ()), drop(max_drop, "--max-drop")
    check_folder(out)
    given = TrainingOptions(epochs=epochs, minutes=0.0 if time is None else minutes_of(time), teacher=teacher)
    asked = given != TrainingOptions()
    if no_train and asked:
        raise UserError("--epochs, --time and --teacher are of the training: leave out --no-train")
    training = replace(given, minutes=USUAL.minutes) if epochs is None and time is None else given
    job = _job(
        model, pick, chosen, runtimes(runtime), None if no_train else training, most, device, dataset, asked=asked
    )
    job = replace(job, licence=data_licence.strip())
    try:
        with hushed(), training_bar() as show:
            place = make(job, out, tell=note, on_training=show, watched=watch_version)
    except Stopped as stopped:
        raise typer.Exit(stopped.status) from None
    except Interrupted as stop:  # of the training or of any other step
        raise Interrupted(f"{str(stop).partition(';')[0]}; the same command goes on") from None
    if as_json:
        from nas.deploy.card import read_card

        print_json({"folder": str(place)} | read_card(place).model_dump())
    else:
        print(printable(f"Written: {place}; try: python {out / 'run.py'} image.jpg"))


def _job(
    model: Path, pick: str | None, chosen: tuple[Precision, ...], named: tuple[RuntimeName, ...],
    training: TrainingOptions | None, most: float | None, device: str | None, dataset: str | None, *, asked: bool,
) -> Job:  # fmt: skip
    """The job of a run's trial, or of a model's folder, which is deployed as it is. Raises UserError."""
    from nas.deploy.job import Job, job_of_run
    from nas.device.profile import load_device
    from nas.run import load_run

    check_pick(pick)
    if not (model / "model.json").is_file():
        if device is not None or dataset is not None:
            raise UserError(f"{model} is not a model's folder: --device and --dataset are those of the run")
        run = load_run(model)
        if pick is None:
            raise UserError(f"{model} is a run of many networks: say which with --pick")
        return job_of_run(
            model, picked(run, pick, {}).trial.trial, chosen, training=training, most=most, runtimes=named
        )
    if pick is not None or asked:
        raise UserError(f"{model} is a trained model: leave out --pick, --epochs, --time and --teacher")
    if device is not None:
        load_device(device)
    return Job(model, None, chosen, None, most, device or "", {}, dataset, runtimes=named)
