"""Files that power meters write: CSV with a time and watts, or volts and amps; and PowerTOP's reports."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from nas.errors import UserError
from nas.files.plain import MB, read_bytes
from nas.profiling.energy.power_trace import Trace

if TYPE_CHECKING:
    import pandas as pd

LARGEST = 200 * MB
LARGEST_REPORT = 10 * MB  # of PowerTOP
MOST_REPORTS = 10_000
HEADER_LINES, HEADER_BYTES = 50, 1 << 16  # some meters write about themselves first
DELIMITERS = (",", ";", "\t", r"\s+")
TIME, POWER, VOLTAGE, CURRENT = "time", "power", "voltage", "current"
WORDS = {
    TIME: {"time", "timestamp", "datetime", "elapsed", "t"},
    POWER: {"power", "watt", "watts", "p"},
    VOLTAGE: {"voltage", "volt", "volts", "vbus", "u"},
    CURRENT: {"current", "amp", "amps", "ampere", "ibus", "i"},
}
OTHER = {"factor", "apparent", "reactive", "max", "min", "peak", "energy"}  # power factor, peak current ...
UNITS = {
    "s": (TIME, 1.0), "sec": (TIME, 1.0), "seconds": (TIME, 1.0), "ms": (TIME, 1e-3), "us": (TIME, 1e-6),
    "ns": (TIME, 1e-9), "w": (POWER, 1.0), "mw": (POWER, 1e-3), "uw": (POWER, 1e-6), "v": (VOLTAGE, 1.0),
    "mv": (VOLTAGE, 1e-3), "a": (CURRENT, 1.0), "ma": (CURRENT, 1e-3), "ua": (CURRENT, 1e-6),
}  # fmt: skip
UNIX_FROM = ((1e17, 1e-9), (1e14, 1e-6), (1e11, 1e-3))  # a time above is unix time in ns, us, ms
PREFIXES = {"": 1.0, "k": 1e3, "m": 1e-3, "u": 1e-6, "µ": 1e-6}
POWERTOP = "P o w e r T O P"


@dataclass(frozen=True, slots=True)
class Column:
    """A column of the file: its place, and what its numbers are to be multiplied by for s, W, V, A."""

    index: int
    factor: float


def read_trace(path: Path) -> Trace:
    """Reads what a meter recorded: a CSV file, a PowerTOP report, or a folder of PowerTOP reports.

    Columns are known by name and unit, in any case: time or timestamp, in seconds unless the name has another unit,
    unix time, ISO 8601 or a clock time; and power, or voltage and current. Rows without a value are dropped samples,
    rows of the same time are averaged. Raises UserError naming file and line for anything that cannot be read.
    """
    if path.is_dir():
        files = sorted(path.glob("*.csv"))
        if not 0 < len(files) <= MOST_REPORTS:
            raise UserError(f"{path}: a folder must hold 1 to {MOST_REPORTS} reports of PowerTOP; it has {len(files)}")
        texts = (read_bytes(file, LARGEST_REPORT, "trace").decode("utf-8", errors="replace") for file in files)
        return _powertop(path, dict(zip(files, texts, strict=True)))
    content = read_bytes(path, LARGEST, "trace")
    start = content[:HEADER_BYTES].decode("utf-8-sig", errors="replace").splitlines()[:HEADER_LINES]
    if any(POWERTOP in line for line in start):
        return _powertop(path, {path: content.decode("utf-8", errors="replace")})
    return _csv(path, content, start)


def _csv(path: Path, content: bytes, start: Sequence[str]) -> Trace:
    import pandas as pd

    line, delimiter, columns = _header(path, start)
    wanted = [columns[kind].index for kind in columns]
    follows = start[line + 1] if line + 1 < len(start) else ""
    try:
        table = pd.read_csv(
            BytesIO(content), sep=delimiter, skiprows=line + 1, header=None, usecols=wanted, index_col=False,
            low_memory=False, skip_blank_lines=False, decimal="," if delimiter == ";" and "," in follows else ".",
            encoding="utf-8-sig", encoding_errors="replace", skipinitialspace=True,
        )  # fmt: skip
    except ValueError as error:  # pandas' own errors are ValueErrors
        raise UserError(f"{path}: not a readable table: {' '.join(str(error).split())}") from None
    values = {kind: table[column.index] for kind, column in columns.items()}
    first_line = line + 2
    numbers = {
        kind: _numbers(path, values[kind], first_line) * columns[kind].factor for kind in columns if kind != TIME
    }
    watts = numbers[POWER] if POWER in numbers else numbers[VOLTAGE] * numbers[CURRENT]
    seconds = _seconds(path, values[TIME], columns[TIME].factor, first_line)
    return _trace(path, seconds, watts, first_line)


def _header(path: Path, start: Sequence[str]) -> tuple[int, str, dict[str, Column]]:
    """The line that names the columns, the delimiter, and the columns that matter."""
    for number, line in enumerate(start):
        for delimiter in DELIMITERS:
            names = [name.strip().strip('"') for name in re.split(delimiter, line.strip())]
            if delimiter == r"\s+" and len(names) != len("".join(start[number + 1 : number + 2]).split()):
                continue  # a sentence
            if len(names) > 1 and (columns := _columns(path, number + 1, names)):
                return number, delimiter, columns
    raise UserError(
        f"{path}: one of the first {HEADER_LINES} lines must name a time column and power, or voltage and current, "
        f"such as: time_s,power_w; the first is {start[0].strip()[:60]!r}" if start else f"{path}: the file is empty"
    )  # fmt: skip


def _columns(path: Path, line: int, names: Sequence[str]) -> dict[str, Column] | None:
    """The columns for time and power, or time, voltage and current; None where these names are not among them."""
    by_word: dict[str, list[Column]] = {}
    by_unit: dict[str, list[Column]] = {}
    for index, name in enumerate(names):
        words, unit = _words_and_unit(name)
        kind_of_unit, factor = UNITS.get(unit, ("", 1.0))
        if OTHER & set(words) or (unit and not kind_of_unit):
            continue
        for kind, known in WORDS.items():
            if known & set(words) and kind_of_unit in ("", kind):
                by_word.setdefault(kind, []).append(Column(index, factor if unit else 0.0 if kind == TIME else 1.0))
        if kind_of_unit:
            by_unit.setdefault(kind_of_unit, []).append(Column(index, factor))
    found = {kind: by_word.get(kind) or by_unit.get(kind, []) for kind in WORDS}
    needed = (TIME, POWER) if found[POWER] else (TIME, VOLTAGE, CURRENT)
    if not all(found[kind] for kind in needed):
        return None
    for kind in needed[1:]:
        if len(found[kind]) > 1:
            double = ", ".join(names[column.index] for column in found[kind])
            raise UserError(f"{path}: line {line}: more than one column could be the {kind}: {double}; keep one")
    return {kind: found[kind][0] for kind in needed}


def _words_and_unit(name: str) -> tuple[list[str], str]:
    """'Voltage(V)' is voltage in v, 'Main current mA' main current in ma, 'W' no word in w; a unit may be unknown."""
    plain = name.lower().replace("µ", "u").replace("μ", "u")
    bracket = re.search(r"[(\[]\s*([a-z/%°]+)\s*[)\]]", plain)
    words = re.findall(r"[a-z]+", plain[: bracket.start()] if bracket else plain)
    if bracket:
        return words, bracket[1]
    if words and words[-1] in UNITS and words[-1] not in ("t", "i", "u", "p"):
        return words[:-1], words[-1]
    return words, ""


def _numbers(path: Path, column: pd.Series, first_line: int) -> np.ndarray:
    """A column's numbers, (n,); NaN where it is empty. Raises UserError for anything else."""
    import pandas as pd

    numbers = pd.to_numeric(column, errors="coerce").to_numpy(dtype=float)
    wrong = np.flatnonzero(np.isnan(numbers) & column.notna().to_numpy() | np.isinf(numbers))
    if len(wrong):
        raise UserError(f"{path}: line {first_line + wrong[0]}: must be a number; came {column.iloc[wrong[0]]!r}")
    return np.asarray(numbers)


