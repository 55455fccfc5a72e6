"""The average over the whole image and the classifier, timed as one."""

from __future__ import annotations

from collections.abc import Iterator

from nas.space.block import Block, Kind, Row
from nas.space.layer import Layer, Shape
from nas.space.parts import linear_layers


class PoolLinear(Kind):
    """Keys: pool_linear-IN-OUT."""

    uses = frozenset[str]()
    classifies = True
    pools = True

    def block(self, shape: Shape, row: Row) -> Block:
        return Block("pool_linear", shape, (row.classes, 1, 1))

    def layers(self, block: Block) -> Iterator[Layer]:
        pooled = (block.in_shape[0], 1, 1)
        yield Layer("global_pool", block.in_shape, pooled, function="avg")
        yield from linear_layers(pooled[0], block.out_shape[0], block.ranks_of(0))

    def figures(self, block: Block) -> tuple[str, ...]:
        return ()
