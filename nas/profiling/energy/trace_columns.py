"""The columns of a power meter's table: which is time, power, voltage or current, and in what unit."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from nas.errors import UserError

TIME, POWER, VOLTAGE, CURRENT = "time", "power", "voltage", "current"
DEVICE = "device"  # which GPU a row of nvidia-smi is of
DEVICE_NAMES = {"index", "uuid", "gpu_uuid", "pci.bus_id", "gpu_bus_id", "serial"}
WORDS = {
    TIME: {"time", "timestamp", "datetime", "elapsed", "t"},
    POWER: {"power", "p"},
    VOLTAGE: {"voltage", "vbus", "u"},
    CURRENT: {"current", "ibus", "i"},
}
OTHER = {"factor", "apparent", "reactive", "max", "min", "peak", "limit", "energy"}  # power factor, peak current ...
TOTALS = {"tot", "total", "cur"}  # of several columns, the one that has all of it
UNITS: dict[str, tuple[str, float]] = {
    "s": (TIME, 1.0), "sec": (TIME, 1.0), "seconds": (TIME, 1.0), "ms": (TIME, 1e-3), "us": (TIME, 1e-6),
    "ns": (TIME, 1e-9), "kw": (POWER, 1e3), "w": (POWER, 1.0), "mw": (POWER, 1e-3), "uw": (POWER, 1e-6),
    "watt": (POWER, 1.0), "watts": (POWER, 1.0), "milliwatt": (POWER, 1e-3), "milliwatts": (POWER, 1e-3),
    "microwatts": (POWER, 1e-6), "v": (VOLTAGE, 1.0), "mv": (VOLTAGE, 1e-3), "uv": (VOLTAGE, 1e-6),
    "volt": (VOLTAGE, 1.0), "volts": (VOLTAGE, 1.0), "millivolts": (VOLTAGE, 1e-3), "a": (CURRENT, 1.0),
    "ma": (CURRENT, 1e-3), "ua": (CURRENT, 1e-6), "amp": (CURRENT, 1.0), "amps": (CURRENT, 1.0),
    "ampere": (CURRENT, 1.0), "milliamps": (CURRENT, 1e-3), "microamps": (CURRENT, 1e-6),
}  # fmt: skip
WORD_TOO = {"t", "i", "u", "p"}  # single letters that name a column rather than its unit
TOOLS = (  # columns whose unit a tool's documentation states
    (re.compile(r"power[._ ]draw(\.\w+)?"), "w"),  # nvidia-smi
    (re.compile(r"power (tot|cur|avg)"), "mw"),  # jetson_stats
)


@dataclass(frozen=True, slots=True)
class Column:
    """A column: its place and name, and the factor from its numbers to s, W, V or A; None: its name has no unit."""

    index: int
    name: str
    factor: float | None


def columns_of(path: Path, line: int, names: Sequence[str]) -> dict[str, Column] | None:
    """The columns for time and power, or time, voltage and current, and that of the GPU; None where they are not there.

    Raises UserError where more than one column could be one of these.
    """
    by_word: dict[str, list[Column]] = {}
    by_unit: dict[str, list[Column]] = {}
    for index, name in enumerate(names):
        words, unit = words_and_unit(name)
        kind_of_unit, factor = UNITS.get(unit, ("", None))
        if OTHER & set(words) or (unit and not kind_of_unit):
            continue
        for kind, known in WORDS.items():
            if known & set(words) and kind_of_unit in ("", kind):
                by_word.setdefault(kind, []).append(Column(index, name, factor))
        if kind_of_unit:
            by_unit.setdefault(kind_of_unit, []).append(Column(index, name, factor))
    found = {kind: by_word.get(kind) or by_unit.get(kind, []) for kind in WORDS}
    in_watts = any(column.factor is not None for column in found[POWER])
    volts_and_amps = all(any(c.factor is not None for c in found[kind]) for kind in (VOLTAGE, CURRENT))
    use_power = found[POWER] and (in_watts or not volts_and_amps)
    needed = (TIME, POWER) if use_power else (TIME, VOLTAGE, CURRENT)
    if not all(found[kind] for kind in needed):
        return None
    chosen = {kind: found[kind][0] if kind == TIME else _only(path, line, kind, found[kind]) for kind in needed}
    devices = [Column(index, name, None) for index, name in enumerate(names) if name.lower() in DEVICE_NAMES]
    return chosen | ({DEVICE: devices[0]} if devices else {})


def _only(path: Path, line: int, kind: str, found: Sequence[Column]) -> Column:
    """The one column, or the one of several that is their total."""
    if len(found) > 1:
        totals = [column for column in found if TOTALS & set(words_and_unit(column.name)[0])]
        if len(totals) != 1:
            double = ", ".join(column.name[:40] for column in found[:5])
            raise UserError(f"{path}: line {line}: more than one column could be the {kind}: {double}; keep one")
        return totals[0]
    return found[0]


def words_and_unit(name: str) -> tuple[list[str], str]:
    """'Voltage(V)' is voltage in v, 'Main current mA' main current in ma, 'W' no word in w; a unit may be unknown."""
    plain = name.strip().lower().replace("µ", "u").replace("μ", "u")
    bracket = re.search(r"[(\[]\s*([a-z/%°]+)\s*[)\]]", plain)
    words = re.findall(r"[a-z]+", plain[: bracket.start()] if bracket else plain)
    if bracket:
        return words, bracket[1]
    if words and words[-1] in UNITS and words[-1] not in WORD_TOO:
        return words[:-1], words[-1]
    for word in words[1:]:  # 'power_mw_avg'
        if word in UNITS and len(word) > 1:
            return [other for other in words if other != word], word
    return words, next((unit for pattern, unit in TOOLS if pattern.fullmatch(plain)), "")


def factor_of(path: Path, kind: str, column: Column, given: Mapping[str, float]) -> float | None:
    """The factor of a column's numbers by its name, else as `given` by the user; None where neither knows it.

    Raises UserError where the two differ.
    """
    if column.factor is not None and given.get(kind, column.factor) != column.factor:
        raise UserError(f"{path}: the column {column.name[:40]!r} names another unit than --power-unit; leave that out")
    return given.get(kind) if column.factor is None else column.factor


def power_units(text: str | None) -> dict[str, float]:
    """What --power-unit says: the unit of power, or those of voltage and current with a comma between.

    Raises UserError for any other unit.
    """
    given: dict[str, float] = {}
    for name in (text or "").split(","):
        kind, factor = UNITS.get(name.strip().lower().replace("µ", "u"), (TIME, 1.0))
        if text is not None and (kind == TIME or kind in given):
            raise UserError(f"--power-unit must be W, mW or uW, or a voltage's and a current's as mV,mA; got {text!r}")
        given[kind] = factor
    return given if text is not None else {}
