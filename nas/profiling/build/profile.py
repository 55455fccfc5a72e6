"""From results.json to a device profile's folder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nas.device.folder import require_ours, write_profile
from nas.device.info import About
from nas.device.profile import read_profile
from nas.device.tables.validation import HeldOutError, Validation
from nas.errors import UserError
from nas.profiling.build.description import describe
from nas.profiling.build.quick import quick_profile
from nas.profiling.build.space_profile import LEFT_OUT, require_steady, space_profile
from nas.profiling.energy.trace_file import read_trace
from nas.profiling.energy.windows import MeasuredEnergy, measured_energy
from nas.profiling.results.command import command_of
from nas.profiling.results.results import Results
from nas.space.layer import Precision

AGREE = 0.03  # two measurements of one machine, on average over whole networks


@dataclass(frozen=True, slots=True)
class Built:
    """What was written. `agreement`: with the profile that was in the folder before, None where there was none."""

    about: About
    errors: tuple[HeldOutError, ...]
    agreement: str | None
    lost: tuple[str, ...] = ()  # energy windows that could not be read, and why


def build_profile(
    results: Results, folder: Path, power: Path | None = None, *,
    units: Mapping[str, float] | None = None, noisy: bool,
) -> Built:  # fmt: skip
    """Writes the profile that the results make, with energy where a meter or the trace `power` of one tells it.

    `units` are of the trace, where nothing in it says them, as `read_trace` takes them.

    Raises UserError when the folder is not a profile's, the machine was too uneven (unless `noisy`), or results or
    trace are not whole.
    """
    require_ours(folder)
    if not noisy:
        require_steady(results)
    energy = _energy(results, power, units)
    found = quick_profile(results, folder.name, energy) if results.plan.quick else space_profile(results, energy)
    command = command_of(results, noisy=noisy, power=power.name if power else None)
    about = describe(folder.name, results, found, command)
    agreement = None
    if (folder / "profile.toml").exists():
        before = read_profile(folder)
        alike = before.about.reference == about.reference
        slower = {
            p: ms / about.reference_ms[p] for p, ms in before.about.reference_ms.items() if p in about.reference_ms
        }
        agreement = compared(before.validation, found.validation, slower if alike else {})
    about = about.model_copy(update={"repeatability": agreement, "idle_w": energy.idle_w if energy else None})
    write_profile(
        folder, about, lookup_table=found.blocks, rates=found.rates, validation=found.validation, errors=found.errors
    )
    return Built(about, found.errors, agreement, energy.lost if energy else ())


def _energy(results: Results, power: Path | None, units: Mapping[str, float] | None) -> MeasuredEnergy | None:
    if results.energy is None:
        if power:
            raise UserError(f"{power}: the agent must know that a meter runs beside it: measure with --meter external")
        return None
    return measured_energy(results.energy, read_trace(power, units) if power else None)


def compared(
    before: tuple[Validation, ...], now: tuple[Validation, ...], slower: Mapping[Precision, float] | None = None
) -> str | None:
    """Whether two measurements of the same whole networks agree, in words; None where they have none in common.

    `slower` says by what factor the machine was slower before, by its reference, if it is known.
    """
    first = {(row.network, row.precision): row.measured_ms for row in before if row.split == LEFT_OUT}
    common = [row for row in now if (row.network, row.precision) in first]
    if not common:
        return None
    ratios = np.array([row.measured_ms / first[row.network, row.precision] for row in common])
    off = float(np.mean(np.abs(ratios - 1)))
    verdict = "agrees" if off <= AGREE else "does NOT agree"
    said = (
        f"{verdict} within {100 * AGREE:g}% with the measurement before it: {100 * off:.1f}% on average over "
        f"{len(common)} whole networks"
    )
    if slower and all(row.precision in slower for row in common):
        corrected = ratios * [slower[row.precision] for row in common]
        said += f", {100 * float(np.mean(np.abs(corrected - 1))):.1f}% once both are at one speed of the machine"
    return said
