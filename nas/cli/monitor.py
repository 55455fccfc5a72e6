"""nas monitor: what a served folder has noted."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated

import typer

from nas.cli.output import Quiet, note, print_json, print_lines, print_table

if TYPE_CHECKING:
    from nas.monitor.log import Log

EVENTS = 20  # that are printed, the last ones


def monitor(
    folder: Annotated[str, typer.Argument(metavar="FOLDER", help="The folder; with --ssh, its path on the board.")],
    ssh: Annotated[str | None, typer.Option(metavar="USER@HOST", help="Fetch state and log of this board.")] = None,
    html: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write a page: what happened over time, and what to do next.")
    ] = None,
    quiet: Quiet = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show what a served deployment has noted: frames, latency, estimated accuracy, alarms, and what to do next.

    Over ssh only the state and the log are fetched: no frame leaves the board.

    Example: nas monitor flowers --ssh pi@raspberrypi
    """
    from nas.monitor.log import read_log

    if ssh is None:
        _show(read_log(Path(folder)), folder, as_json, html)
        return
    from nas.monitor.fetch import fetch

    with TemporaryDirectory(prefix="nas-monitor-") as scratch:
        fetch(ssh, folder, Path(scratch))
        _show(read_log(Path(scratch)), folder, as_json, html)


def _show(log: Log, folder: str, as_json: bool, html: Path | None) -> None:
    from dataclasses import asdict
    from datetime import UTC, datetime

    from nas.monitor.advice import next_steps
    from nas.monitor.objects import HEADS as OBJECTS
    from nas.monitor.objects import cells_of as objects_cells
    from nas.monitor.objects import measure_of, more_classes, object_rows
    from nas.monitor.table import HEADS, cells_of, events_of, periods_of, shares_of

    periods, events = periods_of(log), events_of(log)
    now = datetime.now(UTC)
    if html is not None:
        from nas.files.atomic import write_atomic
        from nas.monitor.page import monitor_page

        write_atomic(html, monitor_page(log, folder, now).encode())
        note(f"Written: {html}")
    steps = next_steps(log, folder, now)
    if as_json:
        rows = [asdict(p) | {"start": p.start.isoformat(), "end": p.end.isoformat()} for p in periods]
        happened = [{"time": time.isoformat(), "what": what} for time, what in events]
        counted = [asdict(row) for row in object_rows(log)]
        print_json({"periods": rows, "objects": counted, "events": happened, "next": steps})
        return
    heads = [head.replace("accuracy", measure_of(log)) for head in HEADS]
    print_table(
        heads, [cells_of(period) for period in periods], right=[h for h in heads if h not in ("version", "UTC")]
    )
    if shares := shares_of(log):
        print_lines([shares])
    if objects := object_rows(log):
        print_table(OBJECTS, [objects_cells(row) for row in objects], right=OBJECTS[1:])
        if more := more_classes(log):
            note(f"of the classes that were seen the {len(objects) - 1} most frequent; {more} more were")
    if len(events) > EVENTS:
        note(f"of {len(events)} events the last {EVENTS}; --json has all")
    print_table(["UTC", "what happened"], [(f"{time:%m-%d %H:%M}", what) for time, what in events[-EVENTS:]])
    print_lines(steps)
