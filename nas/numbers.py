"""Numbers as a person reads them."""

from __future__ import annotations

import math


def figure(value: float | None, digits: int = 3) -> str:
    """A number with so many significant digits, never in scientific notation; '-' where there is none.

    9.999 is 10.0 with three digits: rounding may carry, and the places follow what it gives.
    """
    if value is None or not math.isfinite(value):
        return "-"
    if value == 0:
        return "0"
    exponent = int(f"{value:.{digits - 1}e}".partition("e")[2])  # of the rounded number
    return f"{value:,.{max(0, digits - 1 - exponent)}f}"


def count(value: float) -> str:
    """A count, 0 or more, with three digits: 1,234 as 1.23 k, 999,999 as 1.00 M; '-' where there is none."""
    if not math.isfinite(value):
        return "-"
    rounded = float(f"{value:.2e}")
    for scale, unit in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
        if rounded >= scale:
            return figure(value / scale) + unit
    return str(round(value))


def percent(fraction: float | None, places: int = 1, *, deviation: float | None = None) -> str:
    """A fraction as a percentage, with its standard deviation where that is known: 96.1 ±0.8%; '-' where there is none.

    A deviation that would be rounded to nothing is ±<0.1: no measurement is exact.
    """
    if fraction is None or math.isnan(fraction):
        return "-"
    shown = f"{100 * fraction:.{places}f}"
    if deviation is None or math.isnan(deviation):
        return f"{shown}%"
    least = 10.0**-places
    spread = f"{100 * deviation:.{places}f}" if round(100 * deviation, places) >= least else f"<{least:.{places}f}"
    return f"{shown} ±{spread}%"


def clock(seconds: float) -> str:
    """A duration as h:mm:ss, or m:ss below an hour."""
    whole = round(seconds)
    hours, minutes = divmod(whole // 60, 60)
    return f"{hours}:{minutes:02d}:{whole % 60:02d}" if hours else f"{minutes}:{whole % 60:02d}"


def duration(seconds: float) -> str:
    """A length of time in its unit, with two digits: 5.3 s, 110 s, 5 min, 2.5 h."""
    for scale, unit in ((3600, "h"), (60, "min")):
        if seconds >= 2 * scale:
            return f"{float(f'{seconds / scale:.2g}'):,g} {unit}"
    return f"{float(f'{seconds:.2g}'):g} s"
