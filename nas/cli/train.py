"""nas train: a network of a run, trained in full."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nas.cli.output import Interrupted, Quiet, note, print_json, stderr_console
from nas.cli.pick import Greedy, MaxEnergy, MaxLatency, MaxMemory, MaxSize, budgets, check_pick, picked
from nas.errors import unknown
from nas.files.plain import printable
from nas.numbers import clock, duration, percent
from nas.space.hyperparameters import AUGMENTATIONS

if TYPE_CHECKING:
    from nas.train.resumption import FullProgress, OnFullProgress


def train(
    run: Annotated[Path, typer.Argument(help="The run's folder.")],
    which: Annotated[
        str | None, typer.Option("--pick", metavar="TRIAL|knee", help="A trial's number, or knee.")
    ] = None,
    max_latency: MaxLatency = None,
    max_energy: MaxEnergy = None,
    max_size: MaxSize = None,
    max_memory: MaxMemory = None,
    greedy: Greedy = False,
    epochs: Annotated[
        int | None, typer.Option(min=1, help="Epochs (default: by the number of images, 20 to 300).")
    ] = None,
    time: Annotated[
        str | None,
        typer.Option(
            help="Time that the training may take, e.g. 90s, 10m or 2h: as many epochs as fit (default: all)."
        ),
    ] = None,
    teacher: Annotated[
        str,
        typer.Option(
            metavar="TEACHER",
            help="Learn from this network too: another trial's number, a model's folder, timm:NAME or PATH.onnx.",
        ),
    ] = "none",
    temperature: Annotated[float, typer.Option(help="With --teacher: the temperature of its soft targets.")] = 4.0,
    alpha: Annotated[
        float, typer.Option(help="With --teacher: the weight of its soft targets; the labels have the rest.")
    ] = 0.9,
    batch_size: Annotated[
        int | None, typer.Option(help="Images in a training step (default: the run's); the learning rate follows.")
    ] = None,
    learning_rate: Annotated[
        float | None, typer.Option(help="Peak of the learning rate (default: the candidate's).")
    ] = None,
    augmentation: Annotated[
        str | None,
        typer.Option(help="none, crop-flip or randaugment (default: the candidate's, or by the number of epochs)."),
    ] = None,
    mixup: Annotated[
        float | None, typer.Option(metavar="ALPHA", help="Blend images (default: 0.2 from 100 epochs on, else 0).")
    ] = None,
    balanced: Annotated[
        bool, typer.Option("--balanced", help="Give each class the same part in the loss, however rare it is.")
    ] = False,
    pretrained: Annotated[
        bool,
        typer.Option("--pretrained", help="Begin with timm's pretrained weights, where the network is one of timm's."),
    ] = False,
    crops: Annotated[
        int,
        typer.Option(
            min=0,
            metavar="EPOCHS",
            help="Of a detector: train its body first, as a classifier of what its boxes hold, for so many epochs.",
        ),
    ] = 0,
    seed: Annotated[int, typer.Option(min=0, help="Random seed; equal seeds give equal weights on one machine.")] = 0,
    gpus: Annotated[
        int | None, typer.Option(min=1, help="GPUs that share each batch (default: all there are).")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="The model's folder (default: RUN/trained/TRIAL).")] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Resume a stopped training with the options that it was begun with.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace another training in the folder.")] = False,
    quiet: Quiet = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Train a picked network of a run in full, from scratch, at its own resolution and with its hyperparameters.

    The folder holds the model, its learning curve (curve.csv) and its accuracies (result.json). The model is the
    average of the weights of the last steps; the test images are looked at once, at the end. If the training is
    stopped, the same command resumes it and ends with the same weights.

    Example: nas train runs/tiny-raspberry-pi-4-1 --pick 17

    Example: nas train runs/tiny-raspberry-pi-4-1 --pick knee --time 10m --teacher 31
    """
    from nas.deploy.train import TrainingOptions
    from nas.deploy.train import train as train_trial
    from nas.run import load_run
    from nas.search.plan import minutes_of
    from nas.train.full_folder import read_result

    check_pick(which)
    augmented = next((known for known in AUGMENTATIONS if known == augmentation), None)
    if augmentation is not None and augmented is None:
        raise unknown("augmentation", augmentation, AUGMENTATIONS)
    options = TrainingOptions(
        epochs=epochs, minutes=0.0 if time is None else minutes_of(time), teacher=teacher, batch_size=batch_size,
        learning_rate=learning_rate, augmentation=augmented, mixup=mixup, balanced=balanced, pretrained=pretrained,
        crops=crops,
        temperature=temperature, alpha=alpha, seed=seed, gpus=gpus,
    )  # fmt: skip
    found = load_run(run)
    limits = budgets(max_latency, max_energy, max_size, max_memory)
    choice = picked(found, which, limits, greedy=greedy)
    with training_bar() as show:
        folder, model = train_trial(
            found, pick=choice.trial, options=options, out=out, resume=resume, force=force, on_progress=show,
            on_plan=lambda plan: note(f"training: {plan.text}"), on_note=note,
        )  # fmt: skip
    result = read_result(folder)
    if as_json:
        print_json({"trial": choice.trial.trial, "folder": str(folder)} | result.model_dump(exclude={"format"}))
        return
    reached, of = result.accuracy[model.precision], "of" if model.task == "classification" else "mAP on"
    print(
        f"{printable(str(folder))}: trial {choice.trial.trial}, {result.epochs} epoch{'s' * (result.epochs > 1)} in "
        f"{duration(result.seconds)}; "
        f"{model.precision}: {percent(reached.test)} {of} {reached.test_images:,} test images, "
        f"{percent(reached.validation)} {of} {reached.validation_images:,} validation images"
    )


@contextmanager
def training_bar() -> Iterator[OnFullProgress]:
    """A bar on stderr with the epoch, its loss, the validation accuracy and the time left; lines without a terminal.

    An interrupted training says past Typer how it goes on.
    """
    from rich.progress import BarColumn, Progress, TextColumn

    console = stderr_console()
    columns = (BarColumn(14), TextColumn("{task.description}"))
    told = 0
    try:
        with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
            task = progress.add_task("loading", total=None)

            def show(p: FullProgress) -> None:
                nonlocal told
                ended = p.step * p.epochs // p.steps  # epochs
                if not console.is_terminal and ended in (0, told):
                    told = ended  # another training begins again with 0
                    return
                reached = "" if p.loss is None else f", loss {p.loss:.3f}, validation {percent(p.accuracy)}"
                text = f"epoch {p.epoch} of {p.epochs}{reached}, {clock(p.seconds_left)} left"
                progress.update(task, total=p.steps, completed=p.step, description=text)
                if not console.is_terminal:
                    console.print(f"epoch {ended} of {p.epochs}{reached}, {clock(p.seconds_left)} left")
                told = ended

            yield show
    except KeyboardInterrupt as stop:
        raise Interrupted(str(stop) or "interrupted") from None
