"""The cells that the tables of devices share: precisions, costs, and sizes of layers."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from nas.errors import UserError
from nas.files.csv import number, whole_number
from nas.files.plain import MB
from nas.space.layer import PRECISIONS, Precision

MOST_BYTES = 3 * MB  # of a table: ten times the largest that ships
MOST_NETWORKS = 20_000  # that were measured whole
LEAST_COST, MOST_COST = 1e-9, 1e9  # ms or mJ: beyond them no network has a figure, and sums and ratios stay finite
MOST_SIZE = 1_000_000  # of an image, a kernel or channels


def row_precision(row: Mapping[str, str], path: Path, line: int) -> Precision:
    """The row's precision. Raises UserError unless it is a known one."""
    found = next((p for p in PRECISIONS if p == row["precision"]), None)
    if found is None:
        raise UserError(
            f"{path}: precision must be one of {', '.join(PRECISIONS)}; line {line} has {row['precision'][:80]!r}"
        )
    return found


def cost(row: Mapping[str, str], column: str, path: Path, line: int) -> float:
    """A time in ms or an energy in mJ. Raises UserError unless it is above 0 and at most MOST_COST."""
    value = number(row[column], path, line, column, most=MOST_COST)
    if value < LEAST_COST:
        raise UserError(f"{path}: {column} must be at least {LEAST_COST:g}; line {line} has {row[column][:80]!r}")
    return value


def maybe_cost(row: Mapping[str, str], column: str, path: Path, line: int) -> float | None:
    """`cost`, None where the cell is empty or the column is not there."""
    return cost(row, column, path, line) if row.get(column) else None


def size(row: Mapping[str, str], column: str, path: Path, line: int, *, least: int = 1, most: int = MOST_SIZE) -> int:
    """A whole number from `least` to `most`. Raises UserError."""
    return whole_number(row[column], path, line, column, least=least, most=most)
