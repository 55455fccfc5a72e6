"""Predicted against measured: validation.csv, whole networks that the prediction never saw, and its error."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from nas.device.tables.columns import MOST_BYTES, MOST_COST, cost, maybe_cost, row_precision, size
from nas.errors import UserError
from nas.files.csv import csv_text, number, read_rows
from nas.space.layer import Precision

COLUMNS = ("network", "precision", "split", "measured_ms", "predicted_ms", "measured_mj", "predicted_mj")
ERROR_COLUMNS = ("precision", "quantity", "split", "networks", "mean", "spread", "spearman", "constant", "macs")
COVERAGE = 0.9  # share of networks whose measured cost is to fall within an interval


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
class HeldOutError:
    """Mean absolute errors on networks held out, as fractions: a row of errors.csv.

    `mean` and `spread` (standard deviation) are over several ways of holding networks out, where there are several.
    `constant` and `macs` are the errors of two baselines on the same networks: the median of the networks that were
    not held out, and a straight line through their MACs. `spearman` is the rank correlation.
    """

    precision: Precision
    quantity: str  # latency or energy
    split: str
    networks: int
    mean: float
    spread: float
    spearman: float
    constant: float
    macs: float


@dataclass(frozen=True, slots=True)
class Error:
    """How far predictions were from measurements. Fractions: 0.05 is 5%."""

    networks: int
    mean: float  # mean absolute percentage error, as a fraction
    low: float  # measured / predicted: lower and upper end of the central 90%
    high: float


def error(rows: Sequence[Validation], precision: Precision, split: str, energy: bool = False) -> Error | None:
    """The error over the rows of one precision and split; None where there are none."""
    import numpy as np  # late: listing the devices needs none

    chosen = [r.pair(energy) for r in rows if r.precision == precision and r.split == split]
    pairs = np.array([p for p in chosen if p])
    if not len(pairs):
        return None
    ratio = pairs[:, 0] / pairs[:, 1]
    tail = (1 - COVERAGE) / 2
    low, high = np.quantile(ratio, [tail, 1 - tail])
    return Error(len(pairs), float(np.mean(np.abs(1 / ratio - 1))), min(1.0, float(low)), max(1.0, float(high)))


def read_errors(path: Path) -> tuple[HeldOutError, ...]:
    """Reads errors.csv. Raises UserError for a missing column or a figure that is not a number."""
    found: list[HeldOutError] = []
    for line, row in read_rows(path, ERROR_COLUMNS, MOST_BYTES // 30):
        if row["quantity"] not in ("latency", "energy"):
            raise UserError(f"{path}: quantity must be latency or energy; line {line} has {row['quantity'][:80]!r}")
        mean, spread, constant, macs = (
            number(row[c], path, line, c, least=0, most=MOST_COST) for c in ("mean", "spread", "constant", "macs")
        )
        # a Spearman may be nan: that of networks all alike
        alike = row["spearman"] in ("nan", "")
        spearman = math.nan if alike else number(row["spearman"], path, line, "spearman", least=-1, most=1.000001)
        networks = size(row, "networks", path, line, most=10**9)
        precision = row_precision(row, path, line)
        found.append(
            HeldOutError(precision, row["quantity"], row["split"], networks, mean, spread, spearman, constant, macs)
        )
    return tuple(found)


def errors_csv(errors: Iterable[HeldOutError]) -> str:
    """The text of errors.csv."""
    return csv_text(ERROR_COLUMNS, ([getattr(e, c) for c in ERROR_COLUMNS] for e in errors))


def read_validation(path: Path) -> tuple[Validation, ...]:
    """Reads validation.csv. Raises UserError for a missing column or a number that is not above 0."""
    rows: list[Validation] = []
    for line, row in read_rows(path, COLUMNS, MOST_BYTES):
        ms = [cost(row, c, path, line) for c in COLUMNS[3:5]]
        mj = [maybe_cost(row, c, path, line) for c in COLUMNS[5:]]
        rows.append(
            Validation(row["network"], row_precision(row, path, line), row["split"], ms[0], ms[1], mj[0], mj[1])
        )
    return tuple(rows)


def validation_csv(rows: Iterable[Validation]) -> str:
    """The text of validation.csv."""
    return csv_text(COLUMNS, ([getattr(r, c) for c in COLUMNS] for r in rows))
