"""nas pick --remeasure: the networks of a front, measured whole, beside what was predicted for them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from nas.cli.output import hushed, note, print_table
from nas.errors import UserError
from nas.numbers import figure, percent

if TYPE_CHECKING:
    from nas.run import Run


def remeasure_front(run: Run, ssh: str | None, python: str, threads: int, meter: str, *, show: bool) -> Run:
    """Measures the front's networks, writes measured.csv, and returns the run with it; prints both if `show`.

    A stopped measurement goes on where it was. Raises UserError.
    """
    from nas.cli.profile import packing
    from nas.device.profile import load_device
    from nas.profiling.boards.local import Stopped, check_board, clean, prepare, run_here, run_there
    from nas.profiling.build.run_networks import plan_of_trials, remeasured
    from nas.run import load_run, make_folder, write_measured
    from nas.space.search_space import load_space

    s, space = run.settings, load_space(run.settings.space)
    if space.fingerprint != s.space_sha256:
        raise UserError(f"space {s.space} has changed since {run.path} was made, so its networks cannot be built")
    if meter == "external":
        raise UserError("--remeasure reads the board's own meter: rapl, ina3221 or nvml; came external")
    before = run.measured
    try:
        device = load_device(s.device)
        about = device.about if device.fingerprint == s.device_sha256 else None
    except UserError:  # gone: then times stay at the speed that this machine has
        about = None
    if ssh:
        check_board(ssh, python=python)
    plan = plan_of_trials(space, run.front_trials, s.classes)
    folder = run.path / "measured"
    make_folder(folder)
    bundle = prepare(plan, folder, packing(len(plan.items)))
    arguments = ["--threads", str(threads), "--meter", meter]
    try:
        with hushed():
            results = run_there(ssh, bundle, arguments, python=python) if ssh else run_here(bundle, arguments)
    except Stopped as stopped:
        raise typer.Exit(stopped.status) from None
    found = remeasured(results, plan, about)
    now = {m.trial for m in found.trials}
    write_measured(run.path, [*found.trials, *(m for trial, m in before.items() if trial not in now)])
    clean(folder)
    if not found.trials:
        raise UserError(f"nothing of {run.path} could be measured: the runtime lacks {', '.join(plan.precisions)}")
    of = "a profile that has changed since" if about is None else about.board
    for line in (f"measured on {found.trials[0].where}; {s.device} is of {of}", *found.notes):
        note(line)
    measured = load_run(run.path)
    if show:
        _print(measured)
    return measured


def _print(run: Run) -> None:
    shown = [(t, run.measured[t.trial]) for t in run.front_trials if t.trial in run.measured]
    energy = any(m.energy_mj is not None for _, m in shown)
    rows = []
    for t, m in shown:
        off = m.latency_ms / t.costs.latency_ms - 1
        row = [str(t.trial), percent(t.accuracy), t.candidate.precision, figure(t.costs.latency_ms)]
        row += [figure(m.latency_ms), f"{100 * off:+.0f}%"]
        rows.append(row + [figure(t.costs.energy_mj), figure(m.energy_mj)] * energy)
    heads = ["trial", "val", "", "predicted ms", "measured ms", "off", *["predicted mJ", "measured mJ"] * energy]
    print_table(heads, rows, right=[h for h in heads if h])
