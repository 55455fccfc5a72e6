"""The hyperparameters that a search space may choose and a training takes, with the values that each may have."""

from __future__ import annotations

from typing import Literal, get_args

from nas.errors import UserError, unknown

Optimizer = Literal["sgd", "adamw"]
OPTIMIZERS: tuple[Optimizer, ...] = get_args(Optimizer)
Augmentation = Literal["none", "crop-flip", "randaugment"]
AUGMENTATIONS: tuple[Augmentation, ...] = get_args(Augmentation)
Hyperparameter = Literal["learning_rate", "weight_decay", "label_smoothing", "optimizer", "augmentation"]
HYPERPARAMETERS: tuple[Hyperparameter, ...] = get_args(Hyperparameter)
MOST = 3.4e38  # as float32 holds it

_NAMES: dict[str, tuple[str, ...]] = {"optimizer": OPTIMIZERS, "augmentation": AUGMENTATIONS}


def check_hyperparameter(name: str, value: object) -> None:
    """Raises UserError where a training cannot take the value of the hyperparameter."""
    if name in _NAMES:
        if value not in _NAMES[name]:
            raise unknown(name, str(value)[:80], _NAMES[name])
        return
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise UserError(f"{name} must be a number; got {str(value)[:80]!r}")
    inside, must = {
        "learning_rate": (0 < value <= MOST, f"above 0 and at most {MOST:g}"),
        "weight_decay": (0 <= value <= MOST, f"from 0 to {MOST:g}"),
        "label_smoothing": (0 <= value < 1, "from 0 to below 1"),
    }[name]
    if not inside:
        raise UserError(f"{name} must be {must}; got {value:g}")
