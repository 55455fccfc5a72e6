"""What networks cost on a device: from measured blocks where the profile has them, else from fitted rates.

Costs of blocks add up. A network's cost is the sum over its blocks, put on the profile's calibration line where they
were measured one by one, and with what is paid once per inference where rates were fitted. So many candidates are
priced by pricing each distinct block once. Latency and energy have a basis each: a board may have times of blocks and
energies of whole networks only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Literal, NamedTuple

import numpy as np

from nas.device.counts import block_counts, block_missing, once_counts
from nas.device.parts import Part, block_time, by_block, parts_of, rate_of, unknown_in
from nas.device.profile import DeviceProfile
from nas.device.tables.rates import QUANTITIES, Quantity, Rate
from nas.device.tables.validation import error
from nas.space.block_table import BlockTable
from nas.space.layer import Precision
from nas.space.network import Network

Basis = Literal["measured", "fitted", "extrapolated", "estimated"]  # estimated: by a compiler, not on a board
BASES: tuple[Basis, ...] = ("measured", "fitted", "extrapolated", "estimated")
Interval = tuple[float, float]


@dataclass(frozen=True, slots=True, repr=False)
class Prediction:
    """What one inference costs: batch 1, milliseconds and millijoules, each with its own basis and interval.

    90% of held-out networks fell within an interval; None where the profile was checked against no whole network.
    `unknown` names what the profile has no figure for; "(energy)" behind a name: it has a latency. Fitted rates charge
    it as its nearest kin. A block missing in a lookup table without rates, and an operation that is not a layer, is
    left out. The figure is then partial: the sum of what is known, None where nothing is, without an interval.
    """

    latency_ms: float | None
    latency_interval_ms: Interval | None
    latency_basis: Basis
    energy_mj: float | None
    energy_interval_mj: Interval | None
    energy_basis: Basis | None  # None: the profile has no energy at this precision
    unknown: tuple[str, ...]
    latency_partial: bool
    energy_partial: bool
    parts: tuple[Part, ...]

    def __repr__(self) -> str:
        costs = [f"{self.latency_ms:.4g} ms" if self.latency_ms is not None else "no latency"]
        if self.latency_interval_ms is not None:
            costs[0] += " ({:.4g} to {:.4g})".format(*self.latency_interval_ms)
        if self.energy_mj is not None:
            costs.append(f"{self.energy_mj:.4g} mJ")
        more = f", {len(self.unknown)} operations unknown" if self.unknown else ""
        return f"Prediction({', '.join(costs)}, {self.latency_basis}{more})"

    @property
    def partial(self) -> bool:
        """Whether latency or energy is that of a part of the network."""
        return self.latency_partial or self.energy_partial


@dataclass(frozen=True)
class Prices:
    """The costs of n candidates: arrays (n,). NaN where a candidate holds a block that has no price.

    Each basis is an index into BASES. Energy is None where the profile has none at this precision.
    """

    latency_ms: np.ndarray
    latency_basis: np.ndarray
    energy_mj: np.ndarray | None
    energy_basis: np.ndarray | None


class _Amount(NamedTuple):
    """A network's latency or energy."""

    value: float | None = None
    interval: Interval | None = None
    basis: Basis | None = None
    partial: bool = False
    unknown: tuple[str, ...] = ()


def predict(profile: DeviceProfile, network: Network, precision: Precision, unread: Sequence[str] = ()) -> Prediction:
    """Prices one network; `unread` are operations of its file that are not layers, which join the unknown.

    Raises UserError when the profile does not have the precision.
    """
    profile.require(precision=precision)
    table = BlockTable(network.blocks, np.arange(len(network.blocks))[:, None])
    whole = price(profile, table, precision)

    def amount(quantity: Quantity) -> _Amount:
        energy = quantity == "energy"
        values, bases = (whole.energy_mj, whole.energy_basis) if energy else (whole.latency_ms, whole.latency_basis)
        if values is None or bases is None:
            return _Amount()
        unknown = unknown_in(profile, network.blocks, precision, quantity)
        partial = bool(unread) or bool(np.isnan(values[0]))
        if partial and by_block(profile, network, precision, quantity):
            part = _from_blocks(profile, table, precision, partly=True)
            values = part.energy_mj if energy else part.latency_ms
        value = float(values[0]) if values is not None and values[0] > 0 else None
        basis: Basis = "extrapolated" if unknown or unread else BASES[int(bases[0])]
        of_networks = None if partial or value is None else interval(profile, precision, basis, value, energy=energy)
        return _Amount(value, of_networks, basis, partial, unknown)

    latency, energy = amount("latency"), amount("energy")
    only_energy = (f"{name} (energy)" for name in energy.unknown if name not in latency.unknown)
    by_blocks = by_block(profile, network, precision)
    return Prediction(
        latency.value, latency.interval, latency.basis or "extrapolated", energy.value, energy.interval, energy.basis,
        tuple(dict.fromkeys([*latency.unknown, *only_energy, *unread])), latency.partial, energy.partial,
        tuple(chain.from_iterable(parts_of(profile, block, precision, by_blocks) for block in network.blocks)),
    )  # fmt: skip


