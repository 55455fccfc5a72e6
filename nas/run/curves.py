"""The training curves of a run: `curves.jsonl`, a trial a line, with what went wrong where a training failed."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

from nas.errors import UserError
from nas.files.atomic import write_atomic
from nas.files.json import parse_json
from nas.files.plain import MB, read_text

MOST_BYTES = 32 * MB
NEEDED = "validation_accuracy"  # what every epoch of a curve has
Curve = list[dict[str, float]]  # a dictionary an epoch; NaN stands for what was not a number


def curve_line(trial: int, curve: Sequence[Mapping[str, float | None]], error: str | None = None) -> bytes:
    """The line of one trial; `error`: what went wrong, of one that failed."""
    entry = {"trial": trial, "curve": curve} | ({} if error is None else {"error": error})
    return (json.dumps(entry) + "\n").encode()


def write_curves(
    path: Path, curves: Mapping[int, Sequence[Mapping[str, float | None]]],
    errors: Mapping[int, str] = MappingProxyType({}),
) -> None:  # fmt: skip
    """Every trial's training curve; `errors`: what went wrong with those that failed."""
    lines = [curve_line(trial, curve, errors.get(trial)) for trial, curve in sorted(curves.items())]
    write_atomic(path / "curves.jsonl", b"".join(lines))


def read_curves(path: Path) -> dict[int, Curve]:
    """Each trial's training curve. Raises UserError naming the line that is wrong."""
    return {trial: curve for trial, curve, _ in _lines(path)}


def read_errors(path: Path) -> dict[int, str]:
    """What went wrong, by trial, with those that failed."""
    return {trial: error for trial, _, error in _lines(path) if error is not None}


def _lines(path: Path) -> Iterator[tuple[int, Curve, str | None]]:
    file = path / "curves.jsonl"
    text = read_text(file, MOST_BYTES, "JSON") if file.exists() else ""
    for number, line in enumerate(text.split("\n")[:-1], 1):  # a search that was killed leaves half a last line
        where = f"{file} line {number}"
        entry = parse_json(line, where)
        if not isinstance(entry, dict) or not _whole(entry.get("trial")) or not isinstance(entry.get("curve"), list):
            raise UserError(f"{where}: must be a trial's training curve, as the search wrote it")
        error = entry.get("error")
        if error is not None and not isinstance(error, str):
            raise UserError(f"{where}: error must be a text")
        yield entry["trial"], [_epoch(epoch, where) for epoch in entry["curve"]], error


def _epoch(epoch: Any, where: str) -> dict[str, float]:
    known = isinstance(epoch, dict) and NEEDED in epoch
    if not known or not all(v is None or (isinstance(v, int | float) and abs(v) < 1e300) for v in epoch.values()):
        raise UserError(f"{where}: an epoch must be an object of numbers, with {NEEDED}")
    return {name: math.nan if value is None else float(value) for name, value in epoch.items()}


def _whole(value: Any) -> bool:
    return isinstance(value, int) and 0 <= value < 10**9
