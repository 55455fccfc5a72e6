"""Files that power meters write: tables with a time and power, or voltage and current; PowerTOP's; tegrastats'."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from nas.errors import UserError
from nas.files.plain import MB, read_bytes
from nas.profiling.energy.power_trace import Trace, averaged
from nas.profiling.energy.powertop import MARK, powertop_trace
from nas.profiling.energy.tegrastats import is_tegrastats, tegrastats_trace
from nas.profiling.energy.trace_columns import (
    CURRENT,
    DEVICE,
    POWER,
    TIME,
    UNITS,
    VOLTAGE,
    Column,
    columns_of,
    factor_of,
)

if TYPE_CHECKING:
    import pandas as pd

LARGEST = 32 * MB
LARGEST_REPORT = 10 * MB  # of PowerTOP
MOST_REPORTS = 10_000
HEADER_LINES, HEADER_BYTES = 50, 1 << 16  # some meters write about themselves first
LONGEST_NAME, MOST_COLUMNS = 200, 1000
DELIMITERS = (",", ";", "\t", r"\s+")
UNIX_FROM = ((1e17, 1e-9), (1e14, 1e-6), (1e11, 1e-3))  # a time above is unix time in ns, us, ms
_CELL = r"^\s*([-+]?[\d.,]+(?:[eE][-+]?\d{1,3})?)\s*([A-Za-zµμ]*)\s*$"  # '25.31 W'


def read_trace(path: Path, units: Mapping[str, float] | None = None) -> Trace:
    """Reads what a meter recorded: a table, a PowerTOP report or a folder of them, or what tegrastats printed.

    Columns are known by name and unit, in any case: time or timestamp, in seconds unless the name has another unit,
    unix time, ISO 8601 or a clock time; and power, or voltage and current. A power's unit stands in the column's name
    (`power_mw`, `[W]`), behind each number (`25.31 W`), or is the tool's own (nvidia-smi: W; jetson_stats: mW); else
    `units` has it, by "power", "voltage", "current", as factors to W, V and A. Rows without a value are dropped
    samples, rows of the same time are averaged. Raises UserError naming file and line for anything that cannot be read.
    """
    if path.is_dir():
        files = sorted(path.glob("*.csv"))
        if not 0 < len(files) <= MOST_REPORTS:
            raise UserError(f"{path}: a folder must hold 1 to {MOST_REPORTS} reports of PowerTOP; it has {len(files)}")
        if sum(file.stat().st_size for file in files if file.is_file()) > LARGEST:
            raise UserError(f"{path}: the reports of PowerTOP must have at most {LARGEST / MB:g} MB together")
        texts = (read_bytes(file, LARGEST_REPORT, "trace").decode("utf-8", errors="replace") for file in files)
        return powertop_trace(path, dict(zip(files, texts, strict=True)))
    content = read_bytes(path, LARGEST, "trace")
    start = content[:HEADER_BYTES].decode("utf-8-sig", errors="replace").splitlines()[:HEADER_LINES]
    if any(MARK in line for line in start):
        return powertop_trace(path, {path: content.decode("utf-8", errors="replace")})
    if is_tegrastats(start):
        return tegrastats_trace(path, content.decode("utf-8", errors="replace"))
    return _table(path, content, start, units or {})


def _table(path: Path, content: bytes, start: Sequence[str], units: Mapping[str, float]) -> Trace:
    import pandas as pd

    line, delimiter, columns = _header(path, start)
    # one decimal mark for the file; where commas separate cells, they separate nothing else
    comma = delimiter != "," and any(re.search(r"\d,\d", row) for row in start[line + 1 :])
    try:
        table = pd.read_csv(
            BytesIO(content), sep=delimiter, skiprows=line + 1, header=None, index_col=False, low_memory=False,
            usecols=[column.index for column in columns.values()], skip_blank_lines=False, skipinitialspace=True,
            decimal="," if comma else ".", encoding="utf-8-sig", encoding_errors="replace",
        )  # fmt: skip
    except (ValueError, MemoryError) as error:  # pandas' own errors are ValueErrors
        raise UserError(f"{path}: not a readable table: {' '.join(str(error).split())[:200]}") from None
    first = line + 2
    if DEVICE in columns and table[columns[DEVICE].index].astype(str).str.strip().nunique() > 1:
        raise UserError(f"{path}: must be of one GPU, or their powers would be averaged; record with nvidia-smi --id=0")

    def si(kind: str) -> np.ndarray:
        return _in_si(path, table[columns[kind].index], kind, columns[kind], first, units, comma=comma)

    watts = si(POWER) if POWER in columns else si(VOLTAGE) * si(CURRENT)
    seconds = _seconds(path, table[columns[TIME].index], columns[TIME], first, comma=comma)
    return _trace(path, seconds, watts, first)


def _header(path: Path, start: Sequence[str]) -> tuple[int, str, dict[str, Column]]:
    """The line that names the columns, the delimiter, and the columns that matter."""
    for number, line in enumerate(start):
        for delimiter in DELIMITERS:
            names = [name.strip().strip('"')[:LONGEST_NAME] for name in re.split(delimiter, line.strip())]
            if delimiter == r"\s+" and len(names) != len("".join(start[number + 1 : number + 2]).split()):
                continue  # a sentence
            if 1 < len(names) <= MOST_COLUMNS and (columns := columns_of(path, number + 1, names)):
                return number, delimiter, columns
    raise UserError(
        f"{path}: one of the first {HEADER_LINES} lines must name a time column and power, or voltage and current, "
        f"such as: time_s,power_w; the first is {start[0].strip()[:60]!r}" if start else f"{path}: the file is empty"
    )  # fmt: skip


def _in_si(
    path: Path, column: pd.Series, kind: str, about: Column, first: int, units: Mapping[str, float], *, comma: bool
) -> np.ndarray:
    """A column of power, voltage or current in W, V or A, (n,); NaN where it is empty."""
    values, each = _numbers(path, column, kind, first, comma=comma)
    factor = factor_of(path, kind, about, units)
    own = each[~np.isnan(each)]
    if factor is not None and about.factor is not None and len(own) and (own != factor).any():
        raise UserError(f"{path}: the column {about.name[:40]!r} names another unit than its numbers; keep one of them")
    factors = np.where(np.isnan(each), np.nan if factor is None else factor, each)
    without = np.flatnonzero(np.isnan(factors) & ~np.isnan(values))
    if len(without):
        example = {POWER: "mW", VOLTAGE: "mV,mA", CURRENT: "mV,mA"}[kind]
        raise UserError(
            f"{path}: the unit of the {kind} must be known; {about.name[:40]!r} has none (line {first + without[0]}): "
            f"say it with --power-unit {example}, or rename the column"
        )
    return np.asarray(values * factors)


def _numbers(path: Path, column: pd.Series, kind: str, first: int, *, comma: bool) -> tuple[np.ndarray, np.ndarray]:
    """A column's numbers and the factors of the units behind them, (n,) each; NaN where there is none.

    Raises UserError for anything else in it.
    """
    import pandas as pd

    if pd.api.types.is_numeric_dtype(column):
        numbers, factors = column.to_numpy(dtype=float), np.full(len(column), np.nan)
    else:
        parts = column.astype("string").str.extract(_CELL)
        text = parts[0].str.replace(",", ".", n=1) if comma else parts[0]
        numbers = pd.to_numeric(text, errors="coerce").to_numpy(dtype=float, na_value=np.nan)
        units = parts[1].str.lower().str.replace("[µμ]", "u", regex=True)
        known = {unit: factor for unit, (of, factor) in UNITS.items() if of == kind}
        factors = units.map(known).to_numpy(dtype=float, na_value=np.nan)
        unknown = (units.fillna("") != "").to_numpy() & np.isnan(factors)
        numbers = np.where(unknown, np.nan, numbers)
    wrong = np.flatnonzero((np.isnan(numbers) & column.notna().to_numpy()) | np.isinf(numbers))
    if len(wrong):
        raise UserError(
            f"{path}: line {first + wrong[0]}: must be a number, or one with a unit of {kind}; "
            f"got {str(column.iloc[wrong[0]])[:40]!r}"
        )
    return np.asarray(numbers), np.asarray(factors)


def _seconds(path: Path, column: pd.Series, about: Column, first: int, *, comma: bool) -> np.ndarray:
    """Times in seconds, (n,), NaN where empty. Without a unit: seconds, or unix time in ms, us or ns."""
    import pandas as pd

    text = column.dropna().astype(str) if not pd.api.types.is_numeric_dtype(column) else pd.Series(dtype=str)
    if not text.str.contains(r"\d[:-]\d").any():
        numbers, each = _numbers(path, column, TIME, first, comma=comma)
        highest = np.nanmax(numbers, initial=0.0)
        factor = about.factor or next((unit for least, unit in UNIX_FROM if highest > least), 1.0)
        return np.asarray(numbers * np.where(np.isnan(each), factor, each))
    if text.str.fullmatch(r"\d{1,2}:\d\d:\d\d(\.\d{1,9})?").all():
        seconds = pd.to_timedelta(column, errors="coerce").dt.total_seconds().to_numpy()
        back = np.diff(seconds, prepend=seconds[:1]) < -43200  # past midnight
        return np.asarray(seconds + 86400.0 * np.cumsum(back))
    times = pd.to_datetime(column.astype("string").str.replace("/", "-"), format="ISO8601", errors="coerce", utc=True)
    wrong = np.flatnonzero((times.isna() & column.notna()).to_numpy())
    if len(wrong):
        raise UserError(
            f"{path}: line {first + wrong[0]}: a time must be seconds, unix time, 2026-03-01T10:15:00.5 or "
            f"10:15:00.5; got {str(column.iloc[wrong[0]])[:40]!r}"
        )
    return ((times - pd.Timestamp(0, tz="UTC")) / pd.Timedelta(seconds=1)).to_numpy(dtype=float)


def _trace(path: Path, seconds: np.ndarray, watts: np.ndarray, first: int) -> Trace:
    """The trace of rows that have a time and a power; rows of the same time are averaged."""
    kept = np.flatnonzero(np.isfinite(seconds) & np.isfinite(watts))
    seconds, watts = seconds[kept], watts[kept]
    back = np.flatnonzero(np.diff(seconds) < 0)
    if len(back):
        before, after = seconds[back[0]], seconds[back[0] + 1]
        line = first + kept[back[0] + 1]
        raise UserError(f"{path}: line {line}: times must not go back; {after:.6f} s follows {before:.6f} s")
    return Trace(*averaged(seconds, watts), str(path))
