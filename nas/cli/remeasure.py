"""nas pick --remeasure: the networks of a front, measured whole, beside what was predicted for them."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import typer

from nas.cli.output import figure, percent, print_table
from nas.errors import UserError

if TYPE_CHECKING:
    from nas.run import Run


def remeasure_front(run: Run, ssh: str | None, python: str, threads: int, meter: str, *, show: bool) -> Run:
    """Measures the front's networks, writes measured.csv, and returns the run with it; prints both if `show`.

    A stopped measurement goes on where it was. Raises UserError.
    """
    from nas.cli.profile import packing
    from nas.device.profile import load_device
    from nas.profiling.local import Stopped, check_board, clean, prepare, run_here, run_there
    from nas.profiling.run_networks import measured_trials, plan_of_trials
    from nas.run import load_run, write_measured
    from nas.space.search_space import load_space

    s, space = run.settings, load_space(run.settings.space)
    if space.fingerprint != s.space_sha256:
        raise UserError(f"space {s.space} has changed since {run.path} was made, so its networks cannot be built")
    try:
        about = load_device(s.device).about
    except UserError:  # gone: then times stay at the speed that this machine has
        about = None
    if ssh:
        check_board(ssh, python=python)
    plan = plan_of_trials(space, run.front_trials, s.classes)
    folder = run.path / "measured"
    folder.mkdir(exist_ok=True)
    bundle = prepare(plan, folder, packing(len(plan.items)))
    arguments = ["--threads", str(threads), "--meter", meter]
    try:
        results = run_there(ssh, bundle, arguments, python=python) if ssh else run_here(bundle, arguments)
    except Stopped as stopped:
        raise typer.Exit(stopped.status) from None
    found = measured_trials(results, about)
    write_measured(run.path, [*found, *(m for t, m in run.measured.items() if t not in {f.trial for f in found})])
    clean(folder)
    if not found:
        raise UserError(f"nothing of {run.path} could be measured: the runtime lacks {', '.join(plan.precisions)}")
    if about is not None:
        print(f"measured on {found[0].where}; the profile {s.device} is of {about.board}", file=sys.stderr)
    measured = load_run(run.path)
    if show:
        _print(measured)
    return measured


def _print(run: Run) -> None:
    rows = []
    for t in run.front_trials:
        if (m := run.measured.get(t.trial)) is None:
            continue
        off = m.latency_ms / t.costs.latency_ms - 1
        energy = [] if m.energy_mj is None else [figure(t.costs.energy_mj), figure(m.energy_mj)]
        rows.append([
            str(t.trial), percent(t.accuracy), t.candidate.precision, figure(t.costs.latency_ms), figure(m.latency_ms),
            f"{100 * off:+.0f}%", *energy,
        ])  # fmt: skip
    heads = ["trial", "val", "", "predicted ms", "measured ms", "off", "predicted mJ", "measured mJ"][: len(rows[0])]
    print_table(heads, rows, right=[h for h in heads if h])
