"""Training in full: from a network to a folder with its trained model, however often the process dies on the way."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path

import torch
from torch import nn

from nas.data.dataset import Dataset
from nas.errors import UserError
from nas.files.atomic import recover_folder
from nas.files.lock import locked
from nas.models.builder import build
from nas.models.parts import silence_residuals
from nas.models.trained import Lineage, Preprocessing, Resize, TrainedModel, save_trained
from nas.space.layer import PRECISIONS, Precision
from nas.space.network import Network
from nas.tasks.by_name import task_of
from nas.tasks.classification import Classification, balanced_weights
from nas.tasks.task import Task
from nas.train.distill import Teacher, check_teacher
from nas.train.fake_quantization import FakeQuantized, plain
from nas.train.full_folder import (
    NONE,
    STATE,
    Accuracy,
    Begun,
    Result,
    begun_with,
    check_place,
    discard,
    finished,
    read_begun,
    remove_work,
    result_files,
    work_folder,
    write_begun,
)
from nas.train.full_recipe import FullRecipe
from nas.train.loop import best_device, evaluate
from nas.train.processes import train_in_processes
from nas.train.resumption import GOES_ON, SAVE_SECONDS, OnFullProgress, OnPlan, memory_told, train_resumably, weights_of
from nas.train.rounding import quantized
from nas.train.training import Lesson, Training

BUSY = "another process is training in {path}; wait for it"
STEP = "full training"  # in a model's lineage
GOES_ON_TOO = f"{GOES_ON}, and so does --resume"


def train_full(
    start: Network | TrainedModel, dataset: Dataset, recipe: FullRecipe, folder: Path, *,
    seed: int = 0, teacher: Teacher | None = None, minutes: float = 0.0, precision: Precision = "fp32",
    lineage: Lineage | None = None, device: torch.device | None = None, force: bool = False,
    recorded: Mapping[str, str | int | float] | None = None, save_seconds: float = SAVE_SECONDS,
    on_progress: OnFullProgress = lambda _: None, on_plan: OnPlan | None = None, processes: int = 1,
) -> TrainedModel:  # fmt: skip
    """Trains a network from scratch, or a model on from its weights, and writes `folder` with it, curve and result.

    The model is the average of the last steps' weights, after the last epoch (`Training`); validation images are only
    looked at, and the test images once, at the end, in float32 and in the `precision` that the network is deployed in.
    With `minutes` the training has as many epochs as fit, at most the recipe's. A model brings its own precision and
    lineage along.

    A process that dies loses the steps since the last checkpoint, at most; the same call goes on there and ends with
    the same weights, and it returns the model where the training had ended. On a GPU, and with `minutes`, the weights
    are equal only as far as its kernels and the time are. `force` discards what another training left in `folder`.
    `recorded` is kept with the model's recipe. More `processes` than one share each batch, each on a GPU of its own.

    `on_plan` hears before the first step what the training will take, by a pilot of a few steps.

    Nothing is written before all that was given was found good. Raises UserError for a network or a teacher with other
    classes than the dataset, a folder of something else, a full disk, too little memory, and a training that is not
    finite; KeyboardInterrupt, with a message, after the step has ended and was kept.
    """
    network = start if isinstance(start, Network) else start.network
    task = task_of(dataset.task, dataset.classes, network, dataset.train.labels)
    device = device or best_device()
    task.check(network, dataset.name)
    if isinstance(start, TrainedModel):
        if start.classes != dataset.classes:
            raise UserError(f"a model of the classes {_few(start.classes)} cannot learn the classes "
                            f"{_few(dataset.classes)} of {dataset.name}")  # fmt: skip
        precision, lineage = start.precision, lineage or start.lineage
    _check_asked(task, dataset, recipe, teacher)
    if processes > 1 and teacher:
        raise UserError("with a teacher a training runs in one process")
    if recipe.resolution != network.input_shape[1]:
        raise UserError(f"a network of {network.input_shape[1]} pixels must be trained there; got {recipe.resolution}")
    begun = begun_with(start, dataset, recipe, seed, teacher, minutes)
    check_place(folder, begun, force=force)
    if teacher:
        with _told(folder, recipe):
            check_teacher(teacher, dataset, device)
    lesson = Lesson(
        _weighted(task, dataset, recipe), dataset.train, dataset.validation, dataset.flip, seed, device, teacher,
        begun.limit_s,
    )  # fmt: skip
    recover_folder(folder)
    try:
        with locked(work_folder(folder), BUSY):
            if (done := finished(folder, begun.digest)) is not None:
                discard(folder)
                return done
            if (other := read_begun(folder)) is None or other.digest != begun.digest:
                check_place(folder, begun, force=force)
                discard(folder)
            write_begun(folder, begun)
            with _told(folder, recipe):
                run: Callable[..., Training] = train_resumably
                if processes > 1:
                    run = partial(train_in_processes, processes=processes)
                state = run(
                    partial(_module, start, lesson, recipe), lesson, recipe, work_folder(folder) / STATE,
                    save_seconds=save_seconds, on_progress=on_progress, on_plan=on_plan, goes_on=GOES_ON_TOO,
                )  # fmt: skip
                result, curve = _measured(state, lesson, dataset, precision, begun.teacher), tuple(state.curve)
            model = _model(state, network, precision, begun, lineage or Lineage(), dataset, task.resize)
            model = replace(model, recipe={**model.recipe, **(recorded or {})})
            of = model.lineage
            name = folder.name if of.trial is None else f"Trial {of.trial} of {of.run}"
            save_trained(folder, model, result_files(name, curve, result))
            discard(folder)
            return model
    finally:
        remove_work(folder)


def _module(start: Network | TrainedModel, lesson: Lesson, recipe: FullRecipe) -> nn.Module:
    if isinstance(start, TrainedModel):
        module = start.module()
    else:
        module = build(start, seed=lesson.seed)
        silence_residuals(module)
    return FakeQuantized(module, lesson.train, recipe.resolution) if recipe.rounding == "int8" else module


def _measured(state: Training, lesson: Lesson, dataset: Dataset, precision: Precision, teacher: str) -> Result:
    """The accuracies at the end, the only time that the test images are looked at."""
    model, train, resolution = plain(state.average), lesson.train, state.recipe.resolution
    task, validation, test = lesson.task.unweighted(), dataset.validation, dataset.test_split()
    found: dict[str, Accuracy] = {}
    for kind in PRECISIONS:
        if kind in ("fp32", precision):
            deployed = quantized(model, kind, train, resolution)
            found[kind] = Accuracy(
                validation=evaluate(deployed, task, validation, resolution), validation_images=len(validation),
                test=evaluate(deployed, task, test, resolution), test_images=len(test),
            )  # fmt: skip
    return Result(
        format=1, epochs=state.recipe.epochs, steps=state.steps, seconds=state.seconds, teacher=teacher, accuracy=found
    )


def _model(
    state: Training, network: Network, precision: Precision, begun: Begun, lineage: Lineage, dataset: Dataset,
    resize: Resize,
) -> TrainedModel:  # fmt: skip
    weights = weights_of(state)
    hashes = {**lineage.hashes, "dataset": dataset.fingerprint, "training": begun.digest}
    step = STEP if begun.teacher == NONE else f"{STEP} with the teacher {begun.teacher}"
    prepared = Preprocessing(network.input_shape[1], side=dataset.train.images.side, resize=resize)
    return TrainedModel(
        network, weights, dataset.task, dataset.classes, prepared, precision,
        recipe=asdict(state.recipe) | {"seed": begun.seed, "teacher": begun.teacher},
        lineage=replace(lineage, steps=(*lineage.steps, step), hashes=hashes),
    )  # fmt: skip


def _check_asked(task: Task, dataset: Dataset, recipe: FullRecipe, teacher: Teacher | None) -> None:
    """Raises UserError for what only a classifier can learn with."""
    asked = {
        "mixup": recipe.mixup > 0,
        "class weights": recipe.class_weights != "none",
        "a teacher": teacher is not None,
    }
    if task.name != Classification.name and (odd := [what for what, wanted in asked.items() if wanted]):
        raise UserError(f"{odd[0]} is for classification; {dataset.name} is for {task.name}")


def _weighted(task: Task, dataset: Dataset, recipe: FullRecipe) -> Task:
    if recipe.class_weights == "none":
        return task
    return Classification(task.classes, balanced_weights(dataset.train.labels, len(task.classes)))


def _few(classes: tuple[str, ...]) -> str:
    return ", ".join(name[:20] for name in classes[:3]) + (", ..." if len(classes) > 3 else "")


@contextmanager
def _told(folder: Path, recipe: FullRecipe) -> Iterator[None]:
    """Says in one line why a training failed. What one of numbers that are not finite kept would lead there again."""
    try:
        with memory_told(str(folder), recipe):
            yield
    except FloatingPointError as error:
        discard(folder)
        raise UserError(
            f"{folder}: {error}; train anew with a smaller learning rate (it was {recipe.learning_rate:g})"
        ) from None
