"""Blocks, the rows of a lookup table: a stem, an inverted residual, a head; each a tuple of layers.

What a block of one kind is made of stands in that kind's file in `nas.space.blocks`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import ClassVar

from nas.space.layer import Layer, Shape


def make_divisible(value: float, divisor: int = 8) -> int:
    """The multiple of `divisor` nearest to `value`, never more than 10% below it (Sandler et al., CVPR 2018)."""
    rounded = max(divisor, int(value + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < 0.9 * value else rounded


Boxes = tuple[int, int]
Ranks = tuple[int, ...]  # of one weight that is a product; none: it is whole. See `nas.space.parts.conv_layers`

_USUAL_GATES = {"relu": "hsigmoid", "hswish": "hsigmoid"}  # by activation: MobileNetV3's; all others have sigmoid


@dataclass(frozen=True, slots=True)
class Block:
    """One row of a network's stage table, with the shapes filled in. Its kind says which of the fields it reads."""

    kind: str
    in_shape: Shape
    out_shape: Shape
    kernel: int = 1
    stride: int = 1
    mid: int = 0  # channels between expansion and projection
    se: int = 0  # channels that squeeze-excite reduces to; 0: none
    activation: str = ""
    gate: str = ""  # squeeze-excite's last activation: "sigmoid" or "hsigmoid"
    groups: int = 1
    norm: bool = True
    project_activation: str = ""  # ds only: an activation after the pointwise convolution (MobileNetV1)
    imported: tuple[Layer, ...] = field(default=(), repr=False)
    ranks: tuple[Ranks, ...] = ()  # of its weights but depthwise and squeeze-excite's, in order of execution

    def ranks_of(self, number: int) -> Ranks:
        """The ranks of weight `number` of those that may be products; none where it is whole."""
        return self.ranks[number] if number < len(self.ranks) else ()

    @property
    def residual(self) -> bool:
        """Whether the block's input is added to its output."""
        return KINDS[self.kind].residual(self)

    @property
    def layers(self) -> tuple[Layer, ...]:
        return _layers(self)

    @property
    def key(self) -> str:
        """The block's name in a lookup table: equal for blocks that cost the same, without spaces or commas."""
        shapes = ("x".join(map(str, shape)) for shape in (self.in_shape, self.out_shape))
        shared = (f"g{self.groups}" * (self.groups > 1), f"se{self.se}" * (self.se > 0))
        words = (self.activation, self.project_activation, self._unusual_gate, self._factors)
        return "-".join(filter(None, (self.kind, *shapes, *KINDS[self.kind].figures(self), *shared, *words)))

    @property
    def _factors(self) -> str:
        """The ranks as a key names them: rank_16_0, 0 for a weight that is whole."""
        return "_".join(["rank", *("x".join(map(str, ranks)) or "0" for ranks in self.ranks)]) if self.ranks else ""

    @property
    def _unusual_gate(self) -> str:
        """The gate as a key names it; nothing for the one that published networks with the same activation have."""
        gate, usual = self.gate or "sigmoid", _USUAL_GATES.get(self.activation, "sigmoid")
        return f"gate_{gate}" if self.se and gate != usual else ""


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a stage table with every choice made: what a kind makes a block of. The keys are the table's."""

    channels: int = 0
    classes: int = 0
    kernel: int = 1
    stride: int = 1
    expand: float = 1.0
    se: float = 0.0
    se_of: str = "expanded"
    gate: str = "sigmoid"
    groups: int = 1
    activation: str = ""
    norm: bool = True

    def mid(self, channels: int) -> int:
        """The expanded channels, of so many input channels."""
        return make_divisible(channels * self.expand)

    def squeezed(self, channels: int, expanded: int) -> int:
        """The channels that squeeze-excite reduces to; 0 without it. MobileNetV3 rounds them to multiples of 8."""
        if not self.se:
            return 0
        return make_divisible(expanded * self.se) if self.se_of == "expanded" else max(1, round(channels * self.se))


class Kind(ABC):
    """One kind of block: the keys of a stage table that it reads, the block they make, its layers and its key.

    A subclass in a file of `nas.space.blocks` is known by the file's name. Its module stands in the file of the same
    name in `nas.models.blocks`.
    """

    uses: ClassVar[frozenset[str]]  # the table's keys, but for name and block; without "channels": a kind of the head
    pools: ClassVar[bool] = False  # whether it averages over the whole image, so that what follows is 1x1
    classifies: ClassVar[bool] = False  # whether it ends a network, with one output a class
    anchors: ClassVar[int] = 0  # boxes at each place of the map that a detector's head reads; 0: it is no such head
    in_tables: ClassVar[bool] = True  # whether a stage table can hold it

    @abstractmethod
    def block(self, shape: Shape, row: Row) -> Block:
        """The block that reads `shape`."""

    @abstractmethod
    def layers(self, block: Block) -> Iterator[Layer]: ...

    def figures(self, block: Block) -> tuple[str, ...]:
        """What the block's key says between the shapes and the groups."""
        return (f"k{block.kernel}", f"s{block.stride}")

    def residual(self, block: Block) -> bool:
        """Whether the block's input is added to its output."""
        return False

    def boxes(self, block: Block) -> Boxes:
        """Of a detector's head: how many boxes, and the numbers that it gives of each, the classes' and four."""
        _, height, width = block.out_shape
        return self.anchors * height * width, block.out_shape[0] // self.anchors

    def classes(self, block: Block) -> int:
        """How many classes the block tells apart, where it ends a network."""
        return block.out_shape[0]


KINDS: dict[str, Kind] = {}  # filled when nas.space is imported


@lru_cache(maxsize=65536)
def _layers(block: Block) -> tuple[Layer, ...]:
    return tuple(KINDS[block.kind].layers(block))
