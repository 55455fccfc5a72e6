"""A training recipe: everything that decides how a network is trained, besides the network, the data and the seed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from nas.errors import UserError
from nas.space.candidate import Value
from nas.space.hyperparameters import HYPERPARAMETERS, Augmentation, Optimizer, check_hyperparameter

DEFAULT_LEARNING_RATE: dict[str, float] = {"sgd": 0.1, "adamw": 0.004}
DEFAULT_WEIGHT_DECAY: dict[str, float] = {"sgd": 1e-4, "adamw": 0.05}  # AdamW multiplies it by the learning rate


@dataclass(frozen=True, slots=True)
class Recipe:
    """`learning_rate` is the peak of the schedule, for batches of `batch_size` images.

    Progressive resizing (Howard, DAWNBench, 2018): of all steps the first, `small_share`, see images of
    `small_resolution` pixels, the others of `resolution`, at which the network is to be used.
    """

    epochs: int
    batch_size: int
    resolution: int
    learning_rate: float
    weight_decay: float = 1e-4  # not on batch norms and biases
    label_smoothing: float = 0.0
    optimizer: Optimizer = "sgd"
    augmentation: Augmentation = "none"
    warmup_share: float = 0.1  # of all steps, with a rising learning rate
    clip_norm: float = 5.0  # of all gradients together: a candidate's odd learning rate should not end in NaN
    small_resolution: int = 0
    small_share: float = 0.0
    calibration_images: int = 0  # that give batch norm its final statistics; 0: the running ones stay

    def __post_init__(self) -> None:
        for name in HYPERPARAMETERS:
            check_hyperparameter(name, getattr(self, name))
        for field in ("epochs", "resolution"):
            if not getattr(self, field) > 0:
                raise UserError(f"{field} must be above 0; got {getattr(self, field)}")
        if self.batch_size < 2:
            raise UserError(f"batch_size must be at least 2, for batch norm; got {self.batch_size}")
        if not 0 <= self.small_share < 1 or (self.small_share and not 0 < self.small_resolution <= self.resolution):
            raise UserError(
                "small_share must be from 0 to below 1, and small_resolution above 0 and at most the resolution; "
                f"got {self.small_share} and {self.small_resolution} of {self.resolution}"
            )

    def resolution_at(self, step: int, steps: int) -> int:
        """Pixels of the images of step `step`, from 0, of `steps`; the last is always at the whole resolution."""
        return self.small_resolution if step < min(round(self.small_share * steps), steps - 1) else self.resolution


def recipe(
    hyperparameters: Mapping[str, Value], *, epochs: int, batch_size: int, resolution: int, small_resolution: int = 0,
    small_share: float = 0.0, calibration_images: int = 0,
) -> Recipe:  # fmt: skip
    """The recipe of a candidate's hyperparameters; other names in the mapping are its architecture and are left out.

    Where nothing says how to train it is AdamW, which ranks networks better after few steps than SGD does
    (experiments/estimators); a learning rate without an optimizer is one of SGD.
    """
    given = {name: hyperparameters[name] for name in HYPERPARAMETERS if name in hyperparameters}
    optimizer = str(given.setdefault("optimizer", "sgd" if "learning_rate" in given else "adamw"))
    given.setdefault("learning_rate", DEFAULT_LEARNING_RATE.get(optimizer, 0.1))
    given.setdefault("weight_decay", DEFAULT_WEIGHT_DECAY.get(optimizer, 0.0))
    return Recipe(
        epochs, batch_size, resolution, small_resolution=small_resolution, small_share=small_share,
        calibration_images=calibration_images, **given,  # type: ignore[arg-type]  # checked here and at birth
    )  # fmt: skip
