"""Amounts as people type them: 20ms, 0.02s, 60mJ, 4MB, 2.5M."""

from __future__ import annotations

import math
import re

from nas.errors import UserError, unknown
from nas.space.layer import PRECISIONS, Precision

SCALES: dict[str, dict[str, float]] = {
    "ms": {"us": 1e-3, "ms": 1.0, "s": 1e3},
    "mJ": {"uJ": 1e-3, "mJ": 1.0, "J": 1e3},
    "MB": {"B": 1e-6, "kB": 1e-3, "KB": 1e-3, "MB": 1.0, "GB": 1e3},
    "": {"k": 1e3, "K": 1e3, "M": 1e6, "G": 1e9},
    "min": {"s": 1 / 60, "min": 1.0, "m": 1.0, "h": 60.0},
}


def amount(text: str | None, unit: str, option: str) -> float | None:
    """`text` in `unit` (ms, mJ, MB, min, or "" for a count); a bare number is in that unit already. None stays None.

    Raises UserError for anything else, or for an amount that is not above 0.
    """
    if text is None:
        return None
    match = re.fullmatch(r"\s*([0-9.]+(?:e[+-]?[0-9]+)?)\s*([A-Za-z]*)\s*", text)
    scales = SCALES[unit]
    try:
        value = float(match[1]) if match else math.nan
    except ValueError:
        value = math.nan
    if match is None or not 0 < value < math.inf or (match[2] and match[2] not in scales):
        raise UserError(f"{option} must be an amount above 0 such as 20{unit} ({', '.join(scales)}); came {text!r}")
    return value * (scales[match[2]] if match[2] else 1.0)


def listed(text: str | None) -> list[str]:
    """The parts of a comma-separated option."""
    return [part.strip() for part in (text or "").split(",") if part.strip()]


def precisions(text: str | None) -> list[Precision] | None:
    """The precisions of a comma-separated option; None where there is none. Raises UserError for an unknown one."""
    found = [(name, next((p for p in PRECISIONS if p == name), None)) for name in listed(text)]
    for name, precision in found:
        if precision is None:
            raise unknown("precision", name, PRECISIONS)
    if text is not None and not found:
        raise UserError(f"--precision must name one of {', '.join(PRECISIONS)}; came {text!r}")
    return [p for _, p in found if p is not None] or None


def share(text: str | None, option: str) -> float | None:
    """A fraction, typed as 95% or 0.95. Raises UserError unless it lies above 0 and at most at 1."""
    if text is None:
        return None
    try:
        value = float(text.rstrip("% ")) / (100 if "%" in text else 1)
    except ValueError:
        value = math.nan
    if not 0 < value <= 1:
        raise UserError(f"{option} must be above 0% and at most 100%, such as 95% or 0.95; came {text!r}")
    return value
