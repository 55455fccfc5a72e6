"""The CSV files of device profiles and of measurements: read row by row, every fault named with file and line."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from nas.errors import UserError
from nas.space.layer import PRECISIONS, Precision
from nas.space.plain_file import MB, read_text

Row = dict[str, str]

MOST_BYTES = 64 * MB
MOST_ROWS = 1_000_000
LONGEST = 10_000  # characters of a cell: a candidate of a large space, written as JSON, has two thousand


def read_rows(path: Path, columns: Sequence[str]) -> Iterator[tuple[int, Row]]:
    """Each row with its line.

    Raises UserError when the file cannot be read, is too large, or lacks a column, and for a cell that is too long or
    has more than one line.
    """
    reader = csv.DictReader(io.StringIO(read_text(path, MOST_BYTES, "CSV"), newline=""))
    try:
        if missing := [c for c in columns if c not in (reader.fieldnames or [])]:
            raise UserError(f"{path}: needs the columns {', '.join(columns)}; missing {missing[0]}")
        for n, row in enumerate(reader):
            if n == MOST_ROWS:
                raise UserError(f"{path}: must have at most {MOST_ROWS:,} rows")
            found = {name: value or "" for name, value in row.items() if name is not None}
            if any(len(cell) > LONGEST or "\n" in cell for cell in found.values()):
                raise UserError(
                    f"{path}: a cell must be one line of at most {LONGEST:,} characters; line {reader.line_num}"
                )
            yield reader.line_num, found
    except csv.Error as error:
        raise UserError(f"{path}: not a readable CSV file: {error}") from None


def number(text: str | None, path: Path, line: int, column: str) -> float:
    """A finite number above 0. Raises UserError that names the file, the line and the column."""
    try:
        value = float(text or "nan")
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise UserError(f"{path}: {column} must be a finite number above 0; line {line} has {text!r}")
    return value


def row_precision(row: Mapping[str, str], path: Path, line: int) -> Precision:
    """The row's precision. Raises UserError unless it is a known one."""
    found = next((p for p in PRECISIONS if p == row["precision"]), None)
    if found is None:
        raise UserError(
            f"{path}: precision must be one of {', '.join(PRECISIONS)}; line {line} has {row['precision']!r}"
        )
    return found


def csv_text(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """The text of a CSV file; numbers have six significant digits."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    for row in rows:
        writer.writerow([f"{x:.6g}" if isinstance(x, float) else x for x in row])
    return text.getvalue()
