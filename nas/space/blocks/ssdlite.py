"""A detector's depthwise separable head with anchors (Liu et al., ECCV 2016; SSDLite: Sandler et al., CVPR 2018)."""

from __future__ import annotations

from collections.abc import Iterator

from nas.space.block import Block, Kind, Row
from nas.space.layer import Layer, Shape
from nas.space.parts import conv_layers


class SSDLite(Kind):
    """Depthwise convolution, batch norm, activation; then a pointwise convolution with a bias.

    At each place of the map, for each of 6 anchors, it gives a score for every class and four numbers of a box. Classes
    and boxes share the depthwise convolution, where SSDLite has one for each: that halves a head's time.
    Keys: ssdlite-IN-OUT-kK[-ACTIVATION].
    """

    uses = frozenset({"kernel", "activation"})
    anchors = 6

    def block(self, shape: Shape, row: Row) -> Block:
        out = (self.anchors * (row.classes + 4), *shape[1:])
        return Block("ssdlite", shape, out, row.kernel, mid=shape[0], activation=row.activation)

    def layers(self, block: Block) -> Iterator[Layer]:
        channels = block.in_shape[0]
        yield from conv_layers(block.in_shape, channels, block.kernel, activation=block.activation, groups=channels)
        yield from conv_layers(block.in_shape, block.out_shape[0], norm=False)

    def figures(self, block: Block) -> tuple[str, ...]:
        return (f"k{block.kernel}",)

    def classes(self, block: Block) -> int:
        return block.out_shape[0] // self.anchors - 4
