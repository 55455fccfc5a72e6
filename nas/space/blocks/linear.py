"""The classifier, of what a pool gave."""

from __future__ import annotations

from collections.abc import Iterator

from nas.space.block import Block, Kind, Row
from nas.space.layer import Layer, Shape


class Linear(Kind):
    """Keys: linear-IN-OUT."""

    uses = frozenset[str]()
    classifies = True

    def block(self, shape: Shape, row: Row) -> Block:
        return Block("linear", shape, (row.classes, 1, 1))

    def layers(self, block: Block) -> Iterator[Layer]:
        yield Layer("linear", (block.in_shape[0], 1, 1), block.out_shape, bias=True)

    def figures(self, block: Block) -> tuple[str, ...]:
        return ()
