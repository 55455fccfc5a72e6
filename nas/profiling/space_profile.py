"""A device profile from what the agent measured: costs of blocks, the lines through whole networks, and their error."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from nas.device.check import Measured
from nas.device.fit import FittedProfile
from nas.device.lookup_table import BlockTime
from nas.device.profile import EnergyLine, Line
from nas.device.rates import Quantity, Rates
from nas.device.validation import HeldOutError, Validation
from nas.errors import UserError
from nas.profiling.energy import MeasuredEnergy, fit_energy
from nas.profiling.results import PlannedItem, Results, Timing, candidate_of, pooled, steadiness
from nas.space.layer import Precision
from nas.space.network import Network
from nas.space.search_space import SearchSpace

LARGEST_SWING = 3.0  # of the reference, 90th percentile over 10th: beyond it runs side by side are not alike either
LARGEST_DRIFT = 0.05  # between the halves of the visits, after the correction


@dataclass(frozen=True, slots=True)
class SpaceProfile:
    """What was measured of a space: costs of blocks, the lines through whole networks, and the networks held out."""

    blocks: tuple[BlockTime, ...]
    calibration: Mapping[Precision, Line]
    validation: tuple[Validation, ...]
    errors: tuple[HeldOutError, ...]
    energy_calibration: Mapping[Precision, EnergyLine] = field(default_factory=dict)
    rates: Rates | None = None  # where energy was fitted to whole networks
    energy: str | None = None  # what it is, in words
    adapted_from: tuple[str, ...] = ()


def require_steady(results: Results) -> None:
    """Raises UserError where the machine's speed varied so much that the reference cannot correct it."""
    found = steadiness(results)
    advice = "measure it again with nothing else running, or accept it with --noisy"
    if found.swing > LARGEST_SWING:
        raise UserError(
            f"the machine's speed varied {found.swing:.1f}-fold while it was measured, at most {LARGEST_SWING:g}-fold "
            f"can be corrected: {advice}"
        )
    if found.drift is not None and found.drift > LARGEST_DRIFT:
        raise UserError(
            f"whole networks took {100 * found.drift:.1f}% more or less in the second half of the measurement than in "
            f"the first, at most {100 * LARGEST_DRIFT:g}% is accepted: {advice}"
        )


def measured_networks(results: Results, space: SearchSpace) -> dict[str, Network]:
    """The whole networks among the results, by their id. Raises UserError for one that is none of the space."""
    return {
        item.id: space.network(space.decode(space.encode(candidate_of(item))))
        for item in results.items_of("calibrate", "check")
    }


@dataclass(frozen=True, slots=True)
class _Measured:
    """Whole networks of one precision, those that calibrate first: `known` of them."""

    items: Sequence[PlannedItem]
    networks: Sequence[Network]
    known: int


def space_profile(results: Results, energy: MeasuredEnergy | None = None) -> SpaceProfile:
    """Puts sums of blocks on a line through the calibrating networks, and predicts the others.

    Energy likewise where the meter resolves single blocks, else by rates fitted to the whole networks. Raises UserError
    when something of the plan was not measured, or the space is not the one that was planned.
    """
    space, times = results.space(), pooled(results)
    networks = measured_networks(results, space)
    blocks = results.items_of("block")
    by_block = energy is not None and bool(blocks) and not energy.unresolved([item.id for item in blocks])
    lines: dict[Precision, Line] = {}
    energy_lines: dict[Precision, EnergyLine] = {}
    rows: list[Validation] = []
    errors: list[HeldOutError] = []
    for precision in results.precisions:
        found = _of_precision(results, networks, precision)
        table = {item.name: times[item.id].median_ms for item in blocks if item.precision == precision}
        measured = np.array([times[item.id].median_ms for item in found.items])
        line, ms, error = _calibrated(found, table, measured, precision, "latency")
        lines[precision] = Line(slope=line[0], offset_ms=line[2], per_block_ms=line[1])
        errors += error
        measured_mj, mj = np.full(len(measured), np.nan), np.full(len(measured), np.nan)
        if energy is not None and by_block:
            table = {item.name: energy.items[item.id].mj for item in blocks if item.precision == precision}
            measured_mj = np.array([energy.items[item.id].mj for item in found.items])
            line, mj, error = _calibrated(found, table, measured_mj, precision, "energy")
            energy_lines[precision] = EnergyLine(slope=line[0], offset_mj=line[2], per_block_mj=line[1])
            errors += error
        rows += [
            Validation(item.name, precision, "held-out", *(None if np.isnan(x) else float(x) for x in figures))  # type: ignore[arg-type]
            for item, *figures in list(zip(found.items, measured, ms, measured_mj, mj, strict=True))[found.known :]
        ]
    fitted = None if energy is None or by_block else _fitted_energy(results, networks, times, energy)
    if fitted:
        rows += fitted.validation
        errors += [error for error in fitted.errors if error.quantity == "energy"]
    return SpaceProfile(
        tuple(_block_cost(item, times[item.id], energy if by_block else None) for item in blocks),
        lines,
        tuple(rows),
        tuple(errors),
        energy_lines,
        fitted.rates if fitted else None,
        energy.definition(idle=True, fitted_to=0 if by_block else len(networks)) if energy else None,
    )


