"""A detector's body trained as a classifier first, on what the boxes of its own training pictures hold.

From random weights a detector learns little from few pictures; a body that can tell the objects apart begins further
on (Girshick et al., CVPR 2014, pretrained on other data; here there is only the user's own).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import numpy as np
import torch

from nas.data.boxes import overlaps
from nas.data.dataset import Dataset, Split
from nas.data.images import ImagesInMemory
from nas.data.pixels import scaled
from nas.errors import UserError
from nas.models.builder import build
from nas.models.trained import Lineage, Preprocessing, TrainedModel
from nas.space.block import KINDS, Block, Row
from nas.space.network import Network
from nas.space.parts import strided
from nas.train.full_recipe import full_recipe
from nas.train.resumption import OnFullProgress

SIDE = 64  # pixels of a crop
AROUND = 1.3  # of a box's longer side, that its crop shows
FREE = 0.2  # that a crop of the background may overlap an object
BACKGROUND = "background"
MOST = 20_000  # crops of a split
BATCH = 64


def trained_body(
    network: Network, dataset: Dataset, folder: Path, *, epochs: int, seed: int = 0,
    on_progress: OnFullProgress = lambda _: None,
) -> TrainedModel:  # fmt: skip
    """The detector with random heads and a body that was trained as a classifier of crops, of 64 pixels each.

    The classifier is kept in `folder`: a call that was stopped goes on there, and one that had ended reads it. Raises
    UserError as `train_full` does.
    """
    from nas.train.full import train_full

    crops, classifier = crops_of(dataset), classifier_of(network, len(dataset.classes) + 1)
    recipe = full_recipe(
        {"optimizer": "adamw"}, images=len(crops.train), resolution=SIDE, batch_size=min(BATCH, len(crops.train) // 2),
        epochs=epochs, mixup=0.0,
    )  # fmt: skip
    model = train_full(classifier, crops, recipe, folder, seed=seed, on_progress=on_progress)
    weights = dict(build(network, seed=seed).state_dict())
    known = {name: tensor for name, tensor in model.weights.items() if not name.startswith("classifier")}
    if odd := [name for name, tensor in known.items() if name not in weights or weights[name].shape != tensor.shape]:
        raise UserError(f"the classifier's {odd[0]} is not a part of the detector")
    prepared = Preprocessing(network.input_shape[1], dataset.train.images.side, "whole, bilinear")
    step = f"body trained on {len(crops.train):,} crops of boxes"
    return TrainedModel(
        network, weights | known, dataset.task, dataset.classes, prepared, lineage=Lineage(steps=(step,))
    )


def classifier_of(network: Network, classes: int) -> Network:
    """A detector's body for images of 64 pixels, with a classifier of so many classes behind it."""
    blocks: list[Block] = []
    shape = (3, SIDE, SIDE)
    for block in network.backbone:
        out = strided(shape, block.out_shape[0], block.stride)
        blocks.append(replace(block, in_shape=shape, out_shape=out))
        shape = out
    stages = network.stages[: len(blocks)] or tuple(range(len(blocks)))
    return Network((*blocks, KINDS["pool_linear"].block(shape, Row(classes=classes))), (*stages, max(stages) + 1))


def crops_of(dataset: Dataset) -> Dataset:
    """What the boxes of training and validation pictures hold, and as many crops of the background as of a class.

    Its test split is the validation split: a body is not tested.
    """
    train, validation = (_crops(split, len(dataset.classes)) for split in (dataset.train, dataset.validation))
    digest = sha256(f"crops {SIDE} {AROUND} {dataset.fingerprint}".encode()).hexdigest()
    name = f"crops of {dataset.name}"
    return Dataset(name, (*dataset.classes, BACKGROUND), train, validation, dataset.flip, digest, name, validation)


def _crops(split: Split, classes: int) -> Split:
    rng, side = np.random.default_rng(0), split.images.side or 4 * SIDE
    order = rng.permutation(len(split)) if int((split.labels[..., 0] >= 0).sum()) > MOST else np.arange(len(split))
    found, labels = [], []
    for number in order.tolist():
        rows = split.labels[number]
        rows = rows[(rows[:, 0] >= 0) & (rows[:, 5] == 0)]
        picture = split.images.take(torch.tensor([number]), side)[0].numpy()
        boxes = rows[:, 1:5].numpy()
        for box, label in zip(boxes, rows[:, 0].tolist(), strict=True):
            found.append(_crop(picture, _square(box)))
            labels.append(int(label))
        for _ in range(max(1, round(len(boxes) / classes))):
            if (free := _background(boxes, rng)) is not None:
                found.append(_crop(picture, free))
                labels.append(classes)
        if len(found) >= MOST:
            break
    return Split(ImagesInMemory(torch.from_numpy(np.stack(found))), torch.tensor(labels))


def _square(box: np.ndarray) -> np.ndarray:
    """The square around a box, with a margin."""
    middle, half = (box[:2] + box[2:]) / 2, AROUND * (box[2:] - box[:2]).max() / 2
    return np.concatenate([middle - half, middle + half])


def _background(boxes: np.ndarray, rng: np.random.Generator) -> np.ndarray | None:
    """A square of the size of an object where there is none; None where none was found."""
    sizes: Sequence[float] = (boxes[:, 2:] - boxes[:, :2]).max(1).tolist() or [0.2]
    for _ in range(10):
        side = AROUND * sizes[int(rng.integers(len(sizes)))]
        low = rng.random(2) * max(0.0, 1 - side)
        square = np.concatenate([low, low + side]).astype(np.float32)
        if not len(boxes) or overlaps(square[None], boxes).max() < FREE:
            return square
    return None


def _crop(picture: np.ndarray, square: np.ndarray) -> np.ndarray:
    """The part of a picture, grey where it stands out of it, uint8 (64, 64, 3)."""
    side = len(picture)
    x1, y1, x2, y2 = (round(float(v) * side) for v in square)
    length = max(2, x2 - x1, y2 - y1)
    found = np.full((length, length, 3), 114, np.uint8)
    top, left, bottom, right = max(0, y1), max(0, x1), min(side, y1 + length), min(side, x1 + length)
    found[top - y1 : bottom - y1, left - x1 : right - x1] = picture[top:bottom, left:right]
    return scaled(found, SIDE)
