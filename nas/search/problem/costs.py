"""A device's prices for the candidates of a search space, as the search wants them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from nas.device.cost import predict, price
from nas.device.parts import unknown_in
from nas.device.profile import DeviceProfile
from nas.device.support.target import Target
from nas.errors import UserError
from nas.pareto import Array
from nas.run import Costs, Reference
from nas.space.block import Block
from nas.space.block_table import BlockTable, block_table
from nas.space.candidate import Candidate
from nas.space.layer import BIAS_BYTES, BYTES, PRECISIONS, Precision
from nas.space.network import Network
from nas.space.reference import reference_network
from nas.space.search_space import SearchSpace

SAMPLE = 2000  # candidates that tell what of a space a device can price
REFERENCES: tuple[tuple[str, str, int, float], ...] = (
    ("MobileNetV1 0.25 @128", "mobilenet_v1", 128, 0.25),
    ("MobileNetV2 0.35 @96", "mobilenet_v2", 96, 0.35),
    ("MobileNetV3-Small @224", "mobilenet_v3_small", 224, 1.0),
    ("MobileNetV2 1.0 @224", "mobilenet_v2", 224, 1.0),
    ("MobileNetV3-Large @224", "mobilenet_v3_large", 224, 1.0),
    ("EfficientNet-Lite0 @224", "efficientnet_lite0", 224, 1.0),
)


@dataclass(frozen=True)
class DevicePricer:
    """The prices of `space` on `device` for so many classes; what `target` does not map whole has no latency."""

    device: DeviceProfile
    space: SearchSpace
    classes: int
    target: Target | None = None

    def columns(self, codes: Array) -> Mapping[str, Array]:
        """Costs (n,) of the candidates with these codes (n, d), by column; NaN where a block has no price."""
        table = block_table(self.space, codes, self.classes)
        sums = np.array([_sums(block) for block in table.blocks])
        params, macs, weights, biases = table.total(sums[:, :4]).T
        columns = {"params": params, "macs": macs}
        live = table.largest(sums[:, 4])
        place = next(i for i, choice in enumerate(self.space.choices) if choice.name == "precision")
        options = self.space.choices[place].options
        for name in ("latency_ms", "energy_mj", "size_mb", "peak_memory_mb"):
            columns[name] = np.full(len(codes), np.nan)
        for precision in PRECISIONS:
            if precision not in options:
                continue
            rows = codes[:, place] == options.index(precision)
            prices = price(self.device, table.of(rows), precision)
            columns["latency_ms"][rows] = prices.latency_ms
            if prices.energy_mj is not None:
                columns["energy_mj"][rows] = prices.energy_mj
            columns["size_mb"][rows] = (weights[rows] * BYTES[precision] + biases[rows] * BIAS_BYTES[precision]) / 1e6
            columns["peak_memory_mb"][rows] = live[rows] * BYTES[precision] / 1e6
        columns["latency_ms"][self._unmapped(table)] = np.nan
        return columns

    def _unmapped(self, table: BlockTable) -> np.ndarray:
        """Which candidates have a block that the target does not map, bool (n,)."""
        target = self.target
        if target is None:
            return np.zeros(table.index.shape[1], dtype=bool)
        return np.asarray(table.largest(np.array([float(bool(target.fault(block))) for block in table.blocks])) > 0)

    def gap(self) -> str:
        """What of the space the device has no figure for, in two lines; empty where it has everything.

        Raises UserError where it cannot price any candidate, or the target maps none.
        """
        codes = self.space.sample_codes(SAMPLE, np.random.default_rng(0))
        table = block_table(self.space, codes, self.classes)
        if self.target is not None and self._unmapped(table).all():
            why = next(filter(None, map(self.target.fault, table.blocks)))
            raise UserError(
                f"target {self.target.rules.name} maps none of {SAMPLE:,} networks of {self.space.name}: {why}"
            )
        precision = self.space.table.precision[0]
        if not (names := unknown_in(self.device, table.blocks, precision)):
            return ""
        priced = np.isfinite(price(self.device, table, precision).latency_ms).mean()
        if priced == 0:
            raise UserError(
                f"device {self.device.name} cannot price space {self.space.name}: no figure for "
                f"{names[0]}{f' and {len(names) - 1} more' if len(names) > 1 else ''}"
            )
        done = f"; {1 - priced:.0%} of networks left out" if priced < 1 else ", extrapolated"
        parts = f"{len(names)} parts" if len(names) > 1 else "one part"
        return f"{self.device.name}: no figure for {parts}{done}\n  such as {names[0]}"

    def costs(self, candidate: Candidate, network: Network) -> Costs:
        """One candidate's costs with their intervals; `latency_ms` is NaN where a block has no price."""
        found = network_costs(self.device, network, candidate.precision)
        if self.target is not None and any(map(self.target.fault, network.blocks)):
            return replace(found, latency_ms=math.nan, latency_low_ms=None, latency_high_ms=None)
        return found


@lru_cache(maxsize=100_000)
def _sums(block: Block) -> tuple[float, ...]:
    """Params, MACs, weights and biases of a block's layers, and the most values that are live in one of them."""
    layers = block.layers
    biases = sum(x.out_shape[0] for x in layers if x.weights)
    return (
        float(sum(x.params for x in layers)), float(sum(x.macs for x in layers)), float(sum(x.weights for x in layers)),
        float(biases), float(max(x.live for x in layers)),
    )  # fmt: skip


def network_costs(device: DeviceProfile, network: Network, precision: Precision) -> Costs:
    """What a network costs on a device, with intervals.

    Where a block has no price, `latency_ms` is NaN and `energy_mj` None.
    """
    found = predict(device, network, precision)
    low, high = found.latency_interval_ms or (None, None)
    energy_low, energy_high = found.energy_interval_mj or (None, None)
    ms, mj = (None if found.latency_partial else found.latency_ms), (None if found.energy_partial else found.energy_mj)
    return Costs(
        math.nan if ms is None else ms, low, high, mj, energy_low, energy_high,
        network.params, network.macs, network.size_mb(precision), network.peak_memory_mb(precision),
        found.latency_basis, None if mj is None else found.energy_basis,
    )  # fmt: skip


def references(
    device: DeviceProfile, precisions: tuple[Precision, ...], target: Target | None = None
) -> tuple[Reference, ...]:
    """Known ImageNet networks on the device, those that it can price and that the target maps whole."""
    every = []
    for title, name, resolution, width in REFERENCES:
        network = reference_network(name, resolution=resolution, width=width)
        if target is not None and any(map(target.fault, network.blocks)):
            continue
        for precision in precisions:
            costs = network_costs(device, network, precision)
            if math.isfinite(costs.latency_ms):
                every.append(Reference(title, precision, costs))
    return tuple(every)
