"""The inverted residual (Sandler et al., CVPR 2018; with squeeze-excite, Howard et al., ICCV 2019)."""

from __future__ import annotations

from collections.abc import Iterator
from math import prod

from nas.space.block import Block, Kind, Row
from nas.space.layer import Layer, Shape
from nas.space.parts import conv_layers, squeeze_excite, strided


class InvertedResidual(Kind):
    """Pointwise expansion to `mid` channels, depthwise convolution, squeeze-excite, pointwise projection.

    The input is added where shapes stay. With groups, the pointwise convolutions have that many and the channels are
    shuffled after the first. Keys: mbconv-IN-OUT-kK-sS-mM[-gG][-seN][-ACTIVATION].
    """

    name = "mbconv"
    uses = frozenset({"channels", "kernel", "stride", "expand", "se", "se_of", "gate", "groups", "activation"})

    def block(self, shape: Shape, row: Row) -> Block:
        mid = row.mid(shape[0])
        se = row.squeezed(shape[0], mid)
        return Block(
            self.name, shape, strided(shape, row.channels, row.stride), row.kernel, row.stride, mid, se,
            row.activation, row.gate if se else "", row.groups,
        )  # fmt: skip

    def figures(self, block: Block) -> tuple[str, ...]:
        return (*super().figures(block), f"m{block.mid}")

    def layers(self, block: Block) -> Iterator[Layer]:
        held = prod(block.in_shape) if block.residual else 0
        shape = (block.mid, *block.in_shape[1:])
        yield from conv_layers(
            block.in_shape, block.mid, activation=block.activation, groups=block.groups, held=held, enters=True,
            ranks=block.ranks_of(0),
        )  # fmt: skip
        if block.groups > 1:
            yield Layer("shuffle", shape, shape, groups=block.groups, held=held)
        yield from conv_layers(
            shape, block.mid, block.kernel, block.stride, block.activation, groups=block.mid, held=held
        )
        shape = strided(shape, block.mid, block.stride)
        if block.se:
            yield from squeeze_excite(block, shape, held)
        yield from conv_layers(shape, block.out_shape[0], groups=block.groups, held=held, ranks=block.ranks_of(1))
        if block.residual:
            yield Layer("add", block.out_shape, block.out_shape)

    def residual(self, block: Block) -> bool:
        return block.stride == 1 and block.in_shape == block.out_shape
