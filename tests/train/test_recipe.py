"""A recipe made of a candidate's hyperparameters, and what no recipe can have."""

import pytest

from nas.errors import UserError
from nas.train.recipe import Recipe, recipe


def test_candidate_gives_what_it_has_and_defaults_fill_the_rest() -> None:
    candidate = {"resolution": 96, "stage2.depth": 3, "learning_rate": 0.02, "optimizer": "adamw", "precision": "int8"}
    made = recipe(candidate, epochs=4, batch_size=64, resolution=32)
    assert made == Recipe(4, 64, 32, 0.02, weight_decay=0.05, optimizer="adamw")


def test_default_learning_rate_is_the_optimizers() -> None:
    rates = [recipe({"optimizer": o}, epochs=1, batch_size=8, resolution=8).learning_rate for o in ("sgd", "adamw")]
    assert rates == [0.1, 0.004]


def test_a_learning_rate_without_an_optimizer_is_one_of_sgd() -> None:
    made = recipe({"learning_rate": 0.05}, epochs=1, batch_size=8, resolution=8)
    assert (made.optimizer, made.learning_rate, made.weight_decay) == ("sgd", 0.05, 1e-4)
    default = recipe({}, epochs=1, batch_size=8, resolution=8)
    assert (default.optimizer, default.learning_rate, default.weight_decay) == ("adamw", 0.004, 0.05)


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


def test_the_first_steps_are_small_and_the_last_is_not() -> None:
    made = Recipe(2, 8, 32, 0.1, small_resolution=16, small_share=0.7)
    assert [made.resolution_at(step, 10) for step in range(10)] == [16] * 7 + [32] * 3
    assert [made.resolution_at(step, 2) for step in range(2)] == [16, 32]
    assert Recipe(2, 8, 32, 0.1, small_resolution=16, small_share=0.99).resolution_at(9, 10) == 32
    assert Recipe(2, 8, 32, 0.1).resolution_at(0, 10) == 32


@pytest.mark.parametrize(("resolution", "share"), [(0, 0.5), (64, 0.5), (16, 1.0), (16, -0.1)])
def test_impossible_small_steps_are_refused(resolution: int, share: float) -> None:
    with pytest.raises(UserError, match="small_share must be from 0 to below 1"):
        Recipe(1, 8, 32, 0.1, small_resolution=resolution, small_share=share)
