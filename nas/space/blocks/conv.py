"""A convolution, batch norm unless `norm` is false (then a bias), activation."""

from __future__ import annotations

from collections.abc import Iterator

from nas.space.block import Block, Kind, Row
from nas.space.layer import Layer, Shape
from nas.space.parts import conv_layers, strided


class Conv(Kind):
    """Stems, heads, and the stages of plain networks. Keys: conv-IN-OUT-kK-sS[-gG][-ACTIVATION]."""

    uses = frozenset({"channels", "kernel", "stride", "groups", "activation", "norm"})

    def block(self, shape: Shape, row: Row) -> Block:
        out = strided(shape, row.channels, row.stride)
        return Block(
            "conv", shape, out, row.kernel, row.stride, activation=row.activation, groups=row.groups, norm=row.norm
        )

    def layers(self, block: Block) -> Iterator[Layer]:
        return conv_layers(
            block.in_shape, block.out_shape[0], block.kernel, block.stride, block.activation, groups=block.groups,
            norm=block.norm, ranks=block.ranks_of(0),
        )  # fmt: skip
