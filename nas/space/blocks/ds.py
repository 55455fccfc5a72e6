"""A depthwise separable convolution (Howard et al., arXiv:1704.04861; MobileNetV2's first block)."""

from __future__ import annotations

from collections.abc import Iterator
from math import prod

from nas.space.block import Block, Kind, Row
from nas.space.layer import Layer, Shape
from nas.space.parts import conv_layers, squeeze_excite, strided


class DepthwiseSeparable(Kind):
    """Depthwise convolution, squeeze-excite, pointwise convolution; the input added where shapes stay.

    The pointwise convolution has no activation but MobileNetV1's, whose blocks add no input.
    Keys: ds-IN-OUT-kK-sS[-seN][-ACTIVATION[-ACTIVATION]].
    """

    uses = frozenset({"channels", "kernel", "stride", "se", "se_of", "gate", "activation"})

    def block(self, shape: Shape, row: Row) -> Block:
        se = row.squeezed(shape[0], shape[0])
        return Block(
            "ds", shape, strided(shape, row.channels, row.stride), row.kernel, row.stride, shape[0], se,
            row.activation, row.gate if se else "",
        )  # fmt: skip

    def layers(self, block: Block) -> Iterator[Layer]:
        held = prod(block.in_shape) if block.residual else 0
        channels = block.in_shape[0]
        yield from conv_layers(
            block.in_shape, channels, block.kernel, block.stride, block.activation, groups=channels, held=held,
            enters=True,
        )  # fmt: skip
        shape = strided(block.in_shape, channels, block.stride)
        if block.se:
            yield from squeeze_excite(block, shape, held)
        yield from conv_layers(
            shape, block.out_shape[0], activation=block.project_activation, held=held, ranks=block.ranks_of(0)
        )
        if block.residual:
            yield Layer("add", block.out_shape, block.out_shape)

    def residual(self, block: Block) -> bool:
        return block.stride == 1 and block.in_shape == block.out_shape and not block.project_activation
