"""How long a training will take, by a clock that the test sets."""

from __future__ import annotations

import pytest
import torch

from nas.models.builder import build
from nas.tasks.classification import Classification
from nas.train import pilot
from nas.train.pilot import TrainingPlan, pace_of
from nas.train.training import Lesson, begin
from tests.train.lessons import CPU, few_digits, short_recipe, small_network


def test_an_epoch_is_its_steps_and_the_look_at_the_validation_images(monkeypatch: pytest.MonkeyPatch) -> None:
    """Steps of 9 s (the first), 2 s and 4 s: the fastest counts; looking at an image takes a third of training it."""
    digits, recipe = few_digits(), short_recipe()
    clock = iter([0.0, 9.0, 11.0, 15.0, 19.0, 23.0])
    monkeypatch.setattr(pilot, "perf_counter", lambda: next(clock))
    monkeypatch.setattr(pilot, "LONG_ENOUGH", 100.0)
    state = begin(build(small_network(), seed=0), recipe, digits.train, CPU)
    lesson = Lesson(Classification(digits.classes), digits.train, digits.validation, digits.flip, 0, CPU)
    pace = pace_of(state, lesson)
    image = 2.0 / recipe.batch_size / 3
    assert pace.image == pytest.approx(image)
    assert pace.epoch == pytest.approx(2.0 * (len(digits.train) // recipe.batch_size) + image * len(digits.validation))


def test_slow_steps_are_not_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([0.0, 60.0, 100.0])
    monkeypatch.setattr(pilot, "perf_counter", lambda: next(clock))
    digits = few_digits()
    state = begin(build(small_network(), seed=0), short_recipe(), digits.train, CPU)
    lesson = Lesson(Classification(digits.classes), digits.train, digits.validation, digits.flip, 0, CPU)
    assert pace_of(state, lesson).image == pytest.approx(40.0 / short_recipe().batch_size / 3)
    assert state.step == 2 and torch.is_grad_enabled()


def test_a_plan_says_what_fits_and_what_all_would_take() -> None:
    assert TrainingPlan(60, 60, 90.0).text == "60 epochs, about 90 s"
    assert TrainingPlan(1, 1, 90.0).text.startswith("1 epoch, ")
    assert TrainingPlan(6, 60, 360.0).text == (
        "6 of 60 epochs fit, about 6 min; all would take about 60 min (--epochs 60)"
    )
