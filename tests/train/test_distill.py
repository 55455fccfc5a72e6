"""Distillation: the loss by hand, what a teacher is shown, and which teachers are refused."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from nas.data.dataset import Dataset
from nas.errors import UserError
from nas.models.builder import build
from nas.models.trained import Preprocessing, TrainedModel
from nas.train.distill import Teacher, all_logits, check_teacher, soft_loss, teacher_of
from nas.train.full import train_full
from nas.train.full_folder import read_result
from nas.train.loop import normalize
from nas.train.training import train_on
from tests.train.lessons import CPU, few_digits, fresh, lesson, short_recipe, small_network


@pytest.fixture(scope="module")
def digits() -> Dataset:
    return few_digits()


def knowing(digits: Dataset, seen: list[int] | None = None) -> Teacher:
    """It knows every image of digits by its pixels at 8x8, and is sure of its class."""
    parts = (digits.train, digits.validation)
    pixels = torch.cat([normalize(p.images.take(torch.arange(len(p)), 8)) for p in parts]).flatten(1)
    labels = torch.cat([p.labels for p in parts])

    def logits(images: Tensor) -> Tensor:
        if seen is not None:
            seen.append(len(images))
        nearest = torch.cdist(images.flatten(1), pixels).argmin(1)
        return 10 * torch.nn.functional.one_hot(labels[nearest], 10).float()

    return Teacher("knowing", digits.classes, 8, "f" * 64, logits)


def test_the_soft_loss_by_hand() -> None:
    """Teacher (log 4, 0) at temperature 2 says 2/3 and 1/3; the student (0, 0) says 1/2 each."""
    teacher, student = torch.tensor([[math.log(4), 0.0]]), torch.zeros(1, 2)
    wanted = 4 * (2 / 3 * math.log(4 / 3) + 1 / 3 * math.log(2 / 3))
    assert float(soft_loss(student, teacher, 2.0)) == pytest.approx(wanted, rel=1e-5)
    assert float(soft_loss(student.expand(5, 2), teacher.expand(5, 2), 2.0)) == pytest.approx(wanted, rel=1e-5)
    assert float(soft_loss(teacher, teacher, 3.0)) == pytest.approx(0.0, abs=1e-6)


def test_a_student_learns_what_its_teacher_says_and_not_the_labels(digits: Dataset) -> None:
    """The teacher takes each digit for the next one; with alpha 1 the student says so too."""
    right = knowing(digits)
    wrong = replace(right, logits=lambda images: right.logits(images).roll(1, 1))
    recipe = short_recipe(epochs=30, alpha=1.0, hyperparameters={"learning_rate": 0.1, "augmentation": "none"})
    taught = fresh(digits, recipe)
    train_on(taught, lesson(digits, wrong), lambda now: None)
    said = taught.average(normalize(digits.train.images.take(torch.arange(96), 8))).argmax(1)
    assert float((said == (digits.train.labels + 1) % 10).double().mean()) > 0.7


def test_logits_are_kept_where_nothing_changes_the_images(digits: Dataset) -> None:
    seen: list[int] = []
    for augmentation, mixup, looked in (("none", 0.0, [96]), ("crop-flip", 0.0, [32] * 6), ("none", 0.2, [32] * 6)):
        recipe = short_recipe(hyperparameters={"augmentation": augmentation}, mixup=mixup)
        train_on(fresh(digits, recipe), lesson(digits, knowing(digits, seen)), lambda now: None)
        assert seen == looked, (augmentation, mixup)
        seen.clear()


def test_kept_logits_teach_as_those_of_each_batch_do(digits: Dataset) -> None:
    """A resolution that changes keeps them from being kept; here it changes to what it was."""
    recipe = short_recipe(hyperparameters={"augmentation": "none"})
    each = replace(recipe, small_resolution=8, small_share=0.5)
    states = [fresh(digits, r) for r in (recipe, each)]
    for state in states:
        train_on(state, lesson(digits, knowing(digits)), lambda now: None)
    for name, tensor in states[0].average.state_dict().items():
        torch.testing.assert_close(tensor, states[1].average.state_dict()[name])


def model_of(digits: Dataset, resolution: int = 8) -> TrainedModel:
    network = small_network(resolution)
    return TrainedModel(
        network,
        build(network, seed=3).state_dict(),
        "classification",
        digits.classes,
        Preprocessing(resolution),
        "int8",
    )


def test_a_model_as_a_teacher_computes_as_its_module(digits: Dataset) -> None:
    model = model_of(digits)
    images = normalize(digits.train.images.take(torch.arange(4), 8))
    torch.testing.assert_close(teacher_of(model, "31", CPU).look(images), model.module()(images).detach())
    plain = replace(model, preprocessing=Preprocessing(8, mean=(0.0, 0.0, 0.0), std=(255.0, 255.0, 255.0)))
    wanted = model.module()((images + 1) / 2).detach()  # from 0 to 1
    torch.testing.assert_close(teacher_of(plain, "31", CPU).look(images), wanted)


def test_a_teacher_of_another_resolution_sees_images_of_its_own(digits: Dataset) -> None:
    shapes: list[tuple[int, ...]] = []
    inner = teacher_of(model_of(digits, 16), "31", CPU)

    def logits(images: Tensor) -> Tensor:
        shapes.append(tuple(images.shape))
        return inner.logits(images)

    teacher = replace(inner, logits=logits)
    assert teacher.look(torch.zeros(2, 3, 8, 8)).shape == (2, 10)
    assert all_logits(teacher, digits.validation, CPU).shape == (40, 10)
    assert shapes == [(2, 3, 16, 16), (40, 3, 16, 16)]


def test_a_good_teacher_is_taken_at_its_accuracy(digits: Dataset) -> None:
    assert check_teacher(knowing(digits), digits, CPU) == 1.0


def test_teachers_that_cannot_teach_are_refused(digits: Dataset, tmp_path: Path) -> None:
    good = knowing(digits)
    for teacher, message in (
        (replace(good, classes=("a", "b")), "teacher knowing: must have the 10 classes of digits; got 2"),
        (replace(good, classes=1000), "must have the 10 classes of digits; got 1000"),
        (replace(good, classes=tuple("0123456798")), "in their order; class 8 is '8' there and '9' here"),
        (replace(good, logits=lambda x: good.logits(x)[:, :9]), r"10 finite logits an image; got shape \(9,\)"),
        (replace(good, logits=lambda x: good.logits(x) * torch.nan), "must be 10 finite logits"),
        (replace(good, logits=lambda x: good.logits(x).roll(1, 1)), r"better than a guess \([\d.]+%\); got 0\.0%"),
    ):
        with pytest.raises(UserError, match=message):
            train_full(small_network(), digits, short_recipe(), tmp_path / "17", teacher=teacher, device=CPU)
    assert list(tmp_path.iterdir()) == []


def test_a_full_training_says_who_taught_it(digits: Dataset, tmp_path: Path) -> None:
    model = train_full(small_network(), digits, short_recipe(), tmp_path / "17", teacher=knowing(digits), device=CPU)
    assert model.lineage.steps == ("full training with the teacher knowing",)
    assert model.recipe["teacher"] == read_result(tmp_path / "17").teacher == "knowing"
    alone = train_full(small_network(), digits, short_recipe(), tmp_path / "18", device=CPU)
    assert not torch.equal(model.weights["classifier.bias"], alone.weights["classifier.bias"])
