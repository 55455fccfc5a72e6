"""The report of one run, or the comparison of several: what `nas report` writes, for programs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from nas.errors import UserError, require
from nas.report.ties import tied_with
from nas.report.write import check_formats, write_comparison, write_report
from nas.run import Run, load_run, row_of


def report(
    runs: Run | str | Path | Sequence[Run | str | Path],
    formats: Sequence[str] | None = None,
    *,
    out: str | Path | None = None,
) -> list[Path]:
    """Writes the report of a run into its folder, or a comparison of several runs into the folder `out` (default: the
    working directory), and returns the paths of what was written.

    A run is given as `nas.search` returned it or by its folder. `formats`: some of html, csv, json, md and png, and of
    one run curves; by default those that `nas report` writes. Raises UserError for an unknown format, a folder that is
    not a run, a run that is given twice, and runs that cannot be compared.

        nas.report(["runs/tiny-raspberry-pi-4-1", "runs/tiny-raspberry-pi-4-2"], ["html"], out="compared")
    """
    if formats is not None:
        check_formats(formats)
    if not isinstance(runs, Run | str | Path):
        require("runs", runs, (list, tuple), "a run, its folder, or a list of them")
    require("out", out or "", (str, Path), "a folder")
    given = [runs] if isinstance(runs, Run | str | Path) else list(runs)
    if not given:
        raise UserError("a report needs at least one run")
    loaded = [r if isinstance(r, Run) else load_run(r) for r in given]
    if len({r.path.resolve() for r in loaded}) < len(loaded):
        raise UserError("runs are compared with each other; one was given twice")
    chosen = {} if formats is None else {"formats": formats}
    if len(loaded) > 1:
        return write_comparison(loaded, Path() if out is None else Path(out), **chosen)
    if out is not None:
        raise UserError("out is for several runs; the report of one is written into its folder")
    return write_report(loaded[0], **chosen)


def report_json(run: Run, written: Sequence[Path]) -> dict[str, Any]:
    """What `nas report --json` prints of one run: its front, every choice, and the files that were written.

    `tied_with`: the cheaper networks of the front that cannot be told from each one; `left_off` and `rank_quality`:
    as of `Run`.
    """
    ties = tied_with(run.front_trials)
    return {
        "run": str(run.path), "hypervolume": run.hypervolume, "written": [str(p) for p in written],
        "rank_quality": None if run.rank_quality is None else run.rank_quality.model_dump(),
        "front": [
            row_of(t) | {"tied_with": list(ties[t.trial]), "candidate": t.candidate.as_dict()} for t in run.front_trials
        ],
        "left_off": [t.trial for t in run.left_off],
    }  # fmt: skip
