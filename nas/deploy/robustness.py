"""How much of its accuracy a deployed file keeps on test images under common corruptions: a card's robustness."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from nas.compress.drop import answers
from nas.data.corrupted import CORRUPTED, KINDS, CorruptedSplit
from nas.data.dataset import Dataset
from nas.deploy.accuracy import interval_of
from nas.deploy.card import Card, Robustness
from nas.deploy.facts import MOST_MODEL
from nas.files.plain import read_bytes
from nas.models.trained import TrainedModel
from nas.numbers import percent
from nas.runtimes.by_name import deployed_runtime
from nas.runtimes.images import network_inputs

MOST_IMAGES, LEAST_IMAGES = 128, 16
MOST_PIXELS, MOST_MACS = 2**22, 4e10  # of all images as they are, so that it takes a minute at most in nearly all cases


def with_robustness(card: Card, model: TrainedModel, file: Path, data: Dataset, tell: Callable[[str], None]) -> Card:
    """The card with the robustness of its first model's file, as its runtime runs it; or why there is none."""
    if model.network.detects:
        return card.model_copy(update={"no_robustness": "corruptions are of a classifier's images"})
    tell(f"running {card.first} on corrupted test images")
    found = _robustness(card, model, file, data)
    tell(
        f"robustness: {percent(found.value)} under {len(CORRUPTED)} kinds of corruption, {percent(found.clean)} "
        f"without, on {found.images} images"
    )
    return card.model_copy(update={"robustness": found})


def images_for(pixels: int, macs: int) -> int:
    """How many images are run: fewer where they are large or the network is."""
    return max(LEAST_IMAGES, min(MOST_IMAGES, MOST_PIXELS // pixels, int(MOST_MACS // max(1, macs))))


def _robustness(card: Card, model: TrainedModel, file: Path, data: Dataset) -> Robustness:
    resolution = model.preprocessing.resolution
    most = images_for(resolution**2, model.network.macs)
    corrupted = CorruptedSplit(data.test_split(), card.dataset_seed, most)
    run = deployed_runtime(card.runtime).session(read_bytes(file, MOST_MODEL, "model"))
    labels = corrupted.part.labels.numpy()
    splits = [corrupted.part, *corrupted.at(resolution)]
    right = np.stack([answers(run, network_inputs(model.preprocessing, split)) == labels for split in splits])
    shares = right.mean(axis=1).tolist()
    kinds = {
        name: float(np.mean([share for (kind, _), share in zip(KINDS, shares[1:], strict=True) if kind == name]))
        for name in CORRUPTED
    }
    value = float(right[1:].mean())
    low, high = interval_of(value, len(labels))
    return Robustness(
        model=card.first, value=value, low=low, high=high, images=len(labels), clean=shares[0], kinds=kinds
    )
