"""What a network learns again from: pictures of its training, as they are and as the drift makes them, and new ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path

import numpy as np
import torch

from nas.data.corruptions import corrupt
from nas.data.dataset import Dataset, Split
from nas.data.images import ImagesInMemory
from nas.models.int8 import Int8
from nas.models.trained import TrainedModel
from nas.monitor.labels import Labelled
from nas.monitor.likeness import Likeness
from nas.space.candidate import Value
from nas.space.hyperparameters import HYPERPARAMETERS
from nas.train.full import train_full
from nas.train.full_recipe import FullRecipe, full_recipe
from nas.train.loop import spread
from nas.train.recipe import DEFAULT_LEARNING_RATE
from nas.train.resumption import OnFullProgress

MOST_BYTES = 10**9  # of pictures that are learned from
MOST_REPLAYED = 20_000
LABELLED_SHARE = 0.25  # of all pictures, that those with new labels should be
MOST_REPEATS = 20  # of a picture with a new label
RATE_SHARE = 0.1  # of the learning rate of the training
EPOCHS, BATCH_SIZE = 5, 64
STEP = "calibrated"


@dataclass(frozen=True, slots=True, eq=False)
class Lesson:
    """What is learned again: `drifts` are corruptions like the drift; `labelled` pictures are learned from."""

    drifts: tuple[Likeness, ...]
    labelled: Labelled | None
    epochs: int = EPOCHS
    seed: int = 0


def lesson_dataset(data: Dataset, lesson: Lesson, resolution: int) -> Dataset:
    """The dataset with other training images, at the network's resolution; validation and test images stay.

    Half are replayed as they are, half as a drift makes them (each drift has a part); pictures with new labels are
    repeated up to a quarter of all. Without a drift all are as they are.
    """
    fitting = MOST_BYTES // (3 * resolution**2) // 3
    chosen = spread(len(data.train), max(1, min(MOST_REPLAYED, fitting)))
    pixels, labels = data.train.images.take(chosen, resolution).numpy(), data.train.labels[chosen].numpy()
    parts, targets = [pixels], [labels]
    for number, one in enumerate(lesson.drifts):
        part = slice(number, None, len(lesson.drifts))
        parts.append(corrupt(pixels[part], one.corruption, one.severity, seed=lesson.seed))
        targets.append(labels[part])
    if lesson.labelled is not None and len(lesson.labelled.labels):
        own = len(lesson.labelled.labels)
        wanted = LABELLED_SHARE / (1 - LABELLED_SHARE) * sum(map(len, targets))
        repeats = max(1, min(MOST_REPEATS, round(wanted / own)))
        parts += [lesson.labelled.pictures.pixels] * repeats
        targets += [lesson.labelled.labels] * repeats
    train = Split(
        ImagesInMemory(torch.from_numpy(np.concatenate(parts))), torch.from_numpy(np.concatenate(targets)).long()
    )
    fingerprint = sha256((data.fingerprint + train.images.digest() + str(train.labels.tolist())).encode()).hexdigest()
    return replace(data, train=train, fingerprint=fingerprint)


def recipe_of(model: TrainedModel, images: int, epochs: int) -> FullRecipe:
    """The recipe of the model's training, with a tenth of its learning rate, for so many images."""
    known: dict[str, Value] = {name: model.recipe[name] for name in HYPERPARAMETERS if name in model.recipe}
    optimizer = str(known.setdefault("optimizer", "adamw"))
    known["learning_rate"] = RATE_SHARE * float(known.get("learning_rate", DEFAULT_LEARNING_RATE[optimizer]))
    batch = model.recipe.get("batch_size", BATCH_SIZE)
    batch = min(batch, images) if isinstance(batch, int) and batch >= 2 else BATCH_SIZE
    return full_recipe(
        known, images=images, resolution=model.preprocessing.resolution, batch_size=max(2, batch), epochs=epochs,
        mixup=0.0,
    )  # fmt: skip


def relearn(
    model: TrainedModel, data: Dataset, lesson: Lesson, folder: Path, *, line: str,
    on_progress: OnFullProgress = lambda _: None,
) -> TrainedModel:  # fmt: skip
    """The model, trained on with its lesson; resumable as `train_full`, whose folder is `folder`.

    Its lineage says `line`; precision and int8's options stay. Raises UserError and KeyboardInterrupt as `train_full`.
    """
    made = lesson_dataset(data, lesson, model.preprocessing.resolution)
    recipe = recipe_of(model, len(made.train), lesson.epochs)
    known = replace(model, lineage=replace(model.lineage, steps=()))
    trained = train_full(known, made, recipe, folder, seed=lesson.seed, on_progress=on_progress)
    hashes = dict(trained.lineage.hashes) | {"dataset": data.fingerprint}
    lineage = replace(model.lineage, steps=(*model.lineage.steps, line), hashes=hashes)
    found = replace(trained, preprocessing=model.preprocessing, lineage=lineage)
    if model.precision != "int8":
        return replace(found, precision=model.precision)
    return Int8.of(model).within(found)


def split_labels(labelled: Labelled) -> tuple[Labelled, Labelled]:
    """Two thirds to learn from, and every third picture of each class to verify with, by the order of names."""
    held = np.zeros(len(labelled.labels), bool)
    for label in np.unique(labelled.labels):
        held[np.flatnonzero(labelled.labels == label)[2::3]] = True
    return _part(labelled, ~held), _part(labelled, held)


def _part(labelled: Labelled, chosen: np.ndarray) -> Labelled:
    pictures = replace(
        labelled.pictures,
        paths=tuple(path for path, taken in zip(labelled.pictures.paths, chosen, strict=True) if taken),
        pixels=labelled.pictures.pixels[chosen],
    )
    return Labelled(pictures, labelled.labels[chosen], labelled.notes)


def words_of(drifts: Sequence[Likeness]) -> str:
    """Drifts in words."""
    return ", ".join(one.text for one in drifts) or "no known corruption"
