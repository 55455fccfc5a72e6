"""The steps of a full training: the schedule, the average, what a resumed one is equal to, and half precision."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from nas.data.augmentation import mix
from nas.data.dataset import Dataset
from nas.train import training
from nas.train.training import _keep_limit, cosine, train_on
from nas.train.training_file import read_training, write_training
from tests.train.lessons import few_digits, fresh, lesson, short_recipe


@pytest.fixture(scope="module")
def digits() -> Dataset:
    return few_digits()


def test_the_rate_rises_and_falls_as_half_a_cosine() -> None:
    shares = [cosine(step, 110, 10) for step in range(110)]
    assert shares[0] == pytest.approx(0.1) and shares[9] == 1 and shares[10] == 1
    assert shares[60] == pytest.approx(0.5) and shares[35] == pytest.approx(0.5 + math.sqrt(2) / 4)
    assert 0 < shares[109] < 0.001 and shares[10:] == sorted(shares[10:], reverse=True)


def test_the_average_follows_the_weights_by_hand(digits: Dataset) -> None:
    """Over 1 / (0.5 x 6 steps), but at first over fewer: the share of the new weights is 0.9, 9/11, 9/12, ..."""
    state = fresh(digits, replace(short_recipe(), average_share=0.5))
    name, wanted = "classifier.weight", state.model.get_parameter("classifier.weight").detach().clone()

    def follow(now: training.Training) -> None:
        nonlocal wanted
        share = max(1 / 3, 9 / (9 + now.step))
        wanted = wanted + share * (now.model.get_parameter(name).detach() - wanted)

    train_on(state, lesson(digits), follow)
    torch.testing.assert_close(state.average.get_parameter(name).detach(), wanted)
    assert not torch.equal(wanted, state.model.get_parameter(name))
    assert int(state.average.get_buffer("bn1.num_batches_tracked")) == 6


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
@pytest.mark.parametrize("augmentation", ["none", "randaugment"])
def test_a_training_in_pieces_is_the_whole_one(
    optimizer: str, augmentation: str, digits: Dataset, tmp_path: Path
) -> None:
    hyperparameters = {"optimizer": optimizer, "augmentation": augmentation}
    recipe = short_recipe(hyperparameters=hyperparameters, mixup=0.2 if optimizer == "sgd" else 0.0)
    whole, file = fresh(digits, recipe), tmp_path / "training.safetensors"
    train_on(whole, lesson(digits), lambda now: None)
    part = fresh(digits, recipe)
    while part.step < part.steps:
        stop = part.step + 2
        train_on(part, lesson(digits), lambda now, stop=stop: now.step == stop)  # type: ignore[misc]
        write_training(file, part)
        part = fresh(digits, recipe, seed=9)  # of other weights, which the file's replace
        read_training(file, part)
    for ours, theirs in ((whole.model, part.model), (whole.average, part.average)):
        for name, tensor in ours.state_dict().items():
            assert torch.equal(tensor, theirs.state_dict()[name]), name
    assert [(e.train_loss, e.validation_accuracy) for e in whole.curve] == [
        (e.train_loss, e.validation_accuracy) for e in part.curve
    ]


def test_the_global_generator_is_left_alone(digits: Dataset) -> None:
    before = torch.get_rng_state()
    recipe = short_recipe(hyperparameters={"augmentation": "randaugment"}, mixup=0.4)
    train_on(fresh(digits, recipe), lesson(digits), lambda now: None)
    assert torch.equal(before, torch.get_rng_state())


def test_half_precision_computes_in_bfloat16_and_keeps_weights_in_float32(
    digits: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    exact, half = fresh(digits, short_recipe()), fresh(digits, short_recipe())
    train_on(exact, lesson(digits), lambda now: None)
    seen: list[torch.dtype] = []
    half.model.get_submodule("classifier").register_forward_hook(lambda m, i, out: seen.append(out.dtype))
    monkeypatch.setattr(training, "mixed_precision", lambda device: torch.bfloat16)
    train_on(half, lesson(digits), lambda now: None)
    assert set(seen) == {torch.bfloat16}
    assert {tensor.dtype for tensor in half.model.parameters()} == {torch.float32}
    assert half.curve[-1].train_loss == pytest.approx(exact.curve[-1].train_loss, rel=0.05)
    assert half.curve[-1].train_loss != exact.curve[-1].train_loss


def test_epochs_become_fewer_where_the_time_is_short(digits: Dataset) -> None:
    state = fresh(digits, short_recipe(epochs=10))
    state.step, state.seconds = 2 * state.batches, 20.0  # two epochs of 10 s
    _keep_limit(state, 99.0)  # a hundredth late is not late
    assert state.recipe.epochs == 10
    _keep_limit(state, 57.0)
    assert state.recipe.epochs == 5
    _keep_limit(state, 15.0)  # one more, in which the rate falls to 0
    assert state.recipe.epochs == 3
    _keep_limit(state, math.inf)
    assert state.recipe.epochs == 3


def test_mixed_images_are_blends_and_their_targets_say_of_what() -> None:
    images = torch.eye(4).view(4, 1, 2, 2).expand(4, 3, 2, 2).contiguous()
    mixed, targets = mix(images, torch.arange(4), 4, 1.0, torch.Generator().manual_seed(3))
    torch.testing.assert_close(mixed[:, 0].flatten(1), targets)  # each image is its label's
    torch.testing.assert_close(targets.sum(1), torch.ones(4))
    share = float(targets.max())
    assert 0.5 < share < 1 and ((targets > 0).sum(1) == 2).all()
    again, _ = mix(images, torch.arange(4), 4, 1.0, torch.Generator().manual_seed(3))
    assert torch.equal(mixed, again)
