"""What networks cost on a device: from measured blocks where the profile has them, else from fitted rates.

Costs of blocks add up. A network's cost is the sum over its blocks, put on the profile's calibration line where they
were measured one by one, and with what is paid once per inference where rates were fitted. So many candidates are
priced by pricing each distinct block once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Literal

import numpy as np

from nas.device.counts import block_counts, block_missing, once_counts, total_counts
from nas.device.profile import DeviceProfile
from nas.device.tables.blocks import BlockTime
from nas.device.tables.rates import QUANTITIES, Quantity, Rate
from nas.device.tables.validation import error
from nas.space.block import Block
from nas.space.block_table import BlockTable
from nas.space.layer import Layer, Precision
from nas.space.network import Network

Basis = Literal["measured", "fitted", "extrapolated"]
BASES: tuple[Basis, ...] = ("measured", "fitted", "extrapolated")
Interval = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Part:
    """A layer, or a measured block, and its share of the cost."""

    name: str
    latency_ms: float
    energy_mj: float | None


@dataclass(frozen=True, slots=True)
class Prediction:
    """What one inference costs: batch 1, milliseconds and millijoules; intervals hold 90% of held-out networks.

    `unknown` names what the profile has no figure for. Fitted rates charge it as its nearest kin; a block missing in
    a lookup table without rates, and an operation that is no layer, is left out: `partial`, the figures are the rest's.
    """

    latency_ms: float
    latency_interval_ms: Interval | None  # None: the profile was checked against no whole network
    energy_mj: float | None  # None: the profile has no energy
    energy_interval_mj: Interval | None
    basis: Basis
    unknown: tuple[str, ...]
    partial: bool
    parts: tuple[Part, ...]


@dataclass(frozen=True)
class Prices:
    """The costs of n candidates: arrays (n,). NaN where a candidate holds a block that has no price."""

    latency_ms: np.ndarray
    energy_mj: np.ndarray | None
    basis: np.ndarray  # index into BASES


def predict(profile: DeviceProfile, network: Network, precision: Precision, unread: Sequence[str] = ()) -> Prediction:
    """Prices one network; `unread` are operations of its file that are no layers, which join the unknown.

    Raises UserError when the profile does not have the precision.
    """
    profile.require(precision=precision)
    table = BlockTable(network.blocks, np.arange(len(network.blocks))[:, None])
    unknown = tuple(dict.fromkeys([*unknown_in(profile, network.blocks, precision), *unread]))
    prices = price(profile, table, precision)
    partial = bool(np.isnan(prices.latency_ms[0]))
    if partial:
        prices = _from_blocks(profile, table, precision, partly=True)
    ms = float(prices.latency_ms[0])
    mj = None if prices.energy_mj is None else float(prices.energy_mj[0])
    basis: Basis = "extrapolated" if unknown else BASES[int(prices.basis[0])]
    whole = by_block(profile, network, precision)
    return Prediction(
        ms, interval(profile, precision, basis, ms, energy=False),
        mj, None if mj is None else interval(profile, precision, basis, mj, energy=True),
        basis, unknown, partial or bool(unread),
        tuple(chain.from_iterable(parts_of(profile, block, precision, whole) for block in network.blocks)),
    )  # fmt: skip


def price(profile: DeviceProfile, table: BlockTable, precision: Precision) -> Prices:
    """Prices the candidates of a block table at one precision. Raises UserError when the profile lacks it."""
    profile.require(precision=precision)
    prices = _from_blocks(profile, table, precision)
    rest = np.isnan(prices.latency_ms)
    # blocks may be timed one by one where the meter resolves whole networks alone: then only energy is fitted
    bare = rest if prices.energy_mj is None else rest | np.isnan(prices.energy_mj)
    if not bare.any() or _rate(profile, precision, "latency") is None:
        return prices
    fitted = _from_rates(profile, table, precision)
    energy = None
    if prices.energy_mj is not None and fitted.energy_mj is not None:
        energy = np.where(bare, fitted.energy_mj, prices.energy_mj)
    return Prices(
        np.where(rest, fitted.latency_ms, prices.latency_ms), energy, np.where(rest, fitted.basis, prices.basis)
    )


def by_block(profile: DeviceProfile, network: Network, precision: Precision) -> bool:
    """Whether the parts of a network's cost are its blocks, all of them measured, and not their layers."""
    return _rate(profile, precision, "latency") is None or all(_time(profile, b, precision) for b in network.blocks)


def parts_of(profile: DeviceProfile, block: Block, precision: Precision, whole: bool) -> tuple[Part, ...]:
    """A block's part of a network's cost: itself as it was measured if `whole`, else its layers by the fitted rates.

    What is paid once per inference, and what a calibration adds or takes, is in none. Empty where nothing is known.
    """
    if whole:
        found = _time(profile, block, precision)
        return (Part(found[0].block, found[0].median_ms, found[0].energy_mj),) if found else ()
    latency, energy = (_rate(profile, precision, quantity) for quantity in QUANTITIES)
    if latency is None:
        return ()
    counted = [(layer, total_counts([layer], precision)) for layer in block.layers]
    return tuple(
        Part(layer_name(layer), float(n @ latency.charged), float(n @ energy.charged) if energy else None)
        for layer, n in counted
        if n.any()
    )


