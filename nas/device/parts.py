"""What of a network a device profile has figures for: its blocks as they were measured, else its layers by rates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from nas.device.counts import total_counts
from nas.device.profile import DeviceProfile
from nas.device.tables.blocks import BlockTime
from nas.device.tables.rates import QUANTITIES, Quantity, Rate
from nas.space.block import KINDS, Block
from nas.space.layer import Layer, Precision
from nas.space.network import Network


@dataclass(frozen=True, slots=True)
class Part:
    """A layer, or a measured block, and its share of the cost."""

    name: str
    latency_ms: float
    energy_mj: float | None


def by_block(profile: DeviceProfile, network: Network, precision: Precision, quantity: Quantity = "latency") -> bool:
    """Whether a network's cost is the sum of its blocks', all of them measured, and not of its layers'."""
    return rate_of(profile, precision, quantity) is None or not _unmeasured(
        profile, network.blocks, precision, quantity
    )


def parts_of(profile: DeviceProfile, block: Block, precision: Precision, whole: bool) -> tuple[Part, ...]:
    """A block's part of a network's cost: itself as it was measured if `whole`, else its layers by the fitted rates.

    What is paid once per inference, and what a calibration adds or takes, is in none. Empty where nothing is known.
    """
    if whole:
        found = block_time(profile, block, precision)
        return (Part(found[0].block, found[0].median_ms, found[0].energy_mj),) if found else ()
    latency, energy = (rate_of(profile, precision, quantity) for quantity in QUANTITIES)
    if latency is None:
        return ()
    counted = [(layer, total_counts([layer], precision)) for layer in block.layers]
    return tuple(
        Part(layer_name(layer), float(n @ latency.charged), float(n @ energy.charged) if energy else None)
        for layer, n in counted
        if n.any()
    )


def unknown_in(
    profile: DeviceProfile, blocks: Sequence[Block], precision: Precision, quantity: Quantity = "latency"
) -> tuple[str, ...]:
    """What in these blocks the profile has no figure for: primitives of its rates, or blocks of its lookup table."""
    lacking = _unmeasured(profile, blocks, precision, quantity)
    if lacking and profile.rates is not None and rate_of(profile, precision, quantity):
        return profile.rates.unknown((layer for b in blocks for layer in b.layers), precision, quantity)
    return tuple(dict.fromkeys(b.key if b.kind != "imported" else layer_name(b.layers[0]) for b in lacking))


def block_time(profile: DeviceProfile, block: Block, precision: Precision) -> tuple[BlockTime, bool] | None:
    """A block's measured time, and whether it is a larger classifier's; None where the table has neither.

    A classifier for few classes is charged as the smallest measured one that reads the same and has more classes:
    published tables hold only ImageNet's.
    """
    if found := profile.times.get((block.key, precision)):
        return found, False
    if not KINDS[block.kind].classifies:
        return None
    start = replace(block, out_shape=(1, 1, 1)).key.rpartition("-")[0] + "-"
    larger = [t for (key, p), t in profile.times.items() if p == precision and key.startswith(start)]
    enough = [t for t in larger if int(t.block.split("-")[2].partition("x")[0]) > block.out_shape[0]]
    return (min(enough, key=lambda t: t.median_ms), True) if enough else None


def _unmeasured(
    profile: DeviceProfile, blocks: Sequence[Block], precision: Precision, quantity: Quantity
) -> list[Block]:
    """The blocks that were not measured."""
    if quantity == "latency":
        return [b for b in blocks if block_time(profile, b, precision) is None]
    return [b for b in blocks if not (found := block_time(profile, b, precision)) or found[0].energy_mj is None]


def rate_of(profile: DeviceProfile, precision: Precision, quantity: Quantity) -> Rate | None:
    return profile.rates.get(precision, quantity) if profile.rates else None


def layer_name(layer: Layer) -> str:
    """A layer as a person would name it: depthwise 5x5 s2 144x28x28."""
    kernel = f" {layer.kernel[0]}x{layer.kernel[1]}" if layer.kernel != (1, 1) else ""
    stride = f" s{layer.stride}" if layer.stride > 1 else ""
    function = f" {layer.function}" if layer.function else ""
    shapes = "x".join(map(str, layer.in_shape)) + " > " + "x".join(map(str, layer.out_shape))
    return f"{layer.kind}{function}{kernel}{stride} {shapes}"
