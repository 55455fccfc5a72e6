"""Networks of a run measured whole, on this machine or a board, to stand beside what was predicted for them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from nas.device.profile import About
from nas.errors import UserError
from nas.profiling.energy import measured_energy
from nas.profiling.plan import MEASURABLE, Plan, network_item, numbered, references
from nas.profiling.results import Results, pooled
from nas.run import MeasuredCosts, Trial
from nas.space.layer import PRECISIONS
from nas.space.search_space import SearchSpace


def plan_of_trials(space: SearchSpace, trials: Sequence[Trial], classes: int) -> Plan:
    """A plan of these networks, each in its own precision. Raises UserError where that is not possible."""
    if not trials:
        raise UserError("the run has no network to measure yet")
    precisions = tuple(p for p in PRECISIONS if p in {t.candidate.precision for t in trials})
    if odd := [p for p in precisions if p not in MEASURABLE]:
        raise UserError(f"{odd[0]} cannot be measured; {', '.join(MEASURABLE)} can")
    items = [
        network_item(space, t.candidate, t.candidate.precision, "check", name=f"trial-{t.trial}", classes=classes)
        for t in trials
    ]
    return Plan(space, None, 0, (*references(space, None, precisions), *numbered(items)))


def measured_trials(results: Results, about: About | None = None) -> list[MeasuredCosts]:
    """What each trial's network took; at the speed that the profile means, where it had the same reference network."""
    at = dict(about.reference_ms) if about and about.reference and about.reference == results.reference else {}
    times, machine = pooled(results, at), results.machine
    energy = measured_energy(results.energy, None) if results.energy is not None else None
    board = machine.board or f"{machine.system} {machine.machine}"
    threads = f"{machine.threads} thread" + "s" * (machine.threads > 1)
    where = ", ".join(filter(None, [board, machine.processor, machine.runtime, threads]))
    found = []
    for item in results.items_of("check"):
        time = times[item.id]
        date = datetime.fromtimestamp(results.items[item.id][0].at, UTC).date().isoformat()
        mj = energy.items[item.id].mj if energy is not None and item.id in energy.items else None
        number = int(item.name.removeprefix("trial-"))
        found.append(MeasuredCosts(number, time.median_ms, time.p90_ms, mj, where, date))
    return found
