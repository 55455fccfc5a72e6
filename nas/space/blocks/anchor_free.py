"""A detector's head without anchors (FCOS: Tian et al., ICCV 2019; GFL: Li et al., NeurIPS 2020)."""

from __future__ import annotations

from collections.abc import Iterator

from nas.space.block import Block, Kind, Row
from nas.space.layer import Layer, Shape
from nas.space.parts import conv_layers


class AnchorFree(Kind):
    """Two depthwise separable convolutions of `mid` channels; then a pointwise convolution with a bias.

    At each place of the map it gives a score for every class and four numbers, the distances to the sides of a box. As
    in GFL, a score says how good the box is too, so there is no centerness. Classes and boxes share the convolutions.
    Keys: anchor_free-IN-OUT-kK-mM[-ACTIVATION].
    """

    uses = frozenset({"kernel", "expand", "activation"})
    anchors = 1

    def block(self, shape: Shape, row: Row) -> Block:
        out = (row.classes + 4, *shape[1:])
        return Block("anchor_free", shape, out, row.kernel, mid=row.mid(shape[0]), activation=row.activation)

    def layers(self, block: Block) -> Iterator[Layer]:
        shape = block.in_shape
        for _ in range(2):
            yield from conv_layers(shape, shape[0], block.kernel, activation=block.activation, groups=shape[0])
            yield from conv_layers(shape, block.mid, activation=block.activation)
            shape = (block.mid, *shape[1:])
        yield from conv_layers(shape, block.out_shape[0], norm=False)

    def figures(self, block: Block) -> tuple[str, ...]:
        return (f"k{block.kernel}", f"m{block.mid}")

    def classes(self, block: Block) -> int:
        return block.out_shape[0] - 4
