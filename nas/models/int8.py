"""How a network is quantized to int8, as a trained model's recipe keeps it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING, Literal, get_args

import torch

from nas.errors import UserError
from nas.models.blocks import module_of
from nas.models.builder import HEAD, STEM, build
from nas.space.block import KINDS

if TYPE_CHECKING:
    from torch import nn

    from nas.models.trained import TrainedModel
    from nas.space.network import Network

Scheme = Literal["static", "dynamic"]
Target = Literal["cpu", "tensorrt"]

_PARTS = {name: whole["conv"] for whole in (STEM, HEAD) for name in whole.values()}  # bn1: of conv_stem


@dataclass(frozen=True, slots=True)
class Int8:
    """static: all layers, with ranges measured on calibration images. dynamic: linear layers alone, ranges at run time.

    target: activations are unsigned for processors, and signed and symmetric for TensorRT, which takes no others.
    float_blocks: blocks that are left in float, by their names in the module, e.g. "blocks.2.1" or "conv_stem".
    """

    scheme: Scheme = "static"
    target: Target = "cpu"
    float_blocks: tuple[str, ...] = ()

    @classmethod
    def of(cls, model: TrainedModel) -> Int8:
        """What the model's recipe says; all of the network, static and for processors, where it says nothing.

        Raises UserError for a scheme, a target or a block that does not exist.
        """
        recipe = model.recipe
        scheme, target = recipe.get("int8_scheme", "static"), recipe.get("int8_target", "cpu")
        for name, value, known in (("int8_scheme", scheme, Scheme), ("int8_target", target, Target)):
            if value not in get_args(known):
                raise UserError(f"recipe: {name} must be {' or '.join(get_args(known))}; got {str(value)[:80]!r}")
        blocks = tuple(str(recipe.get("int8_float_blocks", "")).split())
        if blocks:
            there = block_modules(build(model.network))
            if odd := [block for block in blocks if block not in there]:
                raise UserError(f"recipe: int8_float_blocks must name blocks of the network; got {odd[0][:80]!r}")
        return cls(scheme, target, blocks)  # type: ignore[arg-type]  # checked above

    def within(self, model: TrainedModel) -> TrainedModel:
        """The model, its recipe with these settings and its precision int8."""
        recipe = without_int8(model.recipe) | {"int8_scheme": self.scheme, "int8_target": self.target}
        if self.float_blocks:
            recipe["int8_float_blocks"] = " ".join(self.float_blocks)
        return replace(model, recipe=recipe, precision="int8")


def block_of(name: str) -> str:
    """The block that a part of a module belongs to: "blocks.2.1" of "blocks.2.1.bn3.act", "conv_stem" of "bn1"."""
    parts = name.split(".")
    if parts[0] == "blocks":
        return ".".join(parts[:3])
    if parts[0] == "heads":
        return ".".join(parts[:2])
    first, _, number = parts[0].partition("_") if parts[0].startswith(("bn", "act")) else (parts[0], "", "")
    return _PARTS.get(first, first) + (f"_{number}" if number else "")


def block_modules(module: nn.Module) -> dict[str, nn.Module]:
    """The blocks of a built network in order of execution, each with its last part, whose output is the block's.

    Parts without weights, such as a pool, are among them.
    """
    found: dict[str, nn.Module] = {}
    for name, part in module.named_children():
        if name == "blocks":
            found |= {f"blocks.{s}.{b}": m for s, row in part.named_children() for b, m in row.named_children()}
        elif name == "heads":
            found |= {f"heads.{number}": head for number, head in part.named_children()}
        else:
            found[block_of(name)] = part
    return found


def names_of_blocks(network: Network, module: nn.Module) -> tuple[tuple[str, ...], ...]:
    """The names in `block_modules` that each block of the network has, in order: one but for pools and classifiers."""
    names = iter(block_modules(module))
    with torch.device("meta"):
        sizes = [
            1
            if "channels" in KINDS[block.kind].uses or KINDS[block.kind].anchors
            else len(list(module_of(block).children()))
            for block in network.blocks
        ]
    return tuple(tuple(islice(names, size)) for size in sizes)


def without_int8(recipe: Mapping[str, str | int | float]) -> dict[str, str | int | float]:
    """A recipe without what says how to quantize."""
    return {name: value for name, value in recipe.items() if not name.startswith("int8_")}
