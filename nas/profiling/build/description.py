"""What profile.toml says of a profile that was measured by the agent."""

from __future__ import annotations

from datetime import UTC, datetime

from nas.device.info import About
from nas.profiling.build.space_profile import SpaceProfile
from nas.profiling.results.machine import identity_of
from nas.profiling.results.results import CLOCKS, Results
from nas.profiling.results.timings import pooled, speeds, steadiness


def describe(name: str, results: Results, found: SpaceProfile, command: str) -> About:
    """The board, how it was measured, and how even it was meanwhile."""
    machine, planned = results.machine, results.plan
    at = f" at {planned.space.resolution} pixels" if planned.space.resolution else ""
    where = f" on processors {', '.join(map(str, machine.cpus))}" if machine.cpus else ""
    return About(
        name=name,
        board=identity_of(results).name,
        soc=machine.processor,
        runtime=machine.runtime,
        threads=machine.threads,
        ram_mb=machine.ram_mb,
        precisions=list(results.precisions),
        statistic="median",
        protocol=f"each block in rounds of random order, every run in turn with one of a reference network, of either "
        f"the second of two, until the median is known within {100 * planned.settings.get('within', 0):g}% or "
        f"{planned.settings.get('rounds', 0):g} rounds are over; whole networks three times as often; a new session "
        f"each time, warmed up; batch 1{where}",
        clock=CLOCKS[machine.clock],
        date=datetime.fromtimestamp(_first(results), UTC).date().isoformat(),
        source="measured by nas profile",
        noise=_noise(results),
        reference=results.reference,
        reference_ms={p: float(f"{ms:.6g}") for p, ms in speeds(results).items()},
        limits=f"the {planned.space.name} space{at}; networks with other blocks have no known cost",
        energy=found.energy,
        adapted_from=list(found.adapted_from),
        command=command,
        calibration=dict(found.calibration),
        energy_calibration=dict(found.energy_calibration),
    )


def _first(results: Results) -> float:
    return min(visit.at for visits in results.items.values() for visit in visits)


def _noise(results: Results) -> str:
    even, times = steadiness(results), pooled(results).values()
    within = results.plan.settings.get("within", 0)
    wide = sum(t.within > within for t in times)
    before, after = results.machine.before, results.machine.after
    said = [
        f"the reference's speed varied {even.swing:.2f}-fold (10th to 90th percentile), which was corrected",
        f"{wide} of {len(times)} medians are not known within {100 * within:g}%",
    ]
    if even.drift is not None:
        said.append(f"whole networks differ by {100 * even.drift:.1f}% between the halves of the measurement")
    if before.governor:
        said.append(f"governor {before.governor}")
    for what, unit in (("mhz", "MHz"), ("celsius", "°C")):
        values = getattr(before, what), getattr(after, what)
        if None not in values:
            said.append(f"{values[0]:.0f} to {values[1]:.0f} {unit}")
    return "; ".join([*said, *results.machine.throttled])
