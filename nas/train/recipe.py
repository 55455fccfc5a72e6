"""A training recipe: everything that decides how a network is trained, besides the network, the data and the seed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from nas.errors import UserError
from nas.space.candidate import Value
from nas.space.hyperparameters import HYPERPARAMETERS, Augmentation, Optimizer, check_hyperparameter

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
        for name in HYPERPARAMETERS:
            check_hyperparameter(name, getattr(self, name))
        for field in ("epochs", "resolution"):
            if not getattr(self, field) > 0:
                raise UserError(f"{field} must be above 0; got {getattr(self, field)}")
        if self.batch_size < 2:
            raise UserError(f"batch_size must be at least 2, for batch norm; got {self.batch_size}")


def recipe(hyperparameters: Mapping[str, Value], *, epochs: int, batch_size: int, resolution: int) -> Recipe:
    """The recipe of a candidate's hyperparameters; other names in the mapping are its architecture and are left out."""
    given = {name: hyperparameters[name] for name in HYPERPARAMETERS if name in hyperparameters}
    given.setdefault("learning_rate", DEFAULT_LEARNING_RATE.get(str(given.get("optimizer", "sgd")), 0.1))
    return Recipe(epochs, batch_size, resolution, **given)  # type: ignore[arg-type]  # checked here and at birth
