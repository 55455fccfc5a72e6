"""Which blocks of a network suffer from int8."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from nas.models.int8 import Int8, block_modules, block_of
from nas.runtimes.parity import snr

if TYPE_CHECKING:
    from nas.runtimes.onnx.variants import Variants


_FREE = ("Flatten", "Reshape", "Transpose", "Identity")  # moves values without computing any


def quantized_blocks(variants: Variants) -> tuple[str, ...]:
    """The blocks that compute something, a pool among them, in order of execution: what can be left in float."""
    there = {block_of(node.name) for node in variants.exported.graph.node if node.op_type not in _FREE}
    return tuple(block for block in block_modules(variants.module) if block in there)


def sensitivity(variants: Variants, blocks: Sequence[str]) -> dict[str, float]:
    """The SNR in dB of the logits where one block alone is quantized, by block; the most sensitive one first.

    One alone, and not all but one: where two blocks each ruin the network, leaving out one of them shows nothing.
    Weights and ranges are those of the whole network's int8 form, so a variant costs a graph and a few images.
    """
    found = {}
    for block in blocks:
        others = tuple(b for b in blocks if b != block)
        alone = variants.graph("int8", Int8(float_blocks=others))
        run = variants.runtime.session(alone.SerializeToString())
        found[block] = snr(variants.logits, [run(image) for image in variants.images])
    return dict(sorted(found.items(), key=lambda item: item[1]))
