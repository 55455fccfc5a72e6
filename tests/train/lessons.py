"""A training in full that takes a tenth of a second."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import torch

from nas.data.catalog import load_dataset
from nas.data.dataset import Dataset
from nas.models.builder import build
from nas.space.block import Block
from nas.space.network import Network
from nas.tasks.classification import Classification
from nas.train.distill import Teacher
from nas.train.full_recipe import FullRecipe, full_recipe
from nas.train.training import Lesson, Training, begin

CPU = torch.device("cpu")


def few_digits(images: int = 96, held: int = 40) -> Dataset:
    """Digits, of which few are trained with, and few look at."""
    digits = load_dataset("digits")
    few = digits.validation.subset(torch.arange(held))
    return replace(digits, train=digits.train.subset(torch.arange(images)), validation=few)


def small_network(resolution: int = 8, classes: int = 10) -> Network:
    stem, wide = (8, resolution // 2, resolution // 2), (16, resolution // 4, resolution // 4)
    blocks = (
        Block("conv", (3, resolution, resolution), stem, 3, 2, activation="relu6"),
        Block("mbconv", stem, wide, 3, 2, mid=16, activation="relu6"),
        Block("mbconv", wide, wide, 3, 1, mid=32, activation="relu6"),
        Block("pool_linear", wide, (classes, 1, 1)),
    )
    return Network(blocks, (0, 1, 1, 2))


def short_recipe(**changed: Any) -> FullRecipe:
    given: dict[str, Any] = {"images": 96, "resolution": 8, "batch_size": 32, "epochs": 2, **changed}
    hyperparameters = given.pop("hyperparameters", {"optimizer": "sgd", "learning_rate": 0.1})
    return full_recipe(hyperparameters, **given)


def lesson(dataset: Dataset, teacher: Teacher | None = None, limit_s: float = math.inf, seed: int = 0) -> Lesson:
    task = Classification(dataset.classes)
    return Lesson(task, dataset.train, dataset.validation, dataset.flip, seed, CPU, teacher, limit_s)


def fresh(dataset: Dataset, recipe: FullRecipe, seed: int = 0) -> Training:
    return begin(build(small_network(), seed=seed), recipe, dataset.train, CPU)