def price(profile: DeviceProfile, table: BlockTable, precision: Precision) -> Prices:
    """Prices the candidates of a block table at one precision. Raises UserError when the profile lacks it."""
    profile.require(precision=precision)
    prices = _from_blocks(profile, table, precision)
    rest = np.isnan(prices.latency_ms)
    # blocks may be timed one by one where the meter resolves only whole networks: then only energy is fitted
    bare = rest if prices.energy_mj is None else np.isnan(prices.energy_mj)
    if not (rest | bare).any() or rate_of(profile, precision, "latency") is None:
        return prices
    fitted = _from_rates(profile, table, precision)
    mj, energy_basis = prices.energy_mj, prices.energy_basis
    if mj is not None and energy_basis is not None and fitted.energy_mj is not None and fitted.energy_basis is not None:
        mj = np.where(bare, fitted.energy_mj, mj)
        energy_basis = np.where(bare, fitted.energy_basis, energy_basis)
    ms = np.where(rest, fitted.latency_ms, prices.latency_ms)
    return Prices(ms, np.where(rest, fitted.latency_basis, prices.latency_basis), mj, energy_basis)


def interval(
    profile: DeviceProfile, precision: Precision, basis: Basis, value: float, *, energy: bool
) -> Interval | None:
    """Where 90% of held-out networks fell, in the unit of `value`; of an extrapolation, families held out whole."""
    order = ("family", "network", "held-out") if basis == "extrapolated" else ("held-out", "network", "family")
    found = next((e for split in order if (e := error(profile.validation, precision, split, energy))), None)
    return None if found is None else (value * found.low, value * found.high)


def _from_blocks(profile: DeviceProfile, table: BlockTable, precision: Precision, *, partly: bool = False) -> Prices:
    """Sums of measured blocks, on the calibration line; NaN where a block was not measured.

    `partly`: sums of those that were measured, which are on no line: it is one of whole networks.
    """
    lacking = 0.0 if partly else np.nan
    per_block = np.full((len(table.blocks), 2), lacking)
    stretched = np.zeros(len(table.blocks))
    for i, block in enumerate(table.blocks) if profile.lookup_table else ():
        if found := block_time(profile, block, precision):
            time, stretched[i] = found
            per_block[i] = time.median_ms, lacking if time.energy_mj is None else time.energy_mj
    sums = table.total(per_block)
    known: Basis = "fitted" if profile.about.adapted_from else profile.about.blocks
    basis = np.where(table.largest(stretched) > 0, BASES.index("extrapolated"), BASES.index(known))
    lines = [c.get(precision) for c in (profile.about.calibration, profile.about.energy_calibration)]
    lined, bases = [sums[:, 0], sums[:, 1]], [basis, basis]
    if any(lines) and not partly:
        blocks, params = table.total(np.array([(1.0, float(sum(x.params for x in b.layers))) for b in table.blocks])).T
        for q, line in enumerate(lines):
            if line:
                on_line = line.of(lined[q], blocks, params)
                beyond = on_line <= 0  # smaller than every network that the line was laid through
                lined[q] = np.where(beyond, lined[q], on_line)
                bases[q] = np.where(beyond, BASES.index("extrapolated"), basis)
    energy = precision in profile.energy_precisions
    return Prices(lined[0], bases[0], lined[1] if energy else None, bases[1] if energy else None)


def _from_rates(profile: DeviceProfile, table: BlockTable, precision: Precision) -> Prices:
    """Sums of what the rates charge for each block, and once per inference; NaN where they charge nothing at all."""
    latency, energy = (rate_of(profile, precision, quantity) for quantity in QUANTITIES)
    if latency is None:
        raise ValueError(f"{profile.name} has no {precision} rates")
    counts = np.array([block_counts(block, precision) for block in table.blocks])
    once = np.array([once_counts(block.in_shape) for block in table.blocks])
    rates = np.stack([latency.charged, energy.charged if energy else latency.charged], axis=1)
    sums = table.total(counts @ rates) + (once @ rates)[table.index[0]]
    ms, mj = np.where(sums > 0, sums, np.nan).T
    outside = _beyond_fit(latency, table, counts, once)
    basis = _basis(latency, outside, ms)
    if energy is None:
        return Prices(ms, basis, None, None)
    if not np.array_equal(energy.high, latency.high):  # they were fitted to different networks
        outside = _beyond_fit(energy, table, counts, once)
    return Prices(ms, basis, mj, _basis(energy, outside, mj))


def _beyond_fit(rate: Rate, table: BlockTable, counts: np.ndarray, once: np.ndarray) -> np.ndarray:
    """Whether candidates have more of something than the fit's networks had, or something new to them; bool (n,)."""
    # it is summed up only for what any candidate can have more of
    exceedable = np.flatnonzero(table.bound(counts) + once.max(axis=0) > rate.most)
    more = table.total(counts[:, exceedable]) + once[:, exceedable][table.index[0]] > rate.most[exceedable]
    seen = rate.high.tobytes()
    unseen = np.array([block_missing(block, seen) for block in table.blocks], dtype=float)
    return np.asarray(more.any(axis=1) | (table.largest(unseen) > 0))


def _basis(rate: Rate, outside: np.ndarray, cost: np.ndarray) -> np.ndarray:
    return np.where(outside | rate.outside(cost), BASES.index("extrapolated"), BASES.index("fitted"))
