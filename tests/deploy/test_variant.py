"""What a model file is, in a few words."""

from __future__ import annotations

from typing import Any

import pytest

from nas.deploy.card import Card
from nas.deploy.variant import changes, variant
from nas.space.layer import Precision


def card(steps: list[str], recipe: dict[str, Any]) -> Card:
    return Card(
        version=1, made="", tool="", task="classification", classes=2, resolution=24, params=1, macs=1, weights="full",
        precision="int8", run="", steps=steps, hashes={}, recipe=recipe, dataset="", dataset_sha256="", dataset_seed=0,
        device="", threads=1, budgets={}, models={},
    )  # fmt: skip


@pytest.mark.parametrize(
    ("precision", "steps", "recipe", "words"),
    [
        ("fp32", ["full training"], {}, "fp32"),
        ("int8", ["full training", "quantize: int8 loses 0.1 points"], {}, "int8, static"),
        ("int8", ["prune: 40%", "quantize: int8"], {"int8_scheme": "dynamic"}, "int8, dynamic, pruned"),
        ("int8", ["quantize: int8, 5 epochs of QAT"], {"int8_float_blocks": "conv_stem blocks.0.0"},
         "int8, QAT, 2 blocks in float"),
        ("fp32", ["low-rank: 0.5", "share: 3"], {}, "fp32, factorized, shared parameters"),
    ],
)  # fmt: skip
def test_a_variant_is_its_precision_and_what_was_done(
    precision: Precision, steps: list[str], recipe: dict[str, Any], words: str
) -> None:
    assert variant(card(steps, recipe), precision) == words


def test_a_step_that_was_done_twice_is_named_once() -> None:
    assert changes(card(["prune: a", "prune: b", "full training"], {})) == ["pruned"]