def _block_cost(item: PlannedItem, time: Timing, energy: MeasuredEnergy | None) -> BlockTime:
    mj = energy.items[item.id].mj if energy else None
    return BlockTime(item.name, item.precision, time.median_ms, time.p90_ms, time.runs, mj, time.p99_ms)


def _of_precision(results: Results, networks: Mapping[str, Network], precision: Precision) -> _Measured:
    known, held_out = (
        [item for item in results.items_of(kind) if item.precision == precision] for kind in ("calibrate", "check")
    )
    if len(known) < 2:
        raise UserError(f"results: {precision} has {len(known)} calibrating networks measured; at least 2 are needed")
    return _Measured([*known, *held_out], [networks[item.id] for item in [*known, *held_out]], len(known))


def _calibrated(
    found: _Measured, table: Mapping[str, float], measured: np.ndarray, precision: Precision, quantity: Quantity
) -> tuple[tuple[float, float, float], np.ndarray, list[HeldOutError]]:
    """The line (slope, per block, offset) to whole networks, what it gives for all (n,), and its error."""
    if lacking := next((b.key for network in found.networks for b in network.blocks if b.key not in table), None):
        raise UserError(f"results: the block {lacking} was not measured in {precision}, but networks have it")
    sums = np.array([sum(table[block.key] for block in network.blocks) for network in found.networks])
    blocks = np.array([len(network.blocks) for network in found.networks], dtype=float)
    line = fit_line(sums[: found.known], blocks[: found.known], measured[: found.known])
    ours = _terms(sums, blocks) @ line
    macs = np.array([network.macs for network in found.networks], dtype=float)
    held_out = len(measured) > found.known
    error = [_error(precision, quantity, ours, measured, macs, found.known)] if held_out else []
    return (float(line[0]), float(line[1]), float(line[2])), ours, error


def _fitted_energy(
    results: Results, networks: Mapping[str, Network], times: Mapping[str, Timing], energy: MeasuredEnergy
) -> FittedProfile:
    return fit_energy(
        [
            Measured(i.name, networks[i.id], i.precision, times[i.id].median_ms, energy.items[i.id].mj)
            for i in results.items_of("calibrate", "check")
            if i.id in energy.items
        ]
    )


def _error(
    precision: Precision, quantity: Quantity, ours: np.ndarray, measured: np.ndarray, macs: np.ndarray, known: int
) -> HeldOutError:
    """The error of `ours` on the networks after the first `known`; all (n,)."""
    from scipy.stats import spearmanr

    wanted = measured[known:]
    line = fit_line(macs[:known], np.zeros(known), measured[:known])

    def off(predicted: np.ndarray | float) -> float:
        return float(np.mean(np.abs(predicted / wanted - 1)))

    rank = float(spearmanr(ours[known:], wanted).statistic)
    constant = off(float(np.median(measured[:known])))
    return HeldOutError(
        precision, quantity, "held-out", len(wanted), off(ours[known:]), 0.0, rank, constant,
        off(_terms(macs[known:], np.zeros(len(wanted))) @ line),
    )  # fmt: skip


def fit_line(sums: np.ndarray, blocks: np.ndarray, measured: np.ndarray) -> np.ndarray:
    """Slope, cost per block and offset, (3,), from sums of block costs and numbers of blocks to whole networks, (n,).

    Relative least squares. Of the forms with and without the latter two, the one that predicts each network best from
    the others: a space whose networks are alike in size or in depth does not tell them apart.
    """
    terms, best, least = _terms(sums, blocks), np.zeros(3), np.inf
    for used in ([0], [0, 2], [0, 1], [0, 1, 2]):
        if len(measured) <= len(used):
            break
        system = terms[:, used] / measured[:, None]
        if np.linalg.matrix_rank(system / np.abs(system).max(axis=0).clip(1e-300), tol=1e-3) < len(used):
            continue
        line = np.zeros(3)
        line[used] = np.linalg.lstsq(system, np.ones(len(measured)), rcond=None)[0]
        hat = np.einsum("ij,ji->i", system, np.linalg.pinv(system))  # what each network weighs in its own prediction
        error = float(np.sum(np.square((1 - terms @ line / measured) / np.maximum(1 - hat, 1e-9))))
        if line[0] > 0 and (terms @ line > 0).all() and error < 0.98 * least:
            best, least = line, error
    return best


def _terms(sums: np.ndarray, blocks: np.ndarray) -> np.ndarray:
    return np.stack([sums, blocks, np.ones(len(sums))], axis=1)
