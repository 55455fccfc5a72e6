"""Predicted against measured: validation.csv, whole networks that the prediction never saw, and its error."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nas.device.lookup_table import number
from nas.errors import UserError
from nas.space.layer import PRECISIONS, Precision

COLUMNS = ("network", "precision", "split", "measured_ms", "predicted_ms", "measured_mj", "predicted_mj")
COVERAGE = 0.9  # share of networks whose measured cost an interval is to hold


@dataclass(frozen=True, slots=True)
class Validation:
    """One whole network, held out: milliseconds and millijoules, batch 1.

    `split` says what the fit had not seen: "network" this one and a fifth of the others, "family" the whole family
    that it belongs to, "held-out" networks that only the validation measured.
    """

    network: str
    precision: Precision
    split: str
    measured_ms: float
    predicted_ms: float
    measured_mj: float | None = None
    predicted_mj: float | None = None

    def pair(self, energy: bool) -> tuple[float, float] | None:
        """(measured, predicted) of latency or energy; None where that was not measured."""
        if not energy:
            return self.measured_ms, self.predicted_ms
        if self.measured_mj is None or self.predicted_mj is None:
            return None
        return self.measured_mj, self.predicted_mj


@dataclass(frozen=True, slots=True)
class Error:
    """How far predictions were from measurements. Fractions: 0.05 is 5%."""

    networks: int
    mean: float  # mean absolute percentage error, as a fraction
    low: float  # measured / predicted: lower and upper end of the central 90%
    high: float


def error(rows: Sequence[Validation], precision: Precision, split: str, energy: bool = False) -> Error | None:
    """The error over the rows of one precision and split; None where there are none."""
    chosen = [r.pair(energy) for r in rows if r.precision == precision and r.split == split]
    pairs = np.array([p for p in chosen if p])
    if not len(pairs):
        return None
    ratio = pairs[:, 0] / pairs[:, 1]
    tail = (1 - COVERAGE) / 2
    low, high = np.quantile(ratio, [tail, 1 - tail])
    return Error(len(pairs), float(np.mean(np.abs(1 / ratio - 1))), min(1.0, float(low)), max(1.0, float(high)))


def read_validation(path: Path) -> tuple[Validation, ...]:
    """Reads validation.csv. Raises UserError for a missing column or a number that is not above 0."""
    rows: list[Validation] = []
    try:
        with path.open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file)
            if missing := [c for c in COLUMNS if c not in (reader.fieldnames or [])]:
                raise UserError(f"{path}: needs the columns {', '.join(COLUMNS)}; missing {missing[0]}")
            for row in reader:
                line = reader.line_num
                precision = next((p for p in PRECISIONS if p == row["precision"]), None)
                if precision is None:
                    raise UserError(f"{path}: precision must be one of {', '.join(PRECISIONS)}; line {line} has {row}")
                ms = [number(row[c], path, line, c) for c in COLUMNS[3:5]]
                mj = [number(row[c], path, line, c) if row[c] else None for c in COLUMNS[5:]]
                rows.append(Validation(row["network"], precision, row["split"], ms[0], ms[1], mj[0], mj[1]))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path}: not a readable CSV file: {error}") from None
    return tuple(rows)


def validation_csv(rows: Iterable[Validation]) -> str:
    """The text of validation.csv."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for r in rows:
        figures = [
            None if x is None else f"{x:.6g}" for x in (r.measured_ms, r.predicted_ms, r.measured_mj, r.predicted_mj)
        ]
        writer.writerow([r.network, r.precision, r.split, *figures])
    return text.getvalue()
