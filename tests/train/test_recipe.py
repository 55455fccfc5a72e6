"""A recipe made of a candidate's hyperparameters, and what no recipe can have."""

import pytest

from nas.errors import UserError
from nas.train.recipe import Recipe, recipe


def test_candidate_gives_what_it_has_and_defaults_fill_the_rest() -> None:
    candidate = {"resolution": 96, "stage2.depth": 3, "learning_rate": 0.02, "optimizer": "adamw", "precision": "int8"}
    made = recipe(candidate, epochs=4, batch_size=64, resolution=32)
    assert made == Recipe(4, 64, 32, 0.02, optimizer="adamw")


def test_default_learning_rate_is_the_optimizers() -> None:
    rates = [recipe({"optimizer": o}, epochs=1, batch_size=8, resolution=8).learning_rate for o in ("sgd", "adamw")]
    assert rates == [0.1, 0.004]
    assert recipe({}, epochs=1, batch_size=8, resolution=8).learning_rate == 0.1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"optimizer": "adam"}, "unknown optimizer 'adam'; did you mean 'adamw'"),
        ({"augmentation": "cropflip"}, "did you mean 'crop-flip'"),
        ({"learning_rate": 0.0}, "learning_rate must be above 0"),
        ({"learning_rate": float("nan")}, "learning_rate must be above 0"),
        ({"label_smoothing": 1.0}, "label_smoothing"),
        ({"weight_decay": -0.1}, "weight_decay must be from 0 to 3.4e.38; got -0.1"),
        ({"learning_rate": "fast"}, "learning_rate must be a number; got 'fast'"),
    ],
)
def test_impossible_values_are_refused(change: dict[str, float | str], message: str) -> None:
    with pytest.raises(UserError, match=message):
        recipe(change, epochs=1, batch_size=8, resolution=8)


@pytest.mark.parametrize(("epochs", "batch_size", "resolution"), [(0, 8, 8), (1, 1, 8), (1, 8, 0)])
def test_impossible_budgets_are_refused(epochs: int, batch_size: int, resolution: int) -> None:
    with pytest.raises(UserError, match="must be"):
        recipe({}, epochs=epochs, batch_size=batch_size, resolution=resolution)
