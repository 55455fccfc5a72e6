"""The networks of a run's front measured whole on the run's device, to stand beside what was predicted for them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from nas.device.info import About
from nas.device.profile import load_device
from nas.errors import UserError
from nas.profiling.boards.local import check_board, clean, prepare, run_here, run_there, this_machine
from nas.profiling.energy.windows import measured_energy
from nas.profiling.plan.bundle import Progress
from nas.profiling.plan.plan import Plan, network_item, numbered, references
from nas.profiling.results.machine import identity_of, require_device, same_machine
from nas.profiling.results.results import Results
from nas.profiling.results.timings import pooled, speeds
from nas.run import MeasuredCosts, Run, Trial, load_run, make_folder, write_measured
from nas.space.layer import PRECISIONS
from nas.space.search_space import SearchSpace, load_space


@dataclass(frozen=True)
class Remeasured:
    """The run with what was measured in it, and what the user should know, a line each."""

    run: Run
    notes: tuple[str, ...]


def remeasure(
    run: Run, *, ssh: str | None = None, python: str = "python3", threads: int | None = None, meter: str = "none",
    progress: Progress | None = None,
) -> Remeasured:  # fmt: skip
    """Measures the networks of the front, and those left off it, here or on the board `ssh`, and writes them into the
    run's measured.csv.

    `threads` are the profile's unless given; `meter` is none, rapl, ina3221 or nvml. A stopped measurement goes on
    where it was. Raises UserError, also where the machine is not the device that the run was searched for; Stopped
    where the agent ended before it was done.
    """
    s, space = run.settings, load_space(run.settings.space)
    if space.fingerprint != s.space_sha256:
        raise UserError(f"space {s.space} has changed since {run.path} was made, so its networks cannot be built")
    if meter == "external":
        raise UserError("--remeasure reads the board's own meter: rapl, ina3221 or nvml; got external")
    device = load_device(s.device)
    about = device.about
    plan, before = plan_of_trials(space, (*run.front_trials, *run.left_off), s.classes), run.measured
    machine = check_board(ssh, python=python) if ssh else this_machine()
    where = ssh or "this machine"
    if machine is not None:  # before minutes of measuring
        require_device(about, machine, where)
    folder = run.path / "measured"
    make_folder(folder)
    bundle = prepare(plan, folder, progress)
    arguments = ["--threads", str(threads or about.threads or 1), "--meter", meter]
    results = run_there(ssh, bundle, arguments, python=python) if ssh else run_here(bundle, arguments)
    require_device(about, identity_of(results), where)
    found, notes = costs_of_trials(results, plan, about, at_its_speed=device.fingerprint == s.device_sha256)
    now = {m.trial for m in found}
    if not found:
        raise UserError(f"nothing of {run.path} could be measured: the runtime lacks {', '.join(plan.precisions)}")
    write_measured(run.path, [*found, *(m for trial, m in before.items() if trial not in now)])
    clean(folder)
    return Remeasured(load_run(run.path), (f"measured on {found[0].where}", *notes))


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


def costs_of_trials(
    results: Results, plan: Plan, about: About, *, at_its_speed: bool = True
) -> tuple[list[MeasuredCosts], list[str]]:
    """What the network of each trial took, and what the user should know of it, a line each.

    Times are at the speed that the profile `about` means, unless not `at_its_speed`, where profile and results were
    measured in turn with the same reference network; else they are as measured. Energy includes the idle power, or
    not, as the profile's does.
    """
    machine, notes = results.machine, []
    at = dict(about.reference_ms) if at_its_speed and same_machine(about, results) else {}
    for precision, ms in speeds(results).items():
        if precision in at:
            notes.append(f"{precision}: times are divided by {ms / at[precision]:.3f}, to the speed of the profile")
    times = pooled(results, at)
    energies: dict[str, float] = {}
    if results.energy is not None:
        try:
            items = measured_energy(results.energy).items
            energies = {name: e.net_mj if about.energy_without_idle else e.mj for name, e in items.items()}
            notes.append(f"energy is of {results.energy.includes}; the profile's: {about.energy or 'none'}")
        except UserError as error:
            notes.append(f"no energy: {error}")
    threads = f"{machine.threads} thread" + "s" * (machine.threads > 1)
    where = ", ".join([identity_of(results).name, machine.processor, machine.runtime, threads])
    found = []
    for item in plan.items:  # the names are ours, whatever the results say
        if item.kind == "check" and item.id in times:
            date = datetime.fromtimestamp(results.items[item.id][0].at, UTC).date().isoformat()
            mj = energies.get(item.id, 0.0)
            time, trial = times[item.id], int(item.name.removeprefix("trial-"))
            found.append(MeasuredCosts(trial, time.median_ms, time.p90_ms, mj if mj > 0 else None, where, date))
    return found, notes
