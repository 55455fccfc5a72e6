"""The lookup table of a device profile: blocks.csv, one row per block and precision."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from nas.device.tables.columns import row_precision
from nas.errors import UserError
from nas.files.csv import csv_text, number, read_rows
from nas.space.layer import Precision

COLUMNS = ("block", "precision", "median_ms", "p90_ms", "runs", "energy_mj", "p99_ms")


@dataclass(frozen=True, slots=True)
class BlockTime:
    """What one block costs: milliseconds and millijoules of one inference at batch 1."""

    block: str  # Block.key
    precision: Precision
    median_ms: float
    p90_ms: float | None  # None: the source has only means
    runs: int
    energy_mj: float | None
    p99_ms: float | None = None


def read_lookup_table(path: Path) -> tuple[BlockTime, ...]:
    """Reads blocks.csv. Raises UserError for a missing column, a bad number, or a block listed twice."""
    times: list[BlockTime] = []
    seen: dict[tuple[str, str], int] = {}
    for line, row in read_rows(path, COLUMNS[:-1]):
        precision = row_precision(row, path, line)
        if not row["block"]:
            raise UserError(f"{path}: line {line} names no block")
        if (previous := seen.setdefault((row["block"], precision), line)) != line:
            raise UserError(f"{path}: {row['block']} {precision} is listed twice, lines {previous} and {line}")
        median = number(row["median_ms"], path, line, "median_ms")
        p90 = number(row["p90_ms"], path, line, "p90_ms") if row["p90_ms"] else None
        energy = number(row["energy_mj"], path, line, "energy_mj") if row["energy_mj"] else None
        runs = int(number(row["runs"], path, line, "runs"))
        p99 = number(row["p99_ms"], path, line, "p99_ms") if row.get("p99_ms") else None
        times.append(BlockTime(row["block"], precision, median, p90, runs, energy, p99))
    return tuple(times)


def lookup_table_csv(times: Iterable[BlockTime]) -> str:
    """The text of blocks.csv, in the order of the blocks' names; p99_ms only where it is known."""
    ordered = sorted(times, key=lambda t: (t.block, t.precision))
    columns = COLUMNS if any(t.p99_ms for t in ordered) else COLUMNS[:-1]
    return csv_text(columns, ([getattr(t, column) for column in columns] for t in ordered))
