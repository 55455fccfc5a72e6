"""Rates: what a device charges for each count, in milliseconds and millijoules, and the range of the fit behind them.

A network's cost is `counts @ rate`: summed over its layers, plus what is paid once per inference.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import numpy as np

from nas.device.counts import ACTIVATIONS, COUNTS, INDEX, KIN, Counts, missing, network_counts
from nas.device.tables.columns import MOST_BYTES, row_precision
from nas.errors import UserError
from nas.files.csv import Row, csv_text, number, read_rows
from nas.space.layer import PRECISIONS, Layer, Precision
from nas.space.network import Network

Quantity = Literal["latency", "energy"]

QUANTITIES: tuple[Quantity, ...] = get_args(Quantity)
COST_UNIT: dict[Quantity, str] = {"latency": "ms", "energy": "mJ"}
COLUMNS = ("precision", "quantity", "primitive", "unit", "rate", "low", "high")
MOST_RATE = 1e12  # also of a count
TOTAL = "total"  # the row with the range of the whole networks' costs


@dataclass(frozen=True, slots=True)
class Rate:
    """Rates of one precision and quantity, in ms or mJ per unit of COUNTS, float64 (len(COUNTS),).

    `low` and `high` (len(COUNTS),) are the smallest and largest count among the fitted networks, `cost_low` and
    `cost_high` the cheapest and most expensive of them. A count whose `high` is 0 was in none: its rate is not known.
    """

    precision: Precision
    quantity: Quantity
    rate: Counts
    low: Counts
    high: Counts
    cost_low: float
    cost_high: float

    def __post_init__(self) -> None:
        if not (np.isfinite(self.rate).all() and (self.rate >= 0).all() and self.rate.any()):
            raise UserError(f"{self.precision} {self.quantity}: rates must be finite, not negative and not all 0")

    @property
    def charged(self) -> Counts:
        """The rates that predictions use: what the fit never saw is charged as its nearest kin, never 0.

        float64 (len(COUNTS),). Convolutions as KIN says; a product as an addition; an activation as the costliest one
        seen and a product, as which a runtime without a kernel for it runs it (x * sigmoid(x)). `Rates.unknown` names
        all but the convolutions of another size.
        """
        rate, seen = self.rate.copy(), {name for name in COUNTS if self.high[INDEX[name]] > 0}
        for name in set(KIN) - seen:
            rate[INDEX[name]] = next((self.rate[INDEX[kin]] for kin in KIN[name] if kin in seen), 0.0)
        if "multiply" not in seen:
            rate[INDEX["multiply"]] = rate[INDEX["add"]]
        costliest = max(self.rate[INDEX[name]] for name in ACTIVATIONS)
        for name in set(ACTIVATIONS) - seen:
            rate[INDEX[name]] = costliest + rate[INDEX["multiply"]]
        return rate

    def cost(self, network: Network) -> float:
        """Cost of one inference, in ms or mJ."""
        return float(network_counts(network, self.precision) @ self.charged)

    @property
    def most(self) -> Counts:
        """Of each count, the most that is inside the fit's range: what a fitted network had, and 5%.

        Less of one thing is inside: rates are slopes, and a small part of a network makes a small error.
        """
        return 1.05 * self.high

    def outside(self, cost: np.ndarray) -> np.ndarray:
        """Whether costs (n,) lie outside those of the fitted networks, 5% allowed; bool (n,)."""
        return np.asarray((cost < 0.95 * self.cost_low) | (cost > 1.05 * self.cost_high))


@dataclass(frozen=True, slots=True)
class Rates:
    """The rates of one device: one `Rate` for each precision and quantity that was fitted."""

    rates: tuple[Rate, ...]

    def __post_init__(self) -> None:
        keys = [(r.precision, r.quantity) for r in self.rates]
        if not keys or len(keys) != len(set(keys)):
            raise UserError("rates must hold each precision and quantity once, and at least one")
        if lacking := {p for p, _ in keys} - {p for p, q in keys if q == "latency"}:
            raise UserError(f"rates of {min(lacking)} have energy but no latency")

    def get(self, precision: Precision, quantity: Quantity) -> Rate | None:
        """The rates of a precision and quantity; None where they were not fitted."""
        return next((r for r in self.rates if (r.precision, r.quantity) == (precision, quantity)), None)

    def unknown(self, layers: Iterable[Layer], precision: Precision, quantity: Quantity) -> tuple[str, ...]:
        """Names of the primitives that no fitted network of this precision had, sorted; they are charged as kin."""
        rate = self.get(precision, quantity)
        if rate is None:
            raise UserError(f"no rates for {precision} {quantity}")
        return tuple(sorted({name for layer in layers if (name := missing(layer, rate.high))}))


def rates_csv(rates: Rates) -> str:
    """The text of rates.csv: one row a count, then a row with the range of the costs."""
    rows: list[list[object]] = []
    for r in rates.rates:
        unit = COST_UNIT[r.quantity]
        for name, per in COUNTS.items():
            figures = (float(x[INDEX[name]]) for x in (r.rate, r.low, r.high))
            rows.append([r.precision, r.quantity, name, f"{unit} per {per}", *figures])
        rows.append([r.precision, r.quantity, TOTAL, unit, "", float(r.cost_low), float(r.cost_high)])
    return csv_text(COLUMNS, rows)


def read_rates(path: Path) -> Rates:
    """Reads rates.csv. Raises UserError on a missing column or row, an unknown name, or a cell that is not a number."""
    groups: dict[tuple[str, str], dict[str, tuple[int, Row]]] = {}
    for line, row in read_rows(path, COLUMNS, MOST_BYTES):
        if row["quantity"] not in QUANTITIES:
            raise UserError(f"{path}: quantity must be latency or energy; line {line} has {row['quantity'][:80]!r}")
        group = groups.setdefault((row_precision(row, path, line), row["quantity"]), {})
        if row["primitive"] in group:
            raise UserError(f"{path}: line {line} repeats {row['primitive'][:80]!r}")
        group[row["primitive"]] = line, row
    try:
        return Rates(tuple(_rate(path, precision, quantity, rows) for (precision, quantity), rows in groups.items()))
    except UserError as error:
        raise error if str(error).startswith(str(path)) else UserError(f"{path}: {error}") from None


def _rate(path: Path, precision_name: str, quantity_name: str, rows: Mapping[str, tuple[int, Row]]) -> Rate:
    precision = next(p for p in PRECISIONS if p == precision_name)
    quantity = next(q for q in QUANTITIES if q == quantity_name)
    if odd := {*COUNTS, TOTAL} ^ set(rows):
        named = ", ".join(repr(name[:40]) for name in sorted(odd)[:5])
        raise UserError(f"{precision} {quantity} needs one row per primitive; missing or unknown: {named}")

    def figures(column: str, *names: str) -> Counts:
        cells = [(rows[name][1][column], rows[name][0]) for name in names]
        return np.array([number(text, path, line, column, least=0, most=MOST_RATE) for text, line in cells])

    rate, low, high = (figures(column, *COUNTS) for column in ("rate", "low", "high"))
    least, most = (float(figures(column, TOTAL)[0]) for column in ("low", "high"))
    return Rate(precision, quantity, rate, low, high, least, most)
