"""A network of equal blocks, wide enough to be pruned and factorized, trained on the bundled digits."""

from __future__ import annotations

from functools import cache

import torch

from nas.models.builder import build
from nas.models.trained import Lineage, Preprocessing, TrainedModel
from nas.space.block import Block
from nas.space.network import Network
from nas.tasks.classification import Classification
from nas.train.loop import fit
from nas.train.recipe import Recipe
from tests.compress.networks import SIDE, digits

STEM, WIDE = (16, 16, 16), (32, 8, 8)
EQUAL = Block("mbconv", WIDE, WIDE, 3, 1, mid=96, activation="relu6")
REPEATED = Network(
    (
        Block("conv", (3, SIDE, SIDE), STEM, 3, 1, activation="relu6"),
        Block("fused_mbconv", STEM, WIDE, 3, 2, mid=64, activation="relu6"),
        EQUAL,
        EQUAL,
        EQUAL,
        Block("pool_linear", WIDE, (10, 1, 1)),
    ),
    (0, 1, 2, 2, 2, 3),
)


@cache
def repeated() -> TrainedModel:
    task, data, module = Classification("0123456789"), digits(), build(REPEATED, seed=0)
    fit(module, task, data.train, data.validation, Recipe(3, 32, SIDE, 0.1), seed=0, device=torch.device("cpu"))
    weights = {name: tensor.detach().clone() for name, tensor in module.state_dict().items()}
    recipe = {"optimizer": "sgd", "learning_rate": 0.1, "dataset": "digits"}
    lineage = Lineage(steps=("training",), hashes={"dataset": data.fingerprint})
    return TrainedModel(REPEATED, weights, task.name, task.classes, Preprocessing(SIDE), recipe=recipe, lineage=lineage)
