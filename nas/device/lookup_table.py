"""The lookup table of a device profile: blocks.csv, one row per block and precision."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from nas.errors import UserError
from nas.space.layer import PRECISIONS, Precision

COLUMNS = ("block", "precision", "median_ms", "p90_ms", "runs", "energy_mj")


@dataclass(frozen=True, slots=True)
class BlockTime:
    """What one block costs: milliseconds and millijoules of one inference at batch 1."""

    block: str  # Block.key
    precision: Precision
    median_ms: float
    p90_ms: float | None  # None: the source has only means
    runs: int
    energy_mj: float | None


def number(text: str | None, path: Path, line: int, column: str) -> float:
    """A finite number above 0, or a UserError that names the file, the line and the column."""
    try:
        value = float(text or "nan")
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise UserError(f"{path}: {column} must be a finite number above 0; line {line} has {text!r}")
    return value


def read_lookup_table(path: Path) -> tuple[BlockTime, ...]:
    """Reads blocks.csv. Raises UserError for a missing column, a bad number, or a block listed twice."""
    times: list[BlockTime] = []
    seen: dict[tuple[str, str], int] = {}
    try:
        with path.open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file)
            if missing := [c for c in COLUMNS if c not in (reader.fieldnames or [])]:
                raise UserError(f"{path}: needs the columns {', '.join(COLUMNS)}; missing {missing[0]}")
            for row in reader:
                line = reader.line_num
                precision = next((p for p in PRECISIONS if p == row["precision"]), None)
                if precision is None or not row["block"]:
                    raise UserError(f"{path}: line {line} needs a block and one of {', '.join(PRECISIONS)}; has {row}")
                if (previous := seen.setdefault((row["block"], precision), line)) != line:
                    raise UserError(f"{path}: {row['block']} {precision} is listed twice, lines {previous} and {line}")
                median = number(row["median_ms"], path, line, "median_ms")
                p90 = number(row["p90_ms"], path, line, "p90_ms") if row["p90_ms"] else None
                runs = int(number(row["runs"], path, line, "runs"))
                energy = number(row["energy_mj"], path, line, "energy_mj") if row["energy_mj"] else None
                times.append(BlockTime(row["block"], precision, median, p90, runs, energy))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path}: not a readable CSV file: {error}") from None
    return tuple(times)


def lookup_table_csv(times: Iterable[BlockTime]) -> str:
    """The text of blocks.csv, in the order of the blocks' names."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for t in sorted(times, key=lambda t: (t.block, t.precision)):
        figures = [None if x is None else f"{x:.6g}" for x in (t.median_ms, t.p90_ms, float(t.runs), t.energy_mj)]
        writer.writerow([t.block, t.precision, *figures])
    return text.getvalue()
