"""CSV files that may come from strangers: read row by row, every fault named with file and line."""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from nas.errors import UserError
from nas.files.plain import MB, read_text

Row = dict[str, str]

MOST_BYTES = 64 * MB
MOST_ROWS = 1_000_000
MOST_COLUMNS = 1_000
LONGEST = 10_000  # characters of a cell: a candidate of a large space, written as JSON, has two thousand
_LINE = re.compile(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+$")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?", re.ASCII)  # Python's float() takes 1_000 and nan too


def read_rows(path: Path, columns: Sequence[str], most_bytes: int = MOST_BYTES) -> Iterator[tuple[int, Row]]:
    """Each row with its line; `columns` must be there, others may be.

    Raises UserError when the file cannot be read, is too large, lacks a column or names one twice, and for a row with
    more or fewer cells than there are columns, and a cell that is too long or has more than one line.
    """
    yield from parse_rows(read_text(path, most_bytes, "CSV"), path, columns)


def parse_rows(text: str, path: Path, columns: Sequence[str], most_rows: int = MOST_ROWS) -> Iterator[tuple[int, Row]]:
    """`read_rows` of a text that was read already; `path` names it in errors."""
    lines = (line[0] for line in _LINE.finditer(text))  # StringIO takes four times the text
    reader = csv.reader(lines, strict=True)
    try:
        names = next(reader, [])
        if len(names) > MOST_COLUMNS:
            raise UserError(f"{path}: must have at most {MOST_COLUMNS:,} columns; got {len(names):,}")
        if missing := [c for c in columns if c not in names]:
            raise UserError(f"{path}: needs the columns {', '.join(columns)}; missing {missing[0]}")
        if twice := [c for c in names if names.count(c) > 1]:
            raise UserError(f"{path}: a column must be given once; {twice[0][:80]!r} is given twice")
        if text.count("\n") - text.count("\n\n") > most_rows + 1:  # found before a minute was spent on the rows
            raise UserError(f"{path}: must have at most {most_rows:,} rows")
        for n, cells in enumerate(filter(None, reader)):
            if n == most_rows:
                raise UserError(f"{path}: must have at most {most_rows:,} rows")
            if len(cells) != len(names):
                raise UserError(f"{path}: a row must have {len(names)} cells; line {reader.line_num} has {len(cells)}")
            if any(len(cell) > LONGEST or "\n" in cell for cell in cells):
                raise UserError(
                    f"{path}: a cell must be one line of at most {LONGEST:,} characters; line {reader.line_num}"
                )
            yield reader.line_num, dict(zip(names, cells, strict=True))
    except csv.Error as error:
        raise UserError(f"{path}: not a readable CSV file: {error}") from None


def number(
    text: str, path: Path, line: int, column: str, *, least: float | None = None, most: float | None = None
) -> float:
    """A finite number: above 0, or `least` or more where that is given, and at most `most`.

    Raises UserError that names the file, the line and the column.
    """
    value = float(text) if _NUMBER.fullmatch(text.strip()) else math.nan
    must = ""
    if not (value > 0 if least is None else value >= least) or value == math.inf:
        must = "above 0" if least is None else f"of {least:g} or more"
    elif most is not None and value > most:
        must = f"of at most {most:g}"
    if must:
        raise UserError(f"{path}: {column} must be a finite number {must}; line {line} has {text[:80]!r}")
    return value


def whole_number(text: str, path: Path, line: int, column: str, *, least: int = 0, most: int | None = None) -> int:
    """A whole number of at most 15 digits, from `least` to `most`. Raises UserError as `number` does."""
    sound = re.fullmatch(r"\d{1,15}", text.strip(), re.ASCII)
    if not sound or int(text) < least or (most is not None and int(text) > most):
        must = f"of {least} or more" if not sound or int(text) < least or most is None else f"of at most {most:,}"
        raise UserError(f"{path}: {column} must be a whole number {must}; line {line} has {text[:80]!r}")
    return int(text)


def csv_text(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """The text of a CSV file; numbers have six significant digits."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    for row in rows:
        writer.writerow([f"{x:.6g}" if isinstance(x, float) else x for x in row])
    return text.getvalue()


def append_rows(path: Path, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Adds rows behind the file's last whole line; a file that is empty or not there begins with the columns.

    Raises UserError when it cannot be written.
    """
    text = io.StringIO()
    try:
        with path.open("ab+") as opened:
            opened.seek(0)
            whole = opened.read().rfind(b"\n") + 1
            opened.truncate(whole)
            csv.writer(text, lineterminator="\n").writerows(rows if whole else [columns, *rows])
            opened.write(text.getvalue().encode())
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror}") from None


def read_appended(path: Path, columns: Sequence[str], what: str) -> Iterator[tuple[int, Row]]:
    """Each row, with its line, of a file that `append_rows` writes; none where there is no file.

    Half a last line, of a process that was killed, is left out. Raises UserError where it is not a file of `what`.
    """
    text = read_text(path, MOST_BYTES, "CSV") if path.exists() else ""
    whole = text[: text.rfind("\n") + 1]
    if whole and whole.partition("\n")[0] != ",".join(columns):
        raise UserError(f"{path}: is not a file of {what}: its columns must be {','.join(columns)}")
    yield from parse_rows(whole, path, columns) if whole else ()
