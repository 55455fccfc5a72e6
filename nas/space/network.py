"""A network: the tuple of blocks that the cost model prices and the model builder builds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from nas.space.block import Block
from nas.space.layer import BYTES, Layer, Precision, Shape


@dataclass(frozen=True, slots=True)
class Network:
    """Blocks in order of execution. `stages` gives, for each block, the stage of the table that it belongs to."""

    blocks: tuple[Block, ...]
    stages: tuple[int, ...] = ()

    @property
    def layers(self) -> Iterator[Layer]:
        for block in self.blocks:
            yield from block.layers

    @property
    def input_shape(self) -> Shape:
        return self.blocks[0].in_shape

    @property
    def classes(self) -> int:
        return self.blocks[-1].out_shape[0]

    @property
    def params(self) -> int:
        """Trained parameters, batch norm's scale and shift included."""
        return sum(layer.params for layer in self.layers)

    @property
    def macs(self) -> int:
        """Multiply-adds of one inference."""
        return sum(layer.macs for layer in self.layers)

    def size_mb(self, precision: Precision) -> float:
        """Megabytes (10^6 bytes) of the deployed weights, batch norm folded."""
        return sum(layer.weight_bytes(precision) for layer in self.layers) / 1e6

    def peak_memory_mb(self, precision: Precision) -> float:
        """Megabytes (10^6 bytes) of the most activations alive at once, weights not counted."""
        return max(layer.live for layer in self.layers) * BYTES[precision] / 1e6


def imported(layers: Sequence[Layer]) -> Network:
    """A network of layers that were read from a file, one block a layer."""
    return Network(tuple(Block("imported", x.in_shape, x.out_shape, imported=(x,)) for x in layers))
