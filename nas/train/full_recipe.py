"""The recipe of a full training: a candidate's own, and what only a long training needs."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Literal

from nas.errors import UserError
from nas.space.candidate import Value
from nas.train.recipe import Recipe, recipe

ClassWeights = Literal["none", "balanced"]
Rounding = Literal["none", "int8"]
Norms = Literal["batch", "kept"]
STEPS = 30_000  # that a training has by default
FEWEST_STEPS = 3_000  # by default, of small datasets
FEWEST, USUAL, MOST = 20, 60, 300  # epochs by default
LONG = 100  # epochs from which RandAugment and mixup are the default
LABEL_SMOOTHING = 0.1  # where the candidate says nothing
MIXUP = 0.2  # of long trainings


@dataclass(frozen=True, slots=True)
class FullRecipe(Recipe):
    """A `Recipe`, whose learning rate falls as half a cosine; the model is an average of the last steps' weights."""

    mixup: float = 0.0  # alpha of mixup's Beta distribution; 0: none
    average_share: float = 0.02  # of all steps, over which weights are averaged
    class_weights: ClassWeights = "none"  # balanced: each class has the same part in the loss, however rare
    temperature: float = 4.0  # of the soft targets, with a teacher
    alpha: float = 0.9  # weight of the soft targets in the loss, with a teacher; the labels have the rest
    rounding: Rounding = "none"  # int8: each step sees int8's rounding (quantization-aware training)
    norms: Norms = "batch"  # kept: batch norms compute with the statistics that they have, as in evaluation

    def __post_init__(self) -> None:
        Recipe.__post_init__(self)  # with slots, super() would look for another class
        for name, least, most in (("mixup", 0.0, 10.0), ("average_share", 0.0, 1.0), ("alpha", 0.0, 1.0)):
            if not least <= getattr(self, name) <= most:
                raise UserError(f"{name} must be from {least:g} to {most:g}; got {getattr(self, name)}")
        if not 0 < self.temperature <= 100:
            raise UserError(f"temperature must be above 0 and at most 100; got {self.temperature}")


def full_recipe(
    hyperparameters: Mapping[str, Value], *, images: int, resolution: int, batch_size: int,
    tuned_batch_size: int | None = None, epochs: int | None = None, mixup: float | None = None,
    class_weights: ClassWeights = "none", temperature: float = 4.0, alpha: float = 0.9,
) -> FullRecipe:  # fmt: skip
    """The recipe of a candidate's hyperparameters for so many training images, in full.

    What the candidate does not choose: labels are smoothed by 0.1, images are cropped and mirrored; trainings of 100
    epochs and more have RandAugment and mixup (alpha 0.2) instead, which take long to pay. A learning rate that was
    chosen for batches of another size (`tuned_batch_size`) is scaled: linearly with SGD (Goyal et al., 2017), by the
    square root with AdamW (Malladi et al., NeurIPS 2022). Raises UserError for values that no training can have.
    """
    if batch_size < 2:
        raise UserError(f"batch_size must be at least 2, for batch norm; got {batch_size}")
    passes = default_epochs(images, batch_size) if epochs is None else epochs
    usual: dict[str, Value] = {
        "label_smoothing": LABEL_SMOOTHING, "augmentation": "randaugment" if passes >= LONG else "crop-flip",
    }  # fmt: skip
    found = asdict(recipe(usual | dict(hyperparameters), epochs=passes, batch_size=batch_size, resolution=resolution))
    factor = batch_size / (tuned_batch_size or batch_size)
    found["learning_rate"] *= factor if found["optimizer"] == "sgd" else math.sqrt(factor)
    mixed = (MIXUP if passes >= LONG else 0.0) if mixup is None else mixup
    return FullRecipe(**found, mixup=mixed, class_weights=class_weights, temperature=temperature, alpha=alpha)


def default_epochs(images: int, batch_size: int) -> int:
    """As many as make 30,000 steps, but 20 to 60; up to 300 where 60 would be fewer than 3,000 steps."""
    steps = max(1, images // batch_size)
    usual = min(USUAL, max(FEWEST, math.ceil(STEPS / steps)))
    return max(usual, min(MOST, math.ceil(FEWEST_STEPS / steps)))
