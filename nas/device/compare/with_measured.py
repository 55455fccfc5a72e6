"""A device profile against whole networks that were measured: what it predicts for each, and how near that lies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from nas.device.compare.agreement import Agreement, agreement
from nas.device.cost import Basis, predict
from nas.device.profile import DeviceProfile
from nas.device.tables.rates import QUANTITIES, Quantity
from nas.device.tables.validation import Validation
from nas.space.layer import PRECISIONS, Precision
from nas.space.network import Network


@dataclass(frozen=True, slots=True)
class Measured:
    """A whole network and what one inference of it cost: ms and mJ. `unread`: operations that are not layers."""

    name: str
    network: Network
    precision: Precision
    latency_ms: float
    energy_mj: float | None = None
    unread: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Priced:
    """A measured network with its prediction; `row` holds both."""

    row: Validation
    macs: int
    latency_basis: Basis
    energy_basis: Basis | None  # None: the profile has no energy at this precision


@dataclass(frozen=True, slots=True)
class Unpriced:
    """A measured network that the profile has no price for, and what it lacks."""

    network: str
    precision: Precision
    lacking: str


@dataclass(frozen=True)
class Check:
    """What was found: every measured network is either in `priced` or in `unpriced`.

    `in_fit` counts the priced networks that the profile was fitted to, in this or another measurement: their errors
    are not held-out ones.
    """

    priced: tuple[Priced, ...]
    unpriced: tuple[Unpriced, ...]
    agreement: Mapping[tuple[Precision, Quantity], Agreement]
    in_fit: int


def check(profile: DeviceProfile, networks: Sequence[Measured]) -> Check:
    """Predicts each network in its precision and compares, by precision and quantity."""
    priced: list[Priced] = []
    unpriced: list[Unpriced] = []
    for measured in networks:
        found = _price(profile, measured)
        if isinstance(found, Priced):
            priced.append(found)
        else:
            unpriced.append(found)
    fitted = {(v.network, v.precision) for v in profile.validation if v.split != "held-out"}  # folds; the fit has all
    in_fit = sum((p.row.network, p.row.precision) in fitted for p in priced)
    return Check(tuple(priced), tuple(unpriced), _agreements(priced), in_fit)


def _price(profile: DeviceProfile, measured: Measured) -> Priced | Unpriced:
    precision = measured.precision
    if precision not in profile.precisions:
        return Unpriced(measured.name, precision, f"{precision} (the profile has {', '.join(profile.precisions)})")
    found = predict(profile, measured.network, precision, measured.unread)
    if found.latency_partial or found.latency_ms is None:  # the figures are those of a part of the network
        more = f" and {len(found.unknown) - 1} more" if len(found.unknown) > 1 else ""
        return Unpriced(measured.name, precision, (found.unknown[0] if found.unknown else "a block") + more)
    mj = None if measured.energy_mj is None or found.energy_partial else found.energy_mj
    row = Validation(
        measured.name, precision, "held-out", measured.latency_ms, found.latency_ms,
        None if mj is None else measured.energy_mj, mj,
    )  # fmt: skip
    return Priced(row, measured.network.macs, found.latency_basis, found.energy_basis)


def _agreements(priced: Sequence[Priced]) -> dict[tuple[Precision, Quantity], Agreement]:
    found: dict[tuple[Precision, Quantity], Agreement] = {}
    for precision in PRECISIONS:
        for quantity in QUANTITIES:
            chosen = [(pair, p.macs) for p in priced if p.row.precision == precision
                      and (pair := p.row.pair(quantity == "energy"))]  # fmt: skip
            if chosen:
                measured, predicted = zip(*(pair for pair, _ in chosen), strict=True)
                found[precision, quantity] = agreement(predicted, measured, [macs for _, macs in chosen])
    return found
