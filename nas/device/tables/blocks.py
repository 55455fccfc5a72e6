"""The lookup table of a device profile: blocks.csv, one row per block and precision."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from nas.device.tables.columns import MOST_BYTES, cost, maybe_cost, row_precision, size
from nas.errors import UserError
from nas.files.csv import csv_text, number, read_rows
from nas.space.layer import Precision

COLUMNS = ("block", "precision", "median_ms", "p90_ms", "runs", "energy_mj")
MORE = ("p99_ms", "sram_kib")  # that a table has where it has a figure in one of its rows
MOST_SRAM = 1e9  # KiB


# kind, shapes in and out, sizes by their letters, activations. A kind that this version does not know is kept: the
# profile of a newer one stays readable, and no network of this version asks for it.
_SHAPE = r"-[1-9]\d{0,5}x[1-9]\d{0,5}x[1-9]\d{0,5}"
_RANKS = r"(?:-rank(?:_\d{1,5}(?:x\d{1,5})?)+)?"
KEY = re.compile(
    rf"[a-z][a-z_]*{_SHAPE}{_SHAPE}(?:-[a-z]{{1,4}}[1-9]\d{{0,5}})*(?:-[a-z_]{{3,30}}\d?){{0,2}}{_RANKS}", re.ASCII
)


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
    sram_kib: float | None = None  # that an accelerator needs while it runs the block


def read_lookup_table(path: Path) -> tuple[BlockTime, ...]:
    """Reads blocks.csv. Raises UserError for a missing column, a bad key or number, or a block listed twice."""
    times: list[BlockTime] = []
    seen: dict[tuple[str, str], int] = {}
    for line, row in read_rows(path, COLUMNS, MOST_BYTES):
        precision = row_precision(row, path, line)
        if not KEY.fullmatch(row["block"]):
            raise UserError(
                f"{path}: block must be a block's key, as mbconv-8x16x16-8x16x16-k3-s1-m16-relu; "
                f"line {line} has {row['block'][:80]!r}"
            )
        if (previous := seen.setdefault((row["block"], precision), line)) != line:
            raise UserError(f"{path}: {row['block']} {precision} is listed twice, lines {previous} and {line}")
        p90, energy, p99 = (maybe_cost(row, column, path, line) for column in ("p90_ms", "energy_mj", "p99_ms"))
        runs = size(row, "runs", path, line, most=10**15 - 1)
        sram = number(row["sram_kib"], path, line, "sram_kib", most=MOST_SRAM) if row.get("sram_kib") else None
        ms = cost(row, "median_ms", path, line)
        times.append(BlockTime(row["block"], precision, ms, p90, runs, energy, p99, sram))
    return tuple(times)


def lookup_table_csv(times: Iterable[BlockTime]) -> str:
    """The text of blocks.csv, in the order of the blocks' names; the columns of MORE only where they are known."""
    ordered = sorted(times, key=lambda t: (t.block, t.precision))
    columns = COLUMNS + tuple(column for column in MORE if any(getattr(t, column) is not None for t in ordered))
    return csv_text(columns, ([getattr(t, column) for column in columns] for t in ordered))
