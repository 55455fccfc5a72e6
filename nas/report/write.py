"""Everything that a report consists of, written into the run folder."""

from __future__ import annotations

from pathlib import Path

from nas.report.picture import draw_front
from nas.run import Run, write_trials


def write_report(run: Run) -> list[Path]:
    """Writes pareto.csv, pareto.json and front.png again and returns their paths. Raises UserError on a full disk."""
    write_trials(run.path, run.settings, run.trials)
    return [run.path / "pareto.csv", run.path / "pareto.json", draw_front(run)]
