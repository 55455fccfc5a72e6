"""The fused inverted residual of EfficientNetV2 (Tan and Le, ICML 2021), whose expansion is a full convolution."""

from __future__ import annotations

from collections.abc import Iterator
from math import prod

from nas.space.block import Block, Kind, Row
from nas.space.layer import Layer, Shape
from nas.space.parts import conv_layers, squeeze_excite, strided


class FusedInvertedResidual(Kind):
    """A convolution that expands to `mid` channels, squeeze-excite, pointwise projection; with expand 1 no projection.

    The input is added where shapes stay. Keys: fused_mbconv-IN-OUT-kK-sS-mM[-seN][-ACTIVATION].
    """

    uses = frozenset({"channels", "kernel", "stride", "expand", "se", "se_of", "gate", "activation"})

    def block(self, shape: Shape, row: Row) -> Block:
        mid = shape[0] if row.expand == 1 else row.mid(shape[0])
        se = row.squeezed(shape[0], row.channels if mid == shape[0] else mid)
        return Block(
            "fused_mbconv", shape, strided(shape, row.channels, row.stride), row.kernel, row.stride, mid, se,
            row.activation, row.gate if se else "",
        )  # fmt: skip

    def figures(self, block: Block) -> tuple[str, ...]:
        return (*super().figures(block), f"m{block.mid}")

    def layers(self, block: Block) -> Iterator[Layer]:
        held = prod(block.in_shape) if block.residual else 0
        projects = block.mid != block.in_shape[0]
        shape = strided(block.in_shape, block.mid if projects else block.out_shape[0], block.stride)
        yield from conv_layers(
            block.in_shape, shape[0], block.kernel, block.stride, block.activation, held=held, enters=True,
            ranks=block.ranks_of(0),
        )  # fmt: skip
        if block.se:
            yield from squeeze_excite(block, shape, held)
        if projects:
            yield from conv_layers(shape, block.out_shape[0], held=held, ranks=block.ranks_of(1))
        if block.residual:
            yield Layer("add", block.out_shape, block.out_shape)

    def residual(self, block: Block) -> bool:
        return block.stride == 1 and block.in_shape == block.out_shape