def _seconds(path: Path, column: pd.Series, factor: float, first_line: int) -> np.ndarray:
    """Times in seconds, (n,), NaN where empty. A `factor` of 0 is a unit to be found: seconds, or unix time in ms."""
    import pandas as pd

    text = column.dropna().astype(str) if not pd.api.types.is_numeric_dtype(column) else pd.Series(dtype=str)
    if not text.str.contains(r"\d[:-]\d").any():
        numbers = _numbers(path, column, first_line)
        highest = np.nanmax(numbers, initial=0.0)
        return numbers * (factor or next((unit for least, unit in UNIX_FROM if highest > least), 1.0))
    if text.str.fullmatch(r"\d{1,2}:\d\d:\d\d(\.\d+)?").all():
        seconds = pd.to_timedelta(column, errors="coerce").dt.total_seconds().to_numpy()
        back = np.diff(seconds, prepend=seconds[:1]) < -43200  # past midnight
        return np.asarray(seconds + 86400.0 * np.cumsum(back))
    times = pd.to_datetime(column.astype("string").str.replace("/", "-"), format="ISO8601", errors="coerce", utc=True)
    wrong = np.flatnonzero((times.isna() & column.notna()).to_numpy())
    if len(wrong):
        raise UserError(
            f"{path}: line {first_line + wrong[0]}: a time must be seconds, unix time, 2026-03-01T10:15:00.5 or "
            f"10:15:00.5; came {column.iloc[wrong[0]]!r}"
        )
    return ((times - pd.Timestamp(0, tz="UTC")) / pd.Timedelta(seconds=1)).to_numpy(dtype=float)


