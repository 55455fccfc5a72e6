"""The recipe of a full training: what a candidate chooses stays, and what it does not follows from the length."""

from __future__ import annotations

from typing import Any

import pytest

from nas.errors import UserError
from nas.train.full_recipe import FullRecipe, default_epochs, full_recipe

GIVEN: dict[str, Any] = {"images": 40_000, "resolution": 32, "batch_size": 64}


def test_a_candidates_hyperparameters_stay_as_they_are() -> None:
    chosen = {
        "optimizer": "sgd", "learning_rate": 0.07, "weight_decay": 3e-5, "label_smoothing": 0.0,
        "augmentation": "none", "stage2.depth": 3, "precision": "int8",
    }  # fmt: skip
    recipe = full_recipe(chosen, **GIVEN)
    assert {name: getattr(recipe, name) for name in list(chosen)[:5]} == {
        name: chosen[name] for name in list(chosen)[:5]
    }
    assert (recipe.resolution, recipe.batch_size, recipe.mixup, recipe.class_weights) == (32, 64, 0.0, "none")


def test_what_nobody_chose_is_the_default_of_its_length() -> None:
    short, long = full_recipe({}, **GIVEN, epochs=99), full_recipe({}, **GIVEN, epochs=100)
    assert (short.optimizer, short.learning_rate, short.label_smoothing) == ("adamw", 0.004, 0.1)
    assert (short.augmentation, short.mixup, long.augmentation, long.mixup) == ("crop-flip", 0.0, "randaugment", 0.2)
    assert full_recipe({}, **GIVEN, epochs=200, mixup=0.0).mixup == 0


@pytest.mark.parametrize(("optimizer", "rate"), [("sgd", 0.4), ("adamw", 0.2)])
def test_the_rate_follows_the_size_of_batches(optimizer: str, rate: float) -> None:
    chosen = {"optimizer": optimizer, "learning_rate": 0.1}
    assert full_recipe(chosen, **GIVEN, tuned_batch_size=16).learning_rate == pytest.approx(rate)
    assert full_recipe(chosen, **GIVEN).learning_rate == 0.1


@pytest.mark.parametrize(
    ("images", "batch", "epochs"),
    [
        (1_150, 16, 60),  # digits: 71 steps an epoch
        (40_000, 64, 48),  # 625 steps: 30,000
        (40_000, 16, 20),  # 2,500 steps: 50,000
        (1_281_167, 64, 20),
        (800, 32, 120),  # 25 steps: 3,000
        (100, 32, 300),
        (10, 32, 300),
    ],
)
def test_epochs_follow_from_the_number_of_images(images: int, batch: int, epochs: int) -> None:
    assert default_epochs(images, batch) == epochs


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"mixup": -0.1}, "mixup must be from 0 to 10; got -0.1"),
        ({"alpha": 1.5}, "alpha must be from 0 to 1; got 1.5"),
        ({"temperature": 0.0}, "temperature must be above 0 and at most 100; got 0.0"),
        ({"epochs": 0}, "epochs must be above 0; got 0"),
        ({"batch_size": 1}, "batch_size must be at least 2, for batch norm; got 1"),
        ({"batch_size": 0}, "batch_size must be at least 2, for batch norm; got 0"),
    ],
)
def test_values_that_no_training_can_have_are_refused(changed: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        full_recipe({}, **GIVEN | changed)
    with pytest.raises(UserError, match="average_share"):
        FullRecipe(1, 32, 32, 0.1, average_share=2.0)
