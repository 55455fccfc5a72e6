"""nas report: the front of a run again, as tables and pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nas.cli.output import print_json


def report(
    run: Annotated[Path, typer.Argument(help="The run's folder.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print the front as JSON.")] = False,
) -> None:
    """Write a run's pareto.csv, pareto.json and pictures again, and print its front.

    Example: nas report runs/tiny-raspberry-pi-4-1
    """
    from nas.report import front_table, write_report
    from nas.run import load_run, row_of

    found = load_run(run)
    written = write_report(found)
    if as_json:
        print_json({
            "run": str(run), "hypervolume": found.hypervolume, "written": [str(p) for p in written],
            "front": [row_of(t) | {"candidate": t.candidate.as_dict()} for t in found.front_trials],
        })  # fmt: skip
        return
    from rich.console import Console

    Console().print(front_table(found))
    print("Written: " + ", ".join(str(p) for p in written))
