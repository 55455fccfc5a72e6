"""The layers of a network that was read from a file, as they stand."""

from __future__ import annotations

from collections.abc import Iterator

from nas.errors import UserError
from nas.space.block import Block, Kind, Row
from nas.space.layer import Layer, Shape


class Imported(Kind):
    """Keys: imported-IN-OUT-k1-s1; two unlike layers can have the same, so that no table of blocks holds them."""

    uses = frozenset[str]()
    in_tables = False

    def block(self, shape: Shape, row: Row) -> Block:
        raise UserError("a stage table cannot hold the layers of a file")

    def layers(self, block: Block) -> Iterator[Layer]:
        return iter(block.imported)
