"""The average over the whole image and the classifier, timed as one."""

from __future__ import annotations

from collections.abc import Iterator

from nas.space.block import Block, Kind, Row
from nas.space.layer import Layer, Shape


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
        yield Layer("linear", pooled, block.out_shape, bias=True)

    def figures(self, block: Block) -> tuple[str, ...]:
        return ()
