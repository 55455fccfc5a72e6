"""Networks of a run's front that were measured whole, beside what was predicted for them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from nas.errors import UserError
from nas.files.atomic import write_atomic
from nas.run.trial import csv_bytes, maybe_number, read_table


@dataclass(frozen=True, slots=True)
class MeasuredCosts:
    """What one inference of a trial's network took: batch 1, the median in ms, and mJ where there was a meter."""

    trial: int
    latency_ms: float
    latency_p90_ms: float
    energy_mj: float | None
    where: str  # the machine and its runtime, in words
    date: str


def read_measured(path: Path) -> dict[int, MeasuredCosts]:
    """By trial; none where nothing was measured. Raises UserError naming the line that is wrong."""
    file = path / "measured.csv"
    if not file.exists():
        return {}
    found = {}
    for where, row in read_table(file, [f.name for f in fields(MeasuredCosts)]):
        numbers = [maybe_number(where, row, c) for c in ("trial", "latency_ms", "latency_p90_ms", "energy_mj")]
        trial, ms, p90, mj = numbers
        if trial is None or not ms or p90 is None:
            raise UserError(f"{where}: trial, latency_ms and latency_p90_ms must be numbers")
        found[int(trial)] = MeasuredCosts(int(trial), ms, p90, mj, row["where"], row["date"])
    return found


def write_measured(path: Path, measured: Iterable[MeasuredCosts]) -> None:
    rows = [asdict(m) for m in sorted(measured, key=lambda m: m.trial)]
    write_atomic(path / "measured.csv", csv_bytes([f.name for f in fields(MeasuredCosts)], rows))
