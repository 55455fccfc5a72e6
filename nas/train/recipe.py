"""A training recipe: everything that decides how a network is trained, besides the network, the data and the seed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

from nas.data.augmentation import AUGMENTATIONS, Augmentation
from nas.errors import UserError, unknown
from nas.space.candidate import Value

Optimizer = Literal["sgd", "adamw"]
OPTIMIZERS: tuple[Optimizer, ...] = get_args(Optimizer)
HYPERPARAMETERS = ("learning_rate", "weight_decay", "label_smoothing", "optimizer", "augmentation")
DEFAULT_LEARNING_RATE: dict[str, float] = {"sgd": 0.1, "adamw": 0.004}


@dataclass(frozen=True, slots=True)
class Recipe:
    """`resolution` is in pixels; `learning_rate` is the peak of the schedule, for batches of `batch_size` images."""

    epochs: int
    batch_size: int
    resolution: int
    learning_rate: float
    weight_decay: float = 1e-4  # not on batch norms and biases
    label_smoothing: float = 0.1
    optimizer: Optimizer = "sgd"
    augmentation: Augmentation = "none"
    warmup_share: float = 0.1  # of all steps, with a rising learning rate
    clip_norm: float = 5.0  # of all gradients together: a candidate's odd learning rate should not end in NaN

    def __post_init__(self) -> None:
        if self.optimizer not in OPTIMIZERS:
            raise unknown("optimizer", self.optimizer, OPTIMIZERS)
        if self.augmentation not in AUGMENTATIONS:
            raise unknown("augmentation", self.augmentation, AUGMENTATIONS)
        for name in ("epochs", "resolution", "learning_rate"):
            if not getattr(self, name) > 0:
                raise UserError(f"{name} must be above 0; got {getattr(self, name)}")
        if self.batch_size < 2:
            raise UserError(f"batch_size must be at least 2, for batch norm; got {self.batch_size}")
        if self.weight_decay < 0 or not 0 <= self.label_smoothing < 1:
            raise UserError(
                f"weight_decay must not be negative and label_smoothing lie from 0 to below 1; "
                f"got {self.weight_decay} and {self.label_smoothing}"
            )


def recipe(hyperparameters: Mapping[str, Value], *, epochs: int, batch_size: int, resolution: int) -> Recipe:
    """The recipe of a candidate's hyperparameters; other names in the mapping are its architecture and are left out."""
    given = {name: hyperparameters[name] for name in HYPERPARAMETERS if name in hyperparameters}
    given.setdefault("learning_rate", DEFAULT_LEARNING_RATE.get(str(given.get("optimizer", "sgd")), 0.1))
    for name in ("learning_rate", "weight_decay", "label_smoothing"):
        if not isinstance(given.get(name, 0.0), int | float):
            raise UserError(f"{name} must be a number; got {given[name]!r}")
    return Recipe(epochs, batch_size, resolution, **given)  # type: ignore[arg-type]  # checked here and at birth
