"""A device profile from what the agent measured: costs of blocks, the lines through whole networks, and their error."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from nas.device.calibration import EnergyLine, Line
from nas.device.compare.with_measured import Measured
from nas.device.fit.held_out import SEEDS, check, random_folds
from nas.device.fit.rates import FittedProfile, Split
from nas.device.tables.blocks import BlockTime
from nas.device.tables.rates import Quantity, Rates
from nas.device.tables.validation import HeldOutError, Validation
from nas.errors import UserError
from nas.profiling.energy.windows import MeasuredEnergy, fit_energy
from nas.profiling.results.results import PlannedItem, Results, candidate_of
from nas.profiling.results.timings import Timing, pooled, steadiness
from nas.space.block_table import all_blocks
from nas.space.layer import Precision
from nas.space.network import Network
from nas.space.search_space import SearchSpace

LEAST = 4  # whole networks
FORMS: tuple[list[int], ...] = ([0], [0, 3], [0, 1], [0, 2], [0, 2, 3], [0, 1, 2])
LARGEST_SWING = 3.0  # of the reference, 90th percentile over 10th: beyond it runs side by side are not alike either
LEFT_OUT: Split = "network"  # a fifth of the networks at a time
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
    """The whole networks among the results, by their id. Raises UserError for one that is not of the space."""
    return {
        item.id: space.network(space.decode(space.encode(candidate_of(space, item))))
        for item in results.items_of("calibrate", "check")
    }


@dataclass(frozen=True, slots=True)
class _Measured:
    """Whole networks of one precision."""

    items: Sequence[PlannedItem]
    networks: Sequence[Network]


def space_profile(results: Results, energy: MeasuredEnergy | None = None) -> SpaceProfile:
    """Puts sums of blocks on a line through the whole networks, and predicts each from a line without it.

    Energy likewise where the meter resolves single blocks, else by rates fitted to the whole networks. Raises UserError
    when something of the plan was not measured, or the space is not the one that was planned.
    """
    space, times = results.space(), pooled(results)
    networks = measured_networks(results, space)
    blocks = results.items_of("block")
    keys = {block.key for block in all_blocks(space, resolution=results.plan.space.resolution)}
    if odd := next((item.name for item in blocks if item.name not in keys), None):
        raise UserError(f"results: the block {odd[:80]} is not one of the space {space.name}")
    by_block = energy is not None and bool(blocks) and not energy.unresolved([item.id for item in blocks])
    lines: dict[Precision, Line] = {}
    energy_lines: dict[Precision, EnergyLine] = {}
    rows: list[Validation] = []
    errors: list[HeldOutError] = []
    for precision in results.precisions:
        found = _of_precision(results, networks, precision)
        table = {item.name: times[item.id].median_ms for item in blocks if item.precision == precision}
        measured = np.array([times[item.id].median_ms for item in found.items])
        line, ms, error = calibrated(found.networks, table, measured, precision, "latency")
        slope, each, weights, offset = line
        lines[precision] = Line(slope=slope, offset_ms=offset, per_block_ms=each, per_million_params_ms=weights)
        errors.append(error)
        measured_mj, mj = np.full(len(measured), np.nan), np.full(len(measured), np.nan)
        if energy is not None and by_block:
            table = {item.name: energy.items[item.id].mj for item in blocks if item.precision == precision}
            kept = [i for i, item in enumerate(found.items) if item.id in energy.items]
            read = _Measured([found.items[i] for i in kept], [found.networks[i] for i in kept])
            if len(kept) < LEAST:
                raise UserError(
                    f"results: energy in {precision} needs the windows of {LEAST} whole networks or more; it has "
                    f"{len(kept)}" + "".join(f": {reason}" for reason in energy.lost[:1])
                )
            measured_mj[kept] = [energy.items[item.id].mj for item in read.items]
            line, mj[kept], error = calibrated(read.networks, table, measured_mj[kept], precision, "energy")
            slope, each, weights, offset = line
            energy_lines[precision] = EnergyLine(
                slope=slope, offset_mj=offset, per_block_mj=each, per_million_params_mj=weights
            )
            errors.append(error)
        rows += [
            Validation(item.name, precision, LEFT_OUT, *(None if np.isnan(x) else float(x) for x in figures))  # type: ignore[arg-type]
            for item, *figures in zip(found.items, measured, ms, measured_mj, mj, strict=True)
        ]
    fitted = None if energy is None or by_block else _fitted_energy(results, networks, times, energy)
    if fitted:
        energies = {(v.network, v.precision): v for v in fitted.validation}
        rows = [_with_energy(row, energies.get((row.network, row.precision))) for row in rows]
        errors += [error for error in fitted.errors if error.quantity == "energy"]
    fitted_to = 0 if by_block else sum(row.measured_mj is not None for row in rows)
    return SpaceProfile(
        tuple(_block_cost(item, times[item.id], energy if by_block else None) for item in blocks),
        lines,
        tuple(rows),
        tuple(errors),
        energy_lines,
        fitted.rates if fitted else None,
        energy.definition(idle=True, fitted_to=fitted_to) if energy else None,
    )


def _with_energy(row: Validation, fitted: Validation | None) -> Validation:
    return replace(row, measured_mj=fitted.measured_mj, predicted_mj=fitted.predicted_mj) if fitted else row


def _block_cost(item: PlannedItem, time: Timing, energy: MeasuredEnergy | None) -> BlockTime:
    mj = energy.items[item.id].mj if energy else None
    return BlockTime(item.name, item.precision, time.median_ms, time.p90_ms, time.runs, mj, time.p99_ms)


def _of_precision(results: Results, networks: Mapping[str, Network], precision: Precision) -> _Measured:
    items = [item for item in results.items_of("calibrate", "check") if item.precision == precision]
    if len(items) < LEAST:
        raise UserError(f"results: {precision} has {len(items)} whole networks measured; at least {LEAST} are needed")
    return _Measured(items, [networks[item.id] for item in items])


def calibrated(
    networks: Sequence[Network], table: Mapping[str, float], measured: np.ndarray, precision: Precision,
    quantity: Quantity,
) -> tuple[tuple[float, float, float, float], np.ndarray, HeldOutError]:  # fmt: skip
    """The line of `fit_line`, what lines without each network give for it (n,), and the error of those.

    `measured` (n,) is what the networks cost, `table` what each of their blocks does. Raises UserError for a block that
    the table lacks.
    """
    if lacking := next((b.key for network in networks for b in network.blocks if b.key not in table), None):
        raise UserError(f"results: the block {lacking} was not measured in {precision}, but networks have it")
    terms = np.array([
        (sum(table[block.key] for block in network.blocks), len(network.blocks), network.params / 1e6, 1.0)
        for network in networks
    ])  # fmt: skip
    macs = np.array([network.macs for network in networks], dtype=float)

    def by_line(rest: np.ndarray, wanted: np.ndarray) -> np.ndarray:
        return on_line(terms[wanted], fit_line(terms[rest], measured[rest]))

    foldings = [random_folds(len(measured), seed) for seed in range(SEEDS)]
    error, left_out = check(by_line, measured, macs, foldings, precision, quantity, LEFT_OUT)
    slope, per_block, per_million_params, offset = fit_line(terms, measured).tolist()
    return (slope, per_block, per_million_params, offset), left_out, error


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


def on_line(terms: np.ndarray, line: np.ndarray) -> np.ndarray:
    """What a line (4,) gives for networks with these terms (n, 4); where that is not above 0, the sum of the blocks.

    A prediction from the profile does the same.
    """
    found = terms @ line
    return np.asarray(np.where(found > 0, found, terms[:, 0]))


def fit_line(terms: np.ndarray, measured: np.ndarray) -> np.ndarray:
    """Slope, cost per block, per million parameters, and offset, (4,), of whole networks that cost `measured` (n,).

    `terms` (n, 4) are the sum of block costs, the number of blocks, millions of parameters, and 1. Relative least
    squares. Of the forms that have some of the terms, the one that predicts each network best from the others: networks
    alike in size or in depth do not tell the terms apart.
    """
    best, least = np.zeros(4), np.inf
    for used in FORMS:
        if len(measured) <= len(used):
            continue
        system = terms[:, used] / measured[:, None]
        if np.linalg.matrix_rank(system / np.abs(system).max(axis=0).clip(1e-300), tol=1e-3) < len(used):
            continue
        line = np.zeros(4)
        line[used] = np.linalg.lstsq(system, np.ones(len(measured)), rcond=None)[0]
        hat = np.einsum("ij,ji->i", system, np.linalg.pinv(system))  # what each network weighs in its own prediction
        error = float(np.sum(np.square((1 - terms @ line / measured) / np.maximum(1 - hat, 1e-9))))
        if line[0] > 0 and line[2] >= 0 and (terms @ line > 0).all() and error < 0.98 * least:
            best, least = line, error
    return best