def unknown_in(profile: DeviceProfile, blocks: Sequence[Block], precision: Precision) -> tuple[str, ...]:
    """What in these blocks the profile has no figure for: primitives of its rates, or blocks of its lookup table."""
    lacking = [b for b in blocks if _time(profile, b, precision) is None]
    if lacking and profile.rates is not None and _rate(profile, precision, "latency"):
        return profile.rates.unknown((layer for b in lacking for layer in b.layers), precision)
    return tuple(dict.fromkeys(b.key if b.kind != "imported" else layer_name(b.layers[0]) for b in lacking))


def interval(
    profile: DeviceProfile, precision: Precision, basis: Basis, value: float, *, energy: bool
) -> Interval | None:
    """Where 90% of held-out networks lay, in the unit of `value`; of an extrapolation, families held out whole."""
    order = ("family", "network", "held-out") if basis == "extrapolated" else ("held-out", "network", "family")
    found = next((e for split in order if (e := error(profile.validation, precision, split, energy))), None)
    return None if found is None else (value * found.low, value * found.high)


def layer_name(layer: Layer) -> str:
    """A layer as a person would name it: depthwise 5x5 s2 144x28x28."""
    kernel = f" {layer.kernel[0]}x{layer.kernel[1]}" if layer.kernel != (1, 1) else ""
    stride = f" s{layer.stride}" if layer.stride > 1 else ""
    function = f" {layer.function}" if layer.function else ""
    shapes = "x".join(map(str, layer.in_shape)) + " > " + "x".join(map(str, layer.out_shape))
    return f"{layer.kind}{function}{kernel}{stride} {shapes}"


def _time(profile: DeviceProfile, block: Block, precision: Precision) -> tuple[BlockTime, bool] | None:
    """A block's measured time, and whether it is a larger classifier's; None where the table has neither.

    A classifier for few classes is charged as the smallest measured one that reads the same and has more classes:
    published tables hold ImageNet's alone.
    """
    if found := profile.times.get((block.key, precision)):
        return found, False
    if block.kind not in ("linear", "pool_linear"):
        return None
    start = replace(block, out_shape=(1, 1, 1)).key.rpartition("-")[0] + "-"
    larger = [t for (key, p), t in profile.times.items() if p == precision and key.startswith(start)]
    enough = [t for t in larger if int(t.block.rpartition("-")[2].partition("x")[0]) > block.out_shape[0]]
    return (min(enough, key=lambda t: t.median_ms), True) if enough else None


def _from_blocks(profile: DeviceProfile, table: BlockTable, precision: Precision, *, partly: bool = False) -> Prices:
    """Sums of measured blocks, on the calibration line; NaN where a block was not measured, unless `partly`."""
    per_block = np.full((len(table.blocks), 2), 0.0 if partly else np.nan)
    stretched = np.zeros(len(table.blocks))
    for i, block in enumerate(table.blocks) if profile.lookup_table else ():
        if found := _time(profile, block, precision):
            time, stretched[i] = found
            per_block[i] = time.median_ms, np.nan if time.energy_mj is None else time.energy_mj
    ms, mj = table.total(per_block).T
    line, energy_line = (c.get(precision) for c in (profile.about.calibration, profile.about.energy_calibration))
    if line or energy_line:
        blocks, params = table.total(np.array([(1.0, float(sum(x.params for x in b.layers))) for b in table.blocks])).T
        ms = line.of(ms, blocks, params) if line else ms
        mj = energy_line.of(mj, blocks, params) if energy_line else mj
    known: Basis = "fitted" if profile.about.adapted_from else profile.about.blocks
    basis = np.where(table.largest(stretched) > 0, BASES.index("extrapolated"), BASES.index(known))
    return Prices(ms, mj if profile.has_energy else None, basis)


def _from_rates(profile: DeviceProfile, table: BlockTable, precision: Precision) -> Prices:
    """Sums of what the rates charge for each block, and once per inference."""
    latency, energy = (_rate(profile, precision, quantity) for quantity in QUANTITIES)
    if latency is None:
        raise ValueError(f"{profile.name} has no {precision} rates")
    counts = np.array([block_counts(block, precision) for block in table.blocks])
    once = np.array([once_counts(block.in_shape) for block in table.blocks])
    rates = np.stack([latency.charged, energy.charged if energy else latency.charged], axis=1)
    ms, mj = (table.total(counts @ rates) + (once @ rates)[table.index[0]]).T
    # whether a candidate has more of something than the fit had is summed up only for what any candidate can have
    exceedable = np.flatnonzero(table.bound(counts) + once.max(axis=0) > latency.most)
    more = table.total(counts[:, exceedable]) + once[:, exceedable][table.index[0]] > latency.most[exceedable]
    seen = latency.high.tobytes()
    unseen = np.array([block_missing(block, seen) for block in table.blocks], dtype=float)
    outside = more.any(axis=1) | latency.outside(ms) | (table.largest(unseen) > 0)
    basis = np.where(outside, BASES.index("extrapolated"), BASES.index("fitted"))
    return Prices(ms, mj if energy else None, basis)


def _rate(profile: DeviceProfile, precision: Precision, quantity: Quantity) -> Rate | None:
    return profile.rates.get(precision, quantity) if profile.rates else None
