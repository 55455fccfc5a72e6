"""nas report: the page that a team picks a network from, and the same as tables and charts."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nas.cli.amounts import listed
from nas.cli.output import print_json
from nas.files.plain import printable


def report(
    runs: Annotated[list[Path], typer.Argument(help="The folder of a run, or several to compare.")],
    formats: Annotated[
        str | None,
        typer.Option(
            "--format",
            help="Some of html, md, png, csv, json (the front) and curves (the trainings), separated by commas "
            "(default: html,md,png; for several runs also csv,json).",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="For several runs: the folder of comparison.html and the rest (default: here)."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the front as JSON.")] = False,
) -> None:
    """Write a run's report.html and charts, and print its front; compare several runs.

    report.html is one file that needs no network: mail it, or open it in a browser. A comparison
    groups runs that differ only in their seed.

    Example: nas report runs/tiny-raspberry-pi-4-1

    Two devices side by side: nas report runs/tiny-raspberry-pi-4-1 runs/tiny-xavier-1 --format html
    """
    from nas.report.compare import compare_json, compare_table
    from nas.report.report import report as write_files
    from nas.report.report import report_json
    from nas.report.table import front_table
    from nas.report.write import check_formats
    from nas.run import load_run

    wanted = None if formats is None else listed(formats)
    if wanted is not None:
        check_formats(wanted)
    loaded = [load_run(run) for run in runs]
    written = write_files(loaded, wanted, out=out)
    several = len(loaded) > 1
    if as_json:
        print_json(compare_json(loaded) if several else report_json(loaded[0], written))
        return
    from rich.console import Console

    Console().print(compare_table(loaded) if several else front_table(loaded[0]))
    print(printable("Written: " + ", ".join(str(p) for p in written)))
