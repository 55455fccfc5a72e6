"""Counts: what a layer is charged for (MACs by kind, values, megabytes moved), from its shapes only.

Counts add up. So a network is priced without building it, and one vector of counts prices a block forever.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from functools import lru_cache

import numpy as np

from nas.space.block import Block
from nas.space.layer import BYTES, FUSED, Layer, Precision, Shape
from nas.space.network import Network

Counts = np.ndarray  # float64 (len(COUNTS),) of a layer, block or network; (n, len(COUNTS)) of n of them

KEPT = 100_000  # blocks whose counts are remembered
CACHE_BYTES = 256 * 1024  # a core's share of the last-level cache on these boards; what is beyond it is streamed

COUNTS: dict[str, str] = {  # what is counted, and its unit
    "network": "network",  # paid once: starting the interpreter and its threads
    "image": "million values",  # paid once: the input is copied in, on one core
    "layer": "layer",  # layers that are run, fused activations not counted
    "stem": "million MACs",  # convolution of an image of at most 4 channels
    "standard": "million MACs",  # any other full convolution wider than 1x1
    "pointwise": "million MACs",  # matrix products over a map
    "depthwise3": "million MACs",
    "depthwise5": "million MACs",
    "depthwise7": "million MACs",  # 7x7 and wider
    "linear": "million MACs",  # matrix times vector: classifier, squeeze-excite, MobileNetV3's last convolution
    "hswish": "million values",
    "swish": "million values",
    "activation": "million values",  # every other activation that is not fused
    "add": "million values",
    "multiply": "million values",  # squeeze-excite, its pooling included: they come together
    "moved": "MB",  # activations read and written
    "weights": "MB",
    "streamed_weights": "MB",  # weights of one matrix product beyond CACHE_BYTES
    "streamed_values": "MB",  # an input or output beyond CACHE_BYTES
}
INDEX: dict[str, int] = {name: index for index, name in enumerate(COUNTS)}
ACTIVATIONS = ("hswish", "swish", "activation")
KIN: dict[str, tuple[str, ...]] = {  # where a fit never saw one: the counts whose rate comes nearest, best first
    "stem": ("standard", "pointwise"),
    "standard": ("pointwise",),
    "pointwise": ("standard",),
    "linear": ("pointwise", "standard"),
    "depthwise3": ("depthwise5", "depthwise7"),
    "depthwise5": ("depthwise3", "depthwise7"),
    "depthwise7": ("depthwise5", "depthwise3"),
}


def primitive(layer: Layer) -> str | None:
    """The count of a layer's own work; None where moving its values is all (global pooling, shuffle, SE's gates)."""
    kind, on_map = layer.kind, layer.out_shape[1] * layer.out_shape[2] > 1
    if kind == "standard":
        return "stem" if layer.in_shape[0] <= 4 else "standard"
    if kind in ("pointwise", "grouped"):
        return "pointwise" if on_map else "linear"
    if kind == "depthwise":
        size = max(layer.kernel)
        return "depthwise3" if size <= 3 else "depthwise5" if size <= 5 else "depthwise7"
    if kind == "activation":
        return (layer.function if layer.function in ACTIVATIONS else "activation") if on_map else None
    return kind if kind in COUNTS else None


def missing(layer: Layer, seen: Counts) -> str | None:
    """The name of a layer of a kind that no fitted network had; None if one had it. `seen`: above 0 for counts that
    some fitted network had, (len(COUNTS),). A convolution of another size than those seen is not missing.
    """
    kind, name = layer.kind, primitive(layer)
    if kind in ("grouped", "shuffle", "pool", "concat", "resize"):
        return " ".join(filter(None, (kind, layer.function)))
    fused = kind == "activation" and layer.function in FUSED
    if name is None or fused or any(seen[INDEX[n]] > 0 for n in (name, *KIN.get(name, ()))):
        return None
    return " ".join(filter(None, (kind, layer.function)))


def layer_counts(layer: Layer, precision: Precision) -> Counts:
    """Counts of one layer, float64 (len(COUNTS),). An activation that the runtime fuses counts nothing."""
    counts = np.zeros(len(COUNTS))
    if layer.op == "activation" and layer.function in FUSED:
        return counts
    size, name = BYTES[precision], primitive(layer)
    read, written, weights = layer.inputs * size, layer.outputs * size, layer.weights * size
    counts[INDEX["layer"]] = 1
    counts[INDEX["moved"]] = (read + written) / 1e6
    counts[INDEX["streamed_values"]] = (max(0, read - CACHE_BYTES) + max(0, written - CACHE_BYTES)) / 1e6
    counts[INDEX["weights"]] = weights / 1e6
    if name in ("pointwise", "standard"):
        counts[INDEX["streamed_weights"]] = max(0, weights - CACHE_BYTES) / 1e6
    if name is not None:
        counts[INDEX[name]] = (layer.macs or layer.outputs) / 1e6
    return counts


def total_counts(layers: Iterable[Layer], precision: Precision) -> Counts:
    """Counts summed over layers (of a block, say), without what is paid once per network."""
    total = np.zeros(len(COUNTS))
    for layer in layers:
        total += layer_counts(layer, precision)
    return total


@lru_cache(maxsize=KEPT)
def block_counts(block: Block, precision: Precision) -> Counts:
    """`total_counts` of a block's layers, read-only: a search asks for the same blocks again and again."""
    counts = total_counts(block.layers, precision)
    counts.flags.writeable = False
    return counts


@lru_cache(maxsize=KEPT)
def block_missing(block: Block, seen: bytes) -> bool:
    """Whether any of a block's layers is `missing`, `seen` as bytes."""
    return any(missing(layer, np.frombuffer(seen)) for layer in block.layers)


def once_counts(input_shape: Shape) -> Counts:
    """What is paid once per inference, whatever the layers."""
    counts = np.zeros(len(COUNTS))
    counts[INDEX["network"]] = 1
    counts[INDEX["image"]] = math.prod(input_shape) / 1e6
    return counts


def network_counts(network: Network, precision: Precision) -> Counts:
    """Counts of a whole network, float64 (len(COUNTS),)."""
    return np.asarray(total_counts(network.layers, precision) + once_counts(network.input_shape))
