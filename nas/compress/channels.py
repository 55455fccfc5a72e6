"""Which channels of a network belong together, how large each such group is, and the weights that are theirs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor, nn

from nas.compress.tensors import tensors_of
from nas.models.fold import fold_batch_norms
from nas.models.trained import TrainedModel
from nas.space.block import KINDS, Block
from nas.space.network import Network

Side = Literal["in", "mid", "out"]
Axes = tuple[Side | None, Side | None]  # what a weight's first and second axis count; None: something else

_SQUEEZE: dict[str, Axes] = {"conv_reduce": (None, "mid"), "conv_expand": ("mid", None)}
_AXES: dict[str, dict[str, Axes]] = {  # by kind of block and part of its module
    "conv": {"conv": ("out", "in"), "bn1": ("out", None)},
    "ds": {
        "conv_dw": ("in", None), "bn1": ("in", None), "conv_pw": ("out", "in"), "bn2": ("out", None),
        "conv_reduce": (None, "in"), "conv_expand": ("in", None),
    },
    "mbconv": {
        "conv_pw": ("mid", "in"), "bn1": ("mid", None), "conv_dw": ("mid", None), "bn2": ("mid", None),
        "conv_pwl": ("out", "mid"), "bn3": ("out", None), **_SQUEEZE,
    },
    "fused_mbconv": {
        "conv_exp": ("mid", "in"), "bn1": ("mid", None), "conv_pwl": ("out", "mid"), "bn2": ("out", None), **_SQUEEZE,
    },
    "linear": {"classifier": (None, "in")},
    "pool_linear": {"classifier": (None, "in")},
    "pool": {},
    "ssdlite": {"conv_dw": ("in", None), "bn1": ("in", None), "predict": (None, "in")},
    "anchor_free": {
        "conv_dw1": ("in", None), "bn1": ("in", None), "conv_pw1": ("mid", "in"), "bn2": ("mid", None),
        "conv_dw2": ("mid", None), "bn3": ("mid", None), "conv_pw2": ("mid", "mid"), "bn4": ("mid", None),
        "predict": (None, "mid"),
    },
}  # fmt: skip
_UNPROJECTED: dict[str, Axes] = {  # fused_mbconv without an expansion
    "conv": ("out", "in"), "bn1": ("out", None), "conv_reduce": (None, "out"), "conv_expand": ("out", None),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Group:
    """Channels that only leave together: of blocks, by their numbers, and the side of each that they are on."""

    channels: int
    members: tuple[tuple[int, Side], ...]


Sizes = Mapping[Group, int]  # channels that remain


def groups_of(network: Network) -> tuple[Group, ...]:
    """Every group that may be made smaller: expansions, and the widths that additions and taps tie together.

    Blocks that share weights have the same channels. Not among them: image, classes and boxes, and what a grouped
    convolution or a block read from a file touches.
    """
    found: list[list[tuple[int, Side]]] = [[]]
    fixed: set[int] = {0}  # the image
    ends: list[int] = []  # the group of each block's output
    for number, block in enumerate(network.blocks):
        source = network.source(number)
        entrance = end = 0 if source < 0 else ends[source]
        found[entrance].append((number, "in"))
        free = block.kind in _AXES and block.groups == 1
        if free and block.kind in ("mbconv", "fused_mbconv", "anchor_free") and not _unprojected(block):
            found.append([(number, "mid")])
        if not (block.residual or block.kind == "pool"):
            found.append([])
            end = len(found) - 1
        found[end].append((number, "out"))
        ends.append(end)
        if not free:
            fixed |= {entrance, end}
        if "linear" in block.kind or KINDS[block.kind].anchors:
            fixed.add(end)
    _join_shared(network, found, fixed)
    return tuple(
        Group(_channels(network, members[0]), tuple(members))
        for place, members in enumerate(found)
        if place not in fixed and members
    )


def _join_shared(network: Network, found: list[list[tuple[int, Side]]], fixed: set[int]) -> None:
    """Joins, in place, the groups of the same side of blocks that share weights; of joined ones the first remains."""
    for number, source in enumerate(network.shared):
        for side in ("in", "mid", "out") if source != number else ():
            places = [
                next((place for place, members in enumerate(found) if (n, side) in members), None)
                for n in (source, number)
            ]
            first, second = places
            if first is None or second is None or first == second:
                continue
            found[first] = sorted({*found[first], *found[second]})
            found[second] = []
            if second in fixed:
                fixed.add(first)


def resized(network: Network, sizes: Sizes) -> Network | None:
    """The network with some groups of another size; None where a block would then be another one.

    An addition would appear where a block's output becomes as wide as its input, and an expansion would vanish.
    """
    blocks = list(network.blocks)
    for group, size in sizes.items():
        for number, side in group.members:
            block = blocks[number]
            if side == "mid":
                blocks[number] = replace(block, mid=size)
            elif side == "in":
                # what does not exist, or only filters each channel, is counted as wide as the input
                same = _unprojected(network.blocks[number]) or block.kind == "ssdlite"
                mid = size if same else block.mid
                blocks[number] = replace(block, in_shape=(size, *block.in_shape[1:]), mid=mid)
            else:
                blocks[number] = replace(block, out_shape=(size, *block.out_shape[1:]))
    for old, new in zip(network.blocks, blocks, strict=True):
        if old.residual != new.residual or _unprojected(old) != _unprojected(new):
            return None
    return replace(network, blocks=tuple(blocks))


def importance(model: TrainedModel, groups: Sequence[Group]) -> dict[Group, Tensor]:
    """What each channel (channels,) of a group is worth, as a share of the whole group.

    The mean over its weights, batch norms folded into them, of the squares of a channel's as a share of all channels'
    (group magnitude: Fang et al., CVPR 2023, "DepGraph").
    """
    module = model.module()
    fold_batch_norms(module)
    worth = {group: torch.zeros(group.channels) for group in groups}
    by_side = {(number, side): group for group in groups for number, side in group.members}
    for number, name, tensor, axes in _tensors(model.network, module):
        if tensor.dim() < 2 or not name.endswith("weight"):
            continue
        for axis, side in enumerate(axes):
            group = by_side.get((number, side)) if side else None
            if group is not None:
                squares = tensor.transpose(0, axis).flatten(1).square().sum(1)
                worth[group] += squares / squares.sum().clamp_min(1e-12)
    return {group: found / found.sum().clamp_min(1e-12) for group, found in worth.items()}


def pruned(model: TrainedModel, sizes: Sizes, worth: Mapping[Group, Tensor]) -> TrainedModel:
    """The model with only the most important channels of each group. Raises ValueError where `resized` gives None."""
    network = resized(model.network, sizes)
    if network is None:
        raise ValueError("these sizes make other blocks")
    kept = {group: worth[group].topk(size).indices.sort().values for group, size in sizes.items()}
    by_side = {(number, side): kept[group] for group in kept for number, side in group.members}
    weights = {}
    for number, name, tensor, axes in _tensors(model.network, model.module()):
        for axis, side in enumerate(axes):
            chosen = by_side.get((number, side)) if side else None
            if chosen is not None and tensor.dim() > axis:
                tensor = tensor.index_select(axis, chosen)
        weights[name] = tensor.clone()
    return replace(model, network=network, weights=weights)


def _tensors(network: Network, module: nn.Module) -> Iterator[tuple[int, str, Tensor, Axes]]:
    """Each tensor of a built module's state: its block's number, its name, and what its axes count."""
    for number, name, full, tensor in tensors_of(network, module):
        yield number, full, tensor, _axes(network.blocks[number], name)


def _axes(block: Block, name: str) -> Axes:
    known = _UNPROJECTED if _unprojected(block) else _AXES.get(block.kind, {})
    parts = name.split(".")
    if block.groups > 1 or "core" in parts:
        return (None, None)
    out, into = next((axes for part, axes in known.items() if part in parts), (None, None))
    # of a product's factors one reads what the weight reads, another gives what it gives
    return (None if "reduce" in parts else out, None if "expand" in parts else into)


def _unprojected(block: Block) -> bool:
    return block.kind == "fused_mbconv" and block.mid == block.in_shape[0]


def _channels(network: Network, member: tuple[int, Side]) -> int:
    number, side = member
    block = network.blocks[number]
    return block.mid if side == "mid" else (block.in_shape if side == "in" else block.out_shape)[0]
