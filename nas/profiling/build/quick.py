"""A profile from ten networks, chosen by what the known devices disagree on, and adapted from those devices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from nas.catalog import names
from nas.device.adapt.adapt import Adapted, adapt, block_times, choose
from nas.device.adapt.known_devices import Library, library_of
from nas.device.calibration import EnergyLine, Line
from nas.device.fit.held_out import check
from nas.device.profile import DeviceProfile, load_device
from nas.device.tables.rates import Quantity
from nas.device.tables.validation import HeldOutError, Validation
from nas.errors import UserError
from nas.profiling.build.space_profile import LEAST, SpaceProfile
from nas.profiling.energy.windows import MeasuredEnergy
from nas.profiling.plan.plan import NETWORKS_QUICK, Plan, check_precisions, check_resolution, plan_of, sample_networks
from nas.profiling.results.results import PlannedItem, Results, candidate_of
from nas.profiling.results.timings import pooled
from nas.space.block_table import BlockTable, all_blocks, block_table
from nas.space.candidate import Candidate
from nas.space.layer import Precision
from nas.space.search_space import SearchSpace

if TYPE_CHECKING:
    from nas.device.tables.blocks import BlockTime

POOL = 1000  # random networks that the ten are chosen from


def quick_plan(
    space: SearchSpace, precisions: Sequence[Precision], resolution: int | None, seed: int, n: int = NETWORKS_QUICK
) -> Plan:
    """The n networks that tell most about a new device, in every precision. No device is measured for this.

    Raises UserError for a precision that is not measurable, a resolution that the space lacks, or a space of fewer
    than n networks.
    """
    check_precisions(precisions)
    fixed = check_resolution(space, resolution)
    candidates, pool = _pool(space, fixed, seed)
    library = _library(_known(), space, fixed, precisions[0], "latency")
    return plan_of(space, [candidates[row] for row in choose(library, pool, n)], precisions, seed, fixed)


def quick_profile(results: Results, name: str, energy: MeasuredEnergy | None = None) -> SpaceProfile:
    """Every block's cost, adapted to the networks measured; the profile called `name` is not among those known.

    The errors are of each network predicted from the others. Raises UserError when the space is not the one planned.
    """
    space, times, planned = results.space(), pooled(results), results.plan.space
    _, pool = _pool(space, planned.resolution, results.plan.seed)
    known = [profile for profile in _known() if profile.name != name]
    blocks: list[BlockTime] = []
    rows: list[Validation] = []
    errors: list[HeldOutError] = []
    lines: dict[Precision, Line] = {}
    energy_lines: dict[Precision, EnergyLine] = {}
    for precision in results.precisions:
        items = [item for item in results.items_of("calibrate") if item.precision == precision]

        def adapted(
            quantity: Quantity, cost: Mapping[str, float], precision: Precision = precision,
            items: Sequence[PlannedItem] = items,
        ) -> Adapted:  # fmt: skip
            """Adapted to those of the networks that have a cost."""
            candidates = [candidate_of(space, item) for item in items if item.id in cost]
            if len(candidates) < LEAST:
                raise UserError(
                    f"results: {quantity} in {precision} needs {LEAST} whole networks or more; it has {len(candidates)}"
                )
            networks = block_table(space, np.array([space.encode(candidate) for candidate in candidates]))
            macs = np.array([float(space.network(candidate).macs) for candidate in candidates])
            library = _library(known, space, planned.resolution, precision, quantity)
            found = adapt(library, pool, networks, [cost[item.id] for item in items if item.id in cost])
            each = [[np.array([i]) for i in range(len(candidates))]]
            errors.append(
                check(
                    lambda _, wanted: found.left_out[wanted], found.measured, macs, each, precision, quantity, "network"
                )[0]
            )
            return found

        ms = adapted("latency", {item.id: times[item.id].median_ms for item in items})
        mj = adapted("energy", {name: e.mj for name, e in energy.items.items()}) if energy else None
        blocks += block_times(ms, mj)
        lines[precision] = Line(slope=1, offset_ms=ms.offset)
        if mj:
            energy_lines[precision] = EnergyLine(slope=1, offset_mj=mj.offset)
        windows = iter(zip(mj.measured, mj.left_out, strict=True)) if mj else iter(())
        for item, *figures in zip(items, ms.measured, ms.left_out, strict=True):
            joules = next(windows) if energy and item.id in energy.items else (None, None)
            rows.append(Validation(item.name, precision, "network", *map(float, figures), *joules))
    measured = tuple(dict.fromkeys(item.name for item in results.items_of("calibrate")))
    fitted_to = sum(row.measured_mj is not None for row in rows)
    definition = energy.definition(idle=True, fitted_to=fitted_to) if energy else None
    return SpaceProfile(
        tuple(blocks), lines, tuple(rows), tuple(errors), energy_lines, energy=definition, adapted_from=measured
    )


def _pool(space: SearchSpace, resolution: int | None, seed: int) -> tuple[list[Candidate], BlockTable]:
    candidates = sample_networks(space, POOL, resolution, seed)
    return candidates, block_table(space, np.array([space.encode(candidate) for candidate in candidates]))


def _known() -> list[DeviceProfile]:
    """All profiles but those that were themselves adapted from others."""
    profiles = [load_device(name) for name in names("device_profiles")]
    return [profile for profile in profiles if not profile.about.adapted_from]


def _library(
    profiles: Sequence[DeviceProfile], space: SearchSpace, resolution: int | None, precision: Precision,
    quantity: Quantity,
) -> Library:  # fmt: skip
    return library_of(profiles, all_blocks(space, resolution=resolution), precision, quantity)
