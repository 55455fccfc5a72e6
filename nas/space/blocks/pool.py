"""The average over the whole image."""

from __future__ import annotations

from collections.abc import Iterator

from nas.space.block import Block, Kind, Row
from nas.space.layer import Layer, Shape


class Pool(Kind):
    """Keys: pool-IN-OUT."""

    uses = frozenset[str]()
    pools = True

    def block(self, shape: Shape, row: Row) -> Block:
        return Block("pool", shape, (shape[0], 1, 1))

    def layers(self, block: Block) -> Iterator[Layer]:
        yield Layer("global_pool", block.in_shape, (block.in_shape[0], 1, 1), function="avg")

    def figures(self, block: Block) -> tuple[str, ...]:
        return ()
