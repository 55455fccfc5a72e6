"""PowerTOP's CSV reports: the power of a laptop that runs on its battery."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from nas.errors import UserError
from nas.profiling.energy.power_trace import Trace

MARK = "P o w e r T O P"  # in every report
PREFIXES = {"": 1.0, "k": 1e3, "m": 1e-3, "u": 1e-6, "µ": 1e-6}


def powertop_trace(path: Path, texts: Mapping[Path, str]) -> Trace:
    """One sample for each report, in the middle of the time that it covers: the battery's mean discharge.

    A report names its start, in local time and whole seconds, the watts and the joules; these give its length. `texts`
    are the files, each with one report or more. Raises UserError naming the file.
    """
    samples: dict[float, float] = {}
    for file, text in texts.items():
        if MARK not in text:
            raise UserError(f"{file}: is not a report of PowerTOP; keep only its reports in the folder")
        for report in re.split(r"(?=PowerTOP Version;)", text)[1:]:
            watts, joules = (
                _quantity(report, what) for what in (r"discharge rate of\s{0,20}:?", r"consumed was\s{0,20}:?")
            )
            if watts and joules:
                samples[_start(file, report) + joules / watts / 2] = watts
    if len(samples) < 2:
        raise UserError(
            f"{path}: needs two or more PowerTOP reports with a discharge rate, it has {len(samples)}; PowerTOP knows "
            "power on battery only: sudo powertop --csv=power.csv --time=10 --iteration=60"
        )
    t = np.array(sorted(samples))
    return Trace(t, np.array([samples[time] for time in t]), str(path), local_time=True)


def _quantity(report: str, what: str) -> float | None:
    """The watts or joules behind some words of a report, as '  9.57  W' or '  840 mW'; None where there are none."""
    found = re.search(what + r"\s{0,20}:?\s{0,20}(\d{1,9}(?:\.\d{1,9})?)\s*([kmuµ]?)\s*[WJ]", report)
    return float(found[1]) * PREFIXES[found[2]] if found else None


def _start(file: Path, report: str) -> float:
    """When a report was begun: from its first line, else from the file's name (powertop-20260301-101500.csv)."""
    try:
        if ran := re.search(r"ran at \w+ +(\w+ +\d+ [\d:]+ \d+)", report):
            return datetime.strptime(" ".join(ran[1].split()), "%b %d %H:%M:%S %Y").replace(tzinfo=UTC).timestamp()
        if named := re.search(r"(\d{8}-\d{6})$", file.stem):
            return datetime.strptime(named[1], "%Y%m%d-%H%M%S").replace(tzinfo=UTC).timestamp()
    except ValueError as error:
        raise UserError(f"{file}: the time of a report is not a valid date: {error}") from None
    raise UserError(
        f"{file}: neither the report nor the file's name says when it was made; use powertop --iteration=60"
    )
