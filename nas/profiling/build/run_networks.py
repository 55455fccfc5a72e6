"""Networks of a run measured whole, on this machine or a board, to stand beside what was predicted for them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from nas.device.profile import About
from nas.errors import UserError
from nas.profiling.energy.windows import measured_energy
from nas.profiling.plan.plan import Plan, network_item, numbered, references
from nas.profiling.results.machine import same_machine
from nas.profiling.results.results import Results
from nas.profiling.results.timings import pooled, speeds
from nas.run import MeasuredCosts, Trial
from nas.space.layer import PRECISIONS
from nas.space.search_space import SearchSpace


def plan_of_trials(space: SearchSpace, trials: Sequence[Trial], classes: int) -> Plan:
    """A plan of these networks, each in its own precision. Raises UserError where that is not possible."""
    if not trials:
        raise UserError("the run has no network to measure yet")
    precisions = tuple(p for p in PRECISIONS if p in {t.candidate.precision for t in trials})
    items = [
        network_item(space, t.candidate, t.candidate.precision, "check", name=f"trial-{t.trial}", classes=classes)
        for t in trials
    ]
    return Plan(space, None, 0, (*references(space, None, precisions), *numbered(items)))


@dataclass(frozen=True)
class Remeasured:
    """What each trial's network took, and what the user should know of it, a line each."""

    trials: tuple[MeasuredCosts, ...]
    notes: tuple[str, ...]


def remeasured(results: Results, plan: Plan, about: About | None = None) -> Remeasured:
    """What each planned network took.

    On the machine that the profile `about` is of, times are at the speed that the profile means, if both took turns
    with the same reference network; elsewhere they are as measured. Energy includes the idle power, or not, as the
    profile's does. Raises UserError for a date that is none.
    """
    machine, notes = results.machine, []
    at = dict(about.reference_ms) if about and same_machine(about, results) else {}
    for precision, ms in speeds(results).items():
        if precision in at:
            notes.append(f"{precision}: times are divided by {ms / at[precision]:.3f}, to the speed of the profile")
    times = pooled(results, at)
    energies: dict[str, float] = {}
    if results.energy is not None:
        try:
            net = about is not None and about.energy_without_idle
            items = measured_energy(results.energy).items
            energies = {name: e.net_mj if net else e.mj for name, e in items.items()}
        except UserError as error:
            notes.append(f"no energy: {error}")
    board = machine.board or f"{machine.system} {machine.machine}"
    threads = f"{machine.threads} thread" + "s" * (machine.threads > 1)
    where = ", ".join(filter(None, [board, machine.processor, machine.runtime, threads]))
    found = []
    for item in plan.items:  # the names are ours, whatever the results say
        if item.kind == "check" and item.id in times:
            try:
                date = datetime.fromtimestamp(results.items[item.id][0].at, UTC).date().isoformat()
            except (ValueError, OverflowError, OSError):
                raise UserError("the results of the agent have a time that is none") from None
            mj = energies.get(item.id, 0.0)
            time, trial = times[item.id], int(item.name.removeprefix("trial-"))
            found.append(MeasuredCosts(trial, time.median_ms, time.p90_ms, mj if mj > 0 else None, where, date))
    return Remeasured(tuple(found), tuple(notes))