def _trace(path: Path, seconds: np.ndarray, watts: np.ndarray, first_line: int) -> Trace:
    """The trace of rows that have a time and a power; rows of the same time are averaged."""
    kept = np.flatnonzero(np.isfinite(seconds) & np.isfinite(watts))
    seconds, watts = seconds[kept], watts[kept]
    back = np.flatnonzero(np.diff(seconds) < 0)
    if len(back):
        was, came = seconds[back[0]], seconds[back[0] + 1]
        line = first_line + kept[back[0] + 1]
        raise UserError(f"{path}: line {line}: times must not go back; {came:.6f} s came after {was:.6f} s")
    times, where, rows = np.unique(seconds, return_inverse=True, return_counts=True)
    return Trace(times, np.bincount(where, weights=watts, minlength=len(times)) / rows, str(path))


def _powertop(path: Path, texts: Mapping[Path, str]) -> Trace:
    """One sample for each report, in the middle of the time that it covers: the battery's mean discharge.

    A report names its start, in local time and whole seconds, the watts and the joules; these give its length.
    """
    samples: dict[float, float] = {}
    for file, text in texts.items():
        if POWERTOP not in text:
            raise UserError(f"{file}: is no report of PowerTOP; keep only its reports in the folder")
        for report in re.split(r"(?=PowerTOP Version;)", text)[1:]:
            watts, joules = (_quantity(report, what) for what in (r"discharge rate of\s*:?", r"consumed was\s*:?"))
            if watts and joules:
                samples[_report_start(file, report) + joules / watts / 2] = watts
    if len(samples) < 2:
        raise UserError(
            f"{path}: needs two or more PowerTOP reports with a discharge rate, it has {len(samples)}; PowerTOP knows "
            "power on battery alone: sudo powertop --csv=power.csv --time=10 --iteration=60"
        )
    t = np.array(sorted(samples))
    return Trace(t, np.array([samples[time] for time in t]), str(path), local_time=True)


def _quantity(report: str, what: str) -> float | None:
    """The watts or joules behind some words of a report, as '  9.57  W' or '  840 mW'; None where there are none."""
    found = re.search(what + r"\s*([\d.]+)\s*([kmuµ]?)\s*[WJ]", report)
    return float(found[1]) * PREFIXES[found[2]] if found else None


def _report_start(file: Path, report: str) -> float:
    """When a report was begun: from its first line, else from the file's name (powertop-20260301-101500.csv)."""
    if ran := re.search(r"ran at \w+ +(\w+ +\d+ [\d:]+ \d+)", report):
        return datetime.strptime(" ".join(ran[1].split()), "%b %d %H:%M:%S %Y").replace(tzinfo=UTC).timestamp()
    if named := re.search(r"(\d{8}-\d{6})$", file.stem):
        return datetime.strptime(named[1], "%Y%m%d-%H%M%S").replace(tzinfo=UTC).timestamp()
    raise UserError(
        f"{file}: neither the report nor the file's name says when it was made; use powertop --iteration=60"
    )
