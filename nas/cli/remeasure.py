"""nas pick --remeasure: the networks of a front, measured whole, beside what was predicted for them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from nas.cli.output import hushed, note, print_table
from nas.numbers import figure
from nas.report.ties import expected_text

if TYPE_CHECKING:
    from nas.run import Run


def remeasure_front(run: Run, ssh: str | None, python: str, threads: int | None, meter: str, *, show: bool) -> Run:
    """Measures the front's networks and returns the run with what they took; prints both if `show`."""
    from nas.cli.profile import packing
    from nas.profiling.boards.local import Stopped
    from nas.profiling.remeasure import remeasure

    try:
        with hushed():
            found = remeasure(
                run,
                ssh=ssh,
                python=python,
                threads=threads,
                meter=meter,
                progress=packing(len(run.front_trials) + len(run.left_off)),
            )
    except Stopped as stopped:
        raise typer.Exit(stopped.status) from None
    for line in found.notes:
        note(line)
    if show:
        _print(found.run)
    return found.run


def _print(run: Run) -> None:
    shown = [(t, run.measured[t.trial]) for t in (*run.front_trials, *run.left_off) if t.trial in run.measured]
    energy = any(m.energy_mj is not None for _, m in shown)
    rows = []
    for t, m in shown:
        off = m.latency_ms / t.costs.latency_ms - 1
        row = [
            str(t.trial),
            expected_text(t, run.settings.validation_images),
            t.candidate.precision,
            figure(t.costs.latency_ms),
        ]
        row += [figure(m.latency_ms), f"{100 * off:+.0f}%"]
        rows.append(row + [figure(t.costs.energy_mj), figure(m.energy_mj)] * energy)
    heads = ["trial", "accuracy", "", "predicted ms", "measured ms", "off", *["predicted mJ", "measured mJ"] * energy]
    print_table(heads, rows, right=[h for h in heads if h])
