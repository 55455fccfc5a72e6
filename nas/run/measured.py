"""Networks of a run's front that were measured whole, beside what was predicted for them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from nas.errors import UserError
from nas.files.atomic import write_atomic
from nas.files.csv import number, read_rows, whole_number
from nas.files.plain import MB
from nas.run.trial import csv_bytes, maybe_number


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
    measured = {}
    for line, row in read_rows(file, [f.name for f in fields(MeasuredCosts)], 10 * MB):
        trial = whole_number(row["trial"], file, line, "trial")
        if trial in measured:
            raise UserError(f"{file} line {line}: trial {trial} is there twice")
        ms, p90 = (number(row[c], file, line, c) for c in ("latency_ms", "latency_p90_ms"))
        energy = maybe_number(row, file, line, "energy_mj")
        measured[trial] = MeasuredCosts(trial, ms, p90, energy, row["where"], row["date"])
    return measured


def write_measured(path: Path, measured: Iterable[MeasuredCosts]) -> None:
    rows = [asdict(m) for m in sorted(measured, key=lambda m: m.trial)]
    write_atomic(path / "measured.csv", csv_bytes([f.name for f in fields(MeasuredCosts)], rows))
