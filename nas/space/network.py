"""A network: the tuple of blocks that the cost model prices and the model builder builds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from math import prod

from nas.space.block import KINDS, Block
from nas.space.layer import BYTES, Layer, Precision, Shape


@dataclass(frozen=True, slots=True)
class Network:
    """Blocks in order of execution: the backbone's, then each head's.

    `stages` gives, for each block, the stage of the table that it belongs to. `heads` are the numbers of the blocks
    that heads begin with, `taps` those of the blocks whose outputs they read. Where they are not given, there is one
    head, a classifier: from the first block that pools over the whole image, after the block before it. A network
    that was read from a file has none.

    `shared` gives, for each block, the number of the block whose weights it computes with, its own where they are its
    own; none given: all are. Such blocks are equal. What they share is stored, and counted, once; each computes.
    Raises ValueError where a head does not read what its tap gives, and where a block shares what it cannot.
    """

    blocks: tuple[Block, ...]
    stages: tuple[int, ...] = field(default=(), compare=False)
    taps: tuple[int, ...] = ()
    heads: tuple[int, ...] = ()
    shared: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if not self.heads:
            first = next((i for i, block in enumerate(self.blocks) if KINDS[block.kind].pools), 0)
            object.__setattr__(self, "heads", (first,) if first else ())
            object.__setattr__(self, "taps", (first - 1,) if first else ())
        if len(self.taps) != len(self.heads):
            raise ValueError(f"each head reads one tap; got {len(self.taps)} taps and {len(self.heads)} heads")
        for tap, head in zip(self.taps, self.heads, strict=True):
            if not 0 <= tap < self.heads[0] <= head or self.blocks[tap].out_shape != self.blocks[head].in_shape:
                raise ValueError(f"head {head} must read a block of the backbone that gives its input; got {tap}")
        if len(self.shared) not in (0, len(self.blocks)):
            raise ValueError(f"each of {len(self.blocks)} blocks has weights; got those of {len(self.shared)}")
        for number, source in enumerate(self.shared):
            if not 0 <= source <= number or self.shared[source] != source:
                raise ValueError(f"block {number} must share the weights of an earlier one with its own; got {source}")
            if self.blocks[source] != self.blocks[number]:
                raise ValueError(f"block {number} must be equal to block {source}, whose weights it shares")

    def weights_of(self, number: int) -> int:
        """The number of the block whose weights block `number` computes with."""
        return self.shared[number] if self.shared else number

    def source(self, number: int) -> int:
        """The number of the block whose output block `number` reads; -1: it reads the image."""
        return dict(zip(self.heads, self.taps, strict=True)).get(number, number - 1)

    @property
    def backbone(self) -> tuple[Block, ...]:
        """The blocks before the heads; all of them where there is no head."""
        return self.blocks[: self.heads[0]] if self.heads else self.blocks

    @property
    def layers(self) -> Iterator[Layer]:
        for number, block in enumerate(self.blocks):
            own = self.weights_of(number) == number
            yield from block.layers if own else (replace(layer, stored=0) for layer in block.layers)

    @property
    def input_shape(self) -> Shape:
        return self.blocks[0].in_shape

    @property
    def classes(self) -> int:
        return KINDS[self.blocks[-1].kind].classes(self.blocks[-1])

    @property
    def detects(self) -> bool:
        """Whether its heads give boxes."""
        return KINDS[self.blocks[-1].kind].anchors > 0

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
        """Megabytes (10^6 bytes) of the most activations alive at once, weights not counted.

        What a head reads is held from its tap on.
        """
        live = (
            layer.live + held
            for number, block in enumerate(self.blocks)
            for layer, held in zip(block.layers, self._held(number, block), strict=True)
        )
        return max(live) * BYTES[precision] / 1e6

    def _held(self, number: int, block: Block) -> Iterator[int]:
        """For each layer of block `number`: the values that wait for a head and that the layer does not count."""
        heads = dict(zip(self.heads, self.taps, strict=True))
        source = self.source(number)
        sizes = {tap: prod(self.blocks[tap].out_shape) for head, tap in heads.items() if tap < number < head}
        own = sizes.pop(source, 0)  # the block's first layer counts it, and a residual's every layer
        others = sum(sizes.values())
        for place in range(len(block.layers)):
            yield others + (own if place and not block.residual else 0)


def imported(layers: Sequence[Layer]) -> Network:
    """A network of layers that were read from a file, one block a layer."""
    return Network(tuple(Block("imported", x.in_shape, x.out_shape, imported=(x,)) for x in layers))
