"""tegrastats: the lines that a Jetson prints, with the milliwatts of its rails."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from nas.errors import UserError
from nas.profiling.agent.sensors import TOTAL_RAILS
from nas.profiling.energy.power_trace import Trace, averaged

_LINE = re.compile(r"\bRAM \d+/\d+MB\b")
_RAIL = re.compile(rf"\b({'|'.join(TOTAL_RAILS)})\s+(\d{{1,9}})(?:mW)?/\d+(?:mW)?(?!\S)")
_DATE = re.compile(r"(\d\d-\d\d-\d{4} \d\d:\d\d:\d\d)\s")
_SECONDS = re.compile(r"(\d{1,12}(?:\.\d{1,9})?)\s")


def is_tegrastats(lines: Sequence[str]) -> bool:
    """Whether the first line that has anything is tegrastats'."""
    return bool(_LINE.search(next((line for line in lines if line.strip()), "")))


def tegrastats_trace(path: Path, text: str) -> Trace:
    """The rail that feeds all others, in mW as tegrastats has it, and the date before each line, or unix seconds.

    Raises UserError naming the line that has neither.
    """
    times, watts = [], []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        rail = _RAIL.search(line)
        if rail is None:
            rails = " or ".join(TOTAL_RAILS)
            raise UserError(
                f"{path}: line {number}: a line of tegrastats must have the rail {rails}, as VDD_IN 5034mW/5034mW"
            )
        times.append(_seconds(path, number, line))
        watts.append(float(rail[2]) * 1e-3)
    return Trace(*averaged(np.array(times), np.array(watts)), str(path))


def _seconds(path: Path, number: int, line: str) -> float:
    if date := _DATE.match(line):
        try:
            return datetime.strptime(date[1], "%m-%d-%Y %H:%M:%S").replace(tzinfo=UTC).timestamp()
        except ValueError:
            raise UserError(f"{path}: line {number}: {date[1]} is not a valid date") from None
    if seconds := _SECONDS.match(line):
        return float(seconds[1])
    raise UserError(
        f"{path}: line {number}: tegrastats must say when each line was printed, as JetPack 5 does; before it, record "
        f"with: tegrastats | ts %.s"
    )
