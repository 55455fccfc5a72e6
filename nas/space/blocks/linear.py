"""The classifier, of what a pool gave."""

from __future__ import annotations

from collections.abc import Iterator

from nas.space.block import Block, Kind, Row
from nas.space.layer import Layer, Shape
from nas.space.parts import linear_layers


class Linear(Kind):
    """Keys: linear-IN-OUT."""

    uses = frozenset[str]()
    classifies = True

    def block(self, shape: Shape, row: Row) -> Block:
        return Block("linear", shape, (row.classes, 1, 1))

    def layers(self, block: Block) -> Iterator[Layer]:
        return linear_layers(block.in_shape[0], block.out_shape[0], block.ranks_of(0))

    def figures(self, block: Block) -> tuple[str, ...]:
        return ()
