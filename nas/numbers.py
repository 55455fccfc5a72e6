"""Numbers as a person reads them."""

from __future__ import annotations

import math


def figure(value: float | None, digits: int = 3) -> str:
    """A number with so many significant digits, never in scientific notation; '-' where there is none."""
    if value is None or not math.isfinite(value):
        return "-"
    if value == 0:
        return "0"
    places = max(0, digits - 1 - math.floor(math.log10(abs(value))))
    return f"{value:,.{places}f}"


def count(value: float) -> str:
    """A count with three digits: 1,234 as 1.23 k, 12,300,000 as 12.3 M."""
    for scale, unit in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
        if value >= scale:
            return figure(value / scale) + unit
    return str(int(value))


def percent(fraction: float | None, places: int = 1) -> str:
    """A fraction as a percentage; '-' where there is none."""
    return "-" if fraction is None or math.isnan(fraction) else f"{100 * fraction:.{places}f}%"
