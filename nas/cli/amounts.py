"""Amounts as people type them: 20ms, 0.02s, 60mJ, 4MB, 2.5M, 95%."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

from nas.errors import UserError, unknown
from nas.runtimes.runtime import TITLES, RuntimeName
from nas.space.layer import PRECISIONS, Precision

SCALES: dict[str, dict[str, float]] = {
    "ms": {"us": 1e-3, "ms": 1.0, "s": 1e3},
    "mJ": {"uJ": 1e-3, "mJ": 1.0, "J": 1e3},
    "MB": {"B": 1e-6, "kB": 1e-3, "KB": 1e-3, "MB": 1.0, "GB": 1e3},
    "": {"k": 1e3, "K": 1e3, "M": 1e6, "G": 1e9},
}
SHOWN = 80  # characters of what was typed that an error repeats


def amount(text: str | None, unit: str, option: str) -> float | None:
    """`text` in `unit` (ms, mJ, MB, or "" for a count); a bare number is in that unit already. None stays None.

    Raises UserError for anything else, or for an amount that is not above 0 and finite.
    """
    if text is None:
        return None
    value, suffix = _split(text)
    value *= SCALES[unit].get(suffix, math.nan) if suffix else 1.0
    if not 0 < value < math.inf:
        units = ", ".join(SCALES[unit])
        raise UserError(f"{option} must be an amount above 0, e.g. 20{unit} (units: {units}); got {text[:SHOWN]!r}")
    return value


def listed(text: str | None) -> list[str]:
    """The parts of a comma-separated option."""
    return [part.strip() for part in (text or "").split(",") if part.strip()]


def named_values(texts: Sequence[str] | None, option: str) -> dict[str, str | float]:
    """The values of a repeated option, each typed as name=value; what looks like a number is one.

    Raises UserError where one has no name or no value, and for a name that is given twice.
    """
    found: dict[str, str | float] = {}
    for text in texts or ():
        name, equals, value = (part.strip() for part in text.partition("="))
        if not (name and equals and value):
            raise UserError(f"{option} must be NAME=VALUE, e.g. path=networks.csv; got {text[:SHOWN]!r}")
        if name in found:
            raise UserError(f"{option} {name[:SHOWN]!r} is given twice")
        number, unit = _split(value)
        found[name] = value if unit or math.isnan(number) else int(value) if value.isdecimal() else number
    return found


def precisions(text: str | None) -> list[Precision] | None:
    """The precisions of a comma-separated option; None where there is none. Raises UserError for an unknown one."""
    if text is None:
        return None
    chosen: list[Precision] = []
    for name in listed(text):
        precision = next((p for p in PRECISIONS if p == name), None)
        if precision is None:
            raise unknown("precision", name, PRECISIONS)
        chosen.append(precision)
    if not chosen:
        raise UserError(f"--precision must name at least one of {', '.join(PRECISIONS)}; got {text[:SHOWN]!r}")
    return chosen


def runtimes(text: str | None) -> tuple[RuntimeName, ...]:
    """The runtimes of a comma-separated option that folders are made for; ONNX Runtime where there is none.

    Raises UserError for another one.
    """
    chosen: list[RuntimeName] = []
    for name in listed(text) or ["onnxruntime"]:
        runtime = next((r for r in TITLES if r == name), None)
        if runtime is None:
            raise unknown("runtime of a deployment", name, TITLES)
        if runtime not in chosen:
            chosen.append(runtime)
    return tuple(chosen)


def share(text: str | None, option: str, *, whole: bool = True) -> float | None:
    """A fraction, typed as 95% or 0.95. Raises UserError unless it is above 0 and at most 1, or below 1."""
    if text is None:
        return None
    value, suffix = _split(text)
    value *= {"": 1.0, "%": 0.01}.get(suffix, math.nan)
    if not 0 < value <= 1 or (value == 1 and not whole):
        most = "at most 100%, e.g. 95% or 0.95" if whole else "below 100%, e.g. 40% or 0.4"
        raise UserError(f"{option} must be above 0% and {most}; got {text[:SHOWN]!r}")
    return value


def drop(text: str | None, option: str) -> float | None:
    """A loss of accuracy as a fraction, typed as 1% or 0.01. Raises UserError unless it is from 0 to below 1."""
    if text is None:
        return None
    value, suffix = _split(text)
    value *= {"": 1.0, "%": 0.01}.get(suffix, math.nan)
    if not 0 <= value < 1:
        raise UserError(f"{option} must be from 0% to below 100%, e.g. 1% or 0.01; got {text[:SHOWN]!r}")
    return value


def _split(text: str) -> tuple[float, str]:
    """A plain decimal number and what follows it; NaN where there is none."""
    match = re.fullmatch(r"\s*([0-9]+\.?[0-9]*|\.[0-9]+)(e[+-]?[0-9]+)?\s*(%|[A-Za-z]*)\s*", text, re.ASCII)
    return (float(match[1] + (match[2] or "")), match[3]) if match else (math.nan, "")
