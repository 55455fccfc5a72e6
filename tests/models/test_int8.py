"""How a network is quantized, in a recipe and back."""

from dataclasses import replace

import pytest
import torch

from nas.errors import UserError
from nas.models.builder import build
from nas.models.int8 import Int8, block_modules, block_of
from nas.models.trained import Preprocessing, TrainedModel
from nas.space.block import Block
from nas.space.network import Network

SHAPE = (8, 4, 4)
NETWORK = Network((
    Block("conv", (3, 8, 8), SHAPE, 3, 2, activation="relu"),
    Block("ds", SHAPE, SHAPE, 3, 1, activation="relu"),
    Block("pool", SHAPE, (8, 1, 1)),
    Block("conv", (8, 1, 1), (16, 1, 1), activation="relu", norm=False),
    Block("linear", (16, 1, 1), (2, 1, 1)),
))  # fmt: skip


def model(**recipe: str) -> TrainedModel:
    weights = build(NETWORK).state_dict()
    return TrainedModel(NETWORK, weights, "classification", ("a", "b"), Preprocessing(8), recipe=recipe)


def test_every_part_belongs_to_a_block_of_the_module() -> None:
    module = build(NETWORK)
    blocks = block_modules(module)
    assert list(blocks) == ["conv_stem", "blocks.0.0", "global_pool", "conv_head", "flatten", "classifier"]
    assert {block_of(name) for name, part in module.named_modules() if not list(part.children())} == set(blocks)
    assert block_of("blocks.2.1.bn3.act.Relu") == "blocks.2.1" and block_of("bn2_2.act") == "conv_head_2"
    outputs = {}
    for name, part in blocks.items():
        part.register_forward_hook(lambda _, inputs, out, name=name: outputs.update({name: tuple(out.shape)}))
    module.eval()(torch.zeros(1, 3, 8, 8))
    assert outputs["conv_stem"] == outputs["blocks.0.0"] == (1, 8, 4, 4) and outputs["conv_head"] == (1, 16, 1, 1)


def test_a_recipe_keeps_the_settings() -> None:
    plain = model(optimizer="sgd")
    assert Int8.of(plain) == Int8()
    given = Int8("static", "tensorrt", ("conv_stem", "blocks.0.0"))
    kept = given.within(plain)
    assert Int8.of(kept) == given and kept.recipe["optimizer"] == "sgd" and kept.precision == "int8"
    assert Int8.of(Int8().within(kept)) == Int8()  # nothing is left of the settings before


@pytest.mark.parametrize(("key", "value", "message"), [
    ("int8_scheme", "magic", "int8_scheme must be static or dynamic; got 'magic'"),
    ("int8_target", "tpu", "int8_target must be cpu or tensorrt; got 'tpu'"),
    ("int8_float_blocks", "conv_stem blocks.9.9", r"must name blocks of the network; got 'blocks\.9\.9'"),
])  # fmt: skip
def test_settings_that_cannot_be_are_refused(key: str, value: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        Int8.of(replace(model(), recipe={key: value}))
