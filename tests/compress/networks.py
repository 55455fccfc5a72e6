"""A network with h-swish and squeeze-excite, trained on the bundled digits, and one that int8 ruins."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import torch

from nas.data.catalog import load_dataset
from nas.data.dataset import Dataset
from nas.models.builder import build
from nas.models.trained import Lineage, Preprocessing, TrainedModel
from nas.space.block import Block
from nas.space.network import Network
from nas.tasks.classification import Classification
from nas.train.loop import fit
from nas.train.recipe import Recipe

SIDE = 16


@cache
def digits() -> Dataset:
    return load_dataset("digits")


def network(classes: int = 10) -> Network:
    """ReLU6, ReLU and h-swish; depthwise, shuffled, squeezed and bare blocks; 16 pixels."""
    stem, wide = (16, 16, 16), (32, 8, 8)
    blocks = (
        Block("conv", (3, SIDE, SIDE), stem, 3, 1, activation="relu6"),
        Block("ds", stem, stem, 3, 1, activation="relu6"),
        Block("shuffle", stem, wide, 3, 2, mid=64, groups=2, activation="relu"),
        Block("mbconv", wide, wide, 3, 1, mid=64, se=8, activation="hswish", gate="hsigmoid"),
        Block("pool", wide, (32, 1, 1)),
        Block("conv", (32, 1, 1), (48, 1, 1), activation="hswish", norm=False),
        Block("linear", (48, 1, 1), (classes, 1, 1)),
    )
    return Network(blocks, (0, 1, 2, 2, 3, 3, 3))


@cache
def trained() -> TrainedModel:
    """Right on about 95% of the digits."""
    task, data = Classification("0123456789"), digits()
    module = build(network(), seed=3)
    fit(module, task, data.train, data.validation, Recipe(4, 16, SIDE, 0.1), seed=3, device=torch.device("cpu"))
    weights = {name: tensor.detach().clone() for name, tensor in module.state_dict().items()}
    hashes = {"dataset": data.fingerprint}
    return TrainedModel(
        network(), weights, task.name, task.classes, Preprocessing(SIDE), recipe={"dataset": "digits"},
        lineage=Lineage(steps=("training",), hashes=hashes),
    )  # fmt: skip


def uneven(factor: float = 500.0) -> TrainedModel:
    """The same function, but of some channels between two blocks the values are `factor` times larger.

    A tensor has one scale in int8, so the other channels are rounded to nothing.
    """
    weights = {name: tensor.clone() for name, tensor in trained().weights.items()}
    large = slice(0, 4)
    for norm in ("blocks.1.0.bn3", "blocks.1.1.bn3"):  # of the shuffle block, and of the residual one after it
        weights[f"{norm}.weight"][large] *= factor
        weights[f"{norm}.bias"][large] *= factor
    for reader in ("blocks.1.1.conv_pw", "conv_head"):
        weights[f"{reader}.weight"][:, large] /= factor
    return replace(trained(), weights=weights)
