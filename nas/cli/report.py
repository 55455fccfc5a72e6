"""nas report: the page that a team picks a network from, and the same as tables and pictures."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nas.cli.amounts import listed
from nas.cli.output import print_json

if TYPE_CHECKING:
    from nas.run import Run


def report(
    runs: Annotated[list[Path], typer.Argument(help="A run's folder; several are put side by side.")],
    formats: Annotated[
        str | None,
        typer.Option(
            "--format",
            help="Some of html, md, png, csv and json (of the front), curves (of the trainings), with commas between "
            "(default: html,md,png; of several runs also csv,json).",
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Of several runs: the folder for comparison.html and so on (default: here).")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the front as JSON.")] = False,
) -> None:
    """Write a run's report.html, tables and pictures, and print its front; of several runs, compare them.

    report.html is one file that needs no network: mail it, or open it in a browser.

    Example: nas report runs/tiny-raspberry-pi-4-1

    Two devices side by side: nas report runs/tiny-raspberry-pi-4-1 runs/tiny-xavier-1 --format html
    """
    from nas import report as reports
    from nas.errors import UserError
    from nas.run import load_run, row_of

    default = reports.FORMATS if len(runs) > 1 else reports.PAGES
    wanted = list(default) if formats is None else listed(formats)
    reports.check_formats(wanted)
    found = [load_run(run) for run in runs]
    if len({run.resolve() for run in runs}) < len(runs):
        raise UserError("a run is compared with others; one was given twice")
    if len(found) > 1:
        _compare(found, out or Path(), wanted, as_json)
        return
    if out is not None:
        raise UserError("--out is for several runs; the report of one is in its folder")
    run = found[0]
    written = reports.write_report(run, wanted)
    if as_json:
        print_json({
            "run": str(run.path), "hypervolume": run.hypervolume, "written": [str(p) for p in written],
            "front": [row_of(t) | {"candidate": t.candidate.as_dict()} for t in run.front_trials],
        })  # fmt: skip
        return
    from rich.console import Console

    Console().print(reports.front_table(run))
    print("Written: " + ", ".join(str(p) for p in written))


def _compare(runs: list[Run], out: Path, formats: list[str], as_json: bool) -> None:
    from rich.console import Console

    from nas import report as reports
    from nas.report.compare import compare_json, compare_table

    written = reports.write_comparison(runs, out, formats)
    if as_json:
        print(compare_json(runs), end="")
        return
    Console().print(compare_table(runs))
    print("Written: " + ", ".join(str(p) for p in written))
