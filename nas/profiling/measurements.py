"""measurements.csv: every timing as it is made, so that an interrupted profile goes on where it stopped."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterable
from dataclasses import astuple, dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from nas.device.csv_file import number
from nas.errors import UserError
from nas.profiling.timing import Timing
from nas.space.layer import PRECISIONS, Precision


@dataclass(frozen=True, slots=True)
class Measurement:
    """One visit to one block or network: so many runs, batch 1, milliseconds, in turn with runs of a reference.

    `relative` is the median of a run's time over that of the reference runs around it.
    """

    name: str  # Block.key, or the name of a network
    precision: Precision
    visit: int  # from 0; the visits to one block lie far apart in time
    runtime: str
    threads: int
    median_ms: float
    p90_ms: float
    relative: float
    reference_ms: float
    runs: int


FIGURES = ("median_ms", "p90_ms", "relative", "reference_ms")
COLUMNS = tuple(field.name for field in fields(Measurement))


def append_measurement(path: Path, measurement: Measurement) -> Measurement:
    """Adds one row, written to the disk before this returns; a new file gets its header first. Gives it as written."""
    # as it will be read again, so that an interrupted profile ends with the same numbers
    figures: dict[str, Any] = {name: float(f"{getattr(measurement, name):.6g}") for name in FIGURES}
    measurement = replace(measurement, **figures)
    row = io.StringIO()
    writer = csv.writer(row, lineterminator="\n")
    if not path.exists() or not path.stat().st_size:
        writer.writerow(COLUMNS)
    writer.writerow(astuple(measurement))
    with path.open("a", encoding="utf-8", newline="") as file:
        file.write(row.getvalue())
        file.flush()
        os.fsync(file.fileno())
    return measurement


def read_measurements(path: Path, runtime: str, threads: int) -> list[Measurement]:
    """What was measured before, empty if there is no file; a last row cut off by a kill is removed from the file.

    Raises UserError if the file is something else, or was measured with another runtime or number of threads.
    """
    if not path.exists():
        return []
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: not a readable CSV file: {error}") from None
    whole = text[: text.rfind("\n") + 1]
    header = ",".join(COLUMNS)
    if not (whole or text).startswith(header[: len(text)]):
        raise UserError(f"{path}: is no file of measurements; its first line must be {header}")
    rows = csv.DictReader(io.StringIO(whole))
    found = [_measurement(row, path, rows.line_num) for row in rows]
    for m in found:
        if (m.runtime, m.threads) != (runtime, threads):
            raise UserError(
                f"{path}: was measured with {m.runtime} on {m.threads} threads, this is {runtime} on {threads};"
                " choose another folder"
            )
    if whole != text:
        path.write_text(whole, encoding="utf-8")
    return found


def _measurement(row: dict[str, str | None], path: Path, line: int) -> Measurement:
    precision = next((p for p in PRECISIONS if p == row["precision"]), None)
    if precision is None or not row["name"] or not (row["visit"] or "").isdigit():
        raise UserError(f"{path}: line {line} is no measurement")
    median_ms, p90_ms, relative, reference_ms = (number(row[column], path, line, column) for column in FIGURES)
    threads, runs = (int(number(row[column], path, line, column)) for column in ("threads", "runs"))
    visit = int(row["visit"] or 0)
    return Measurement(
        row["name"], precision, visit, row["runtime"] or "", threads, median_ms, p90_ms, relative, reference_ms, runs
    )


def pooled(measurements: Iterable[Measurement]) -> dict[tuple[str, Precision], Timing]:
    """All visits to each block or network together, at the speed that the machine mostly had.

    Each visit counts relative to the reference measured in turn with it, times the reference's median over all
    visits: the median of these is the median, and likewise the 90th percentile.
    """
    visits: dict[tuple[str, Precision], list[Measurement]] = {}
    measurements = list(measurements)
    typical = float(np.median([m.reference_ms for m in measurements])) if measurements else 0.0
    for m in measurements:
        visits.setdefault((m.name, m.precision), []).append(m)
    return {
        key: Timing(
            typical * float(np.median([m.relative for m in found])),
            typical * float(np.median([m.relative * m.p90_ms / m.median_ms for m in found])),
            sum(m.runs for m in found),
        )
        for key, found in visits.items()
    }
