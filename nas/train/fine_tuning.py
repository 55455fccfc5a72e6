"""A model's weights trained on, for a step of compression: resumable, and no test image is looked at."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch

from nas.data.dataset import Dataset
from nas.errors import UserError
from nas.files.lock import locked
from nas.models.trained import TrainedModel
from nas.tasks.by_name import task_of
from nas.train.distill import Teacher, check_teacher
from nas.train.full_folder import begun_with, discard, read_begun, remove_work, work_folder, write_begun
from nas.train.full_recipe import FullRecipe
from nas.train.loop import best_device
from nas.train.resumable import SAVE_SECONDS, OnFullProgress, told, trained, weights_of
from nas.train.training import Lesson


def fine_tuned(
    model: TrainedModel, dataset: Dataset, recipe: FullRecipe, folder: Path, *, name: str, seed: int = 0,
    teacher: Teacher | None = None, device: torch.device | None = None, save_seconds: float = SAVE_SECONDS,
    on_progress: OnFullProgress = lambda _: None,
) -> TrainedModel:  # fmt: skip
    """The model with weights that were trained on as the recipe says; the rest of it is as it was.

    `folder` only names the place where the state is kept, beside it: the same call goes on there, and ends at once
    where the training had ended. What another training left there is discarded. Raises UserError for other classes
    than the dataset's and, called `name`, for a training that fails; KeyboardInterrupt as `trained` does.
    """
    if model.classes != dataset.classes:
        raise UserError(f"dataset {dataset.name} must have the model's classes; got others")
    device, task = device or best_device(), task_of(dataset.task, dataset.classes, model.network)
    begun = begun_with(model, dataset, recipe, seed, teacher, 0.0)
    lesson = Lesson(task, dataset.train, dataset.validation, dataset.flip, seed, device, teacher)
    try:
        with locked(work_folder(folder)), told(name, folder, recipe):
            if teacher:
                check_teacher(teacher, dataset, device)
            if (other := read_begun(folder)) is None or other.digest != begun.digest:
                discard(folder)
            write_begun(folder, begun)
            state = trained(model, lesson, recipe, folder, save_seconds=save_seconds, on_progress=on_progress)
    finally:
        remove_work(folder)
    return replace(model, weights=weights_of(state))
