"""A supernet: the weights that all networks of a search space share, with no code for any kind of block."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from math import prod

import torch
from torch import Tensor, nn
from torch.func import functional_call

from nas.errors import UserError
from nas.files.plain import MB
from nas.models.blocks import module_of
from nas.models.builder import build, draw_weights, out_of_place
from nas.space.block import Block
from nas.space.block_table import blocks_at
from nas.space.network import Network
from nas.space.search_space import SearchSpace

OWN = 0  # variants of a block at one position that still have weights of their own
MOST_WEIGHTS = 400 * MB

Position = tuple[int, int]  # the stage, and the number of the block among those of the stage that are there
Group = tuple[Position, Block, tuple[str, ...]]  # what blocks of one largest block have in common; parameters' names


@dataclass(frozen=True, slots=True, eq=False)
class Supernet:
    """One set of tensors, of which the weights of every network of a space are slices. Made by `make_supernet`.

    A block's weights depend on its position. There, blocks that differ only in sizes are slices of one largest block,
    the first channels and the middle of a kernel, as in Once-for-All (Cai et al., ICLR 2020): weights of many variants
    all get their share of the training, and a channel means the same whatever the width. With `own`, where all blocks
    of a position read and give the same number of channels and there are at most so many of them, each has its own
    weights, as in Single Path One-Shot (Guo et al., ECCV 2020). In experiments/estimators, after equally short
    trainings, slices had the lower loss and ranked networks of equal depth better.
    """

    weights: Mapping[str, Tensor]  # float32, by position, largest block and the parameter's name
    largest: Mapping[Group, Block]
    alone: frozenset[Position]  # where each block has its own weights

    def forward(self, network: Network, images: Tensor) -> Tensor:
        """The logits (n, classes) of images (n, 3, h, w) of any size, in training mode; gradients reach `weights`.

        Batch norms have the statistics of the batch and keep none. Raises UserError for a network of another space.
        """
        for block, given in self._slices(network):
            images = functional_call(_bare(block), given, (images,))
        return images

    def network(self, network: Network) -> nn.Module:
        """A copy of a network's weights, as the module of `build`, whose batch norms have no statistics yet.

        Raises UserError for a network of another space.
        """
        model = build(network)
        slices = [tensor for _, given in self._slices(network) for tensor in given.values()]
        with torch.no_grad():
            for parameter, tensor in zip(model.parameters(), slices, strict=True):  # both in order of execution
                parameter.copy_(tensor)
        return model

    def _slices(self, network: Network) -> Iterator[tuple[Block, dict[str, Tensor]]]:
        """Each block with its parameters by name, parts of the shared tensors."""
        for position, block in positions(network):
            shapes = _shapes(block)
            largest = self.largest.get(_group(position, block, tuple(shapes), alone=position in self.alone))
            if largest is None or any(a > b for a, b in zip(_sizes(block), _sizes(largest), strict=True)):
                where = f"block {position[1]} of stage {position[0]}"
                raise UserError(f"the supernet was made for another space; it has no {block.key} as {where}")
            yield block, {n: _part(self.weights[_name(position, largest, n)], shape) for n, shape in shapes.items()}


def make_supernet(space: SearchSpace, classes: int, *, own: int = OWN, seed: int = 0) -> Supernet:
    """The supernet of a space for so many classes, its weights drawn with `seed` as `build` draws them.

    Positions of fixed channels with at most `own` different blocks have weights of each; 0: all are slices.
    Raises UserError for a space of more than 400 MB of weights, or of too many blocks.
    """
    groups: dict[Group, list[Block]] = {}
    alone = set()
    for position, found in blocks_at(space, classes).items():
        blocks = tuple(dict.fromkeys(map(_without_pixels, found)))
        if len({(block.in_shape, block.out_shape) for block in blocks}) == 1 and len(blocks) <= own:
            alone.add(position)
        for block in blocks:
            key = _group(position, block, tuple(_shapes(block)), alone=position in alone)
            groups.setdefault(key, []).append(block)
    largest = {key: _largest(blocks) for key, blocks in groups.items()}
    size = 4 * sum(prod(shape) for block in largest.values() for shape in _shapes(block).values())
    if size > MOST_WEIGHTS:
        has = f"the supernet of {space.name} would have {size / MB:,.0f} MB of weights"
        raise UserError(f"{has}; at most {MOST_WEIGHTS // MB} MB are possible")
    weights: dict[str, Tensor] = {}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for (position, _, names), block in largest.items():
            module = module_of(block)
            draw_weights(module)
            drawn = dict(module.named_parameters())
            weights |= {_name(position, block, name): drawn[name].detach() for name in names}
    return Supernet(weights, largest, frozenset(alone))


def positions(network: Network) -> Iterator[tuple[Position, Block]]:
    """The network's blocks with their positions; without stages, each block is one."""
    seen: Counter[int] = Counter()
    for stage, block in zip(network.stages or range(len(network.blocks)), network.blocks, strict=True):
        yield (stage, seen[stage]), block
        seen[stage] += 1


def _group(position: Position, block: Block, names: tuple[str, ...], *, alone: bool) -> Group:
    """What blocks have in common that are slices of one: all but the sizes, and which parameters they have."""
    block = _without_pixels(block)
    if not alone:
        block = replace(block, in_shape=(1, 1, 1), out_shape=(1, 1, 1), kernel=1, mid=0, se=0)
    return position, block, names


def _largest(blocks: Sequence[Block]) -> Block:
    """A block of whose weights those of all the blocks are slices."""
    return replace(
        blocks[0],
        in_shape=max(b.in_shape for b in blocks), out_shape=max(b.out_shape for b in blocks),  # of one pixel each
        kernel=max(b.kernel for b in blocks), mid=max(b.mid for b in blocks), se=max(b.se for b in blocks),
    )  # fmt: skip


def _sizes(block: Block) -> tuple[int, ...]:
    return block.in_shape[0], block.out_shape[0], block.kernel, block.mid, block.se


def _without_pixels(block: Block) -> Block:
    return replace(block, in_shape=(block.in_shape[0], 1, 1), out_shape=(block.out_shape[0], 1, 1))


def _name(position: Position, largest: Block, parameter: str) -> str:
    return f"{position[0]}.{position[1]}.{largest.key}.{parameter}"


def _part(tensor: Tensor, shape: Sequence[int]) -> Tensor:
    """The first channels, and the middle of a kernel."""
    for axis, (have, want) in enumerate(zip(tensor.shape, shape, strict=True)):
        if have != want:
            tensor = tensor.narrow(axis, (have - want) // 2 if axis >= 2 else 0, want)
    return tensor


def _shapes(block: Block) -> dict[str, torch.Size]:
    """The shapes of the block's parameters by name."""
    return {name: parameter.shape for name, parameter in _bare(block).named_parameters()}


@lru_cache(maxsize=10_000)
def _bare(block: Block) -> nn.Module:
    """The block's module without memory for weights, in training mode, whose batch norms keep no statistics."""
    with torch.device("meta"):
        module = module_of(block)
    out_of_place(module)
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.track_running_stats = False
    return module
