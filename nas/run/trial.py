"""A trial and what it costs, and the tables that keep them."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Literal, get_args

from nas.errors import UserError
from nas.space.candidate import Candidate
from nas.space.layer import PRECISIONS


@dataclass(frozen=True, slots=True)
class Costs:
    """What one inference of one network costs: batch 1, milliseconds, millijoules, 10^6 bytes."""

    latency_ms: float
    latency_low_ms: float | None
    latency_high_ms: float | None
    energy_mj: float | None  # None: the device profile has no energy
    energy_low_mj: float | None
    energy_high_mj: float | None
    params: int
    macs: int
    size_mb: float
    peak_memory_mb: float
    latency_basis: str  # one of BASES
    energy_basis: str | None  # None: no energy


BASES = ("measured", "fitted", "extrapolated")  # what a cost was predicted from
State = Literal["trained", "failed", "stopped"]


@dataclass(frozen=True, slots=True)
class Trial:
    """One candidate in training. Accuracies are fractions; `seconds` is the time that training and validation took.

    "stopped": early, since it would not have reached the front.
    """

    trial: int
    state: State
    accuracy: float | None  # on the validation split; None: training failed or was stopped
    test_accuracy: float | None  # only of networks on the final front
    costs: Costs
    seconds: float
    seed: int
    candidate: Candidate

    def value(self, column: str) -> float:
        """The number in a column of trials.csv; NaN where there is none."""
        found = getattr(self if column in TRIAL_COLUMNS else self.costs, column)
        return math.nan if found is None else float(found)


@dataclass(frozen=True, slots=True)
class Reference:
    """A known network on the run's device, drawn into the pictures; it has no accuracy on the run's dataset."""

    name: str
    precision: str
    costs: Costs


COST_COLUMNS = tuple(f.name for f in fields(Costs))
TRIAL_COLUMNS = ("trial", "accuracy", "test_accuracy", "seconds", "seed")
COLUMNS = ("trial", "state", "accuracy", "test_accuracy", *COST_COLUMNS, "precision", "seconds", "seed", "candidate")


def read_trials(file: Path) -> Iterator[Trial]:
    if not file.exists():
        return
    seen: set[int] = set()
    for where, row in read_table(file, COLUMNS):
        number, costs = int(_number(where, row, "trial")), _costs(where, row)
        if number in seen:
            raise UserError(f"{where}: trial {number} is there twice")
        seen.add(number)
        state, accuracy = row["state"], maybe_number(where, row, "accuracy")
        known = next((s for s in get_args(State) if s == state), None)
        if known is None or (state == "trained") != (accuracy is not None):
            raise UserError(
                f"{where}: state must be trained, with an accuracy, or failed or stopped, without; came {state!r}"
            )
        if accuracy is not None and accuracy > 1:
            raise UserError(f"{where}: accuracy must be a fraction from 0 to 1; came {accuracy}")
        try:
            candidate = Candidate.from_json(row["candidate"])
        except UserError as error:
            raise UserError(f"{where}: {error}") from None
        precision = row["precision"]
        if precision not in PRECISIONS or precision != candidate.get("precision", "fp32"):
            raise UserError(f"{where}: precision must be the candidate's, one of {PRECISIONS}; came {precision!r}")
        seconds, seed = _number(where, row, "seconds"), int(_number(where, row, "seed"))
        yield Trial(number, known, accuracy, maybe_number(where, row, "test_accuracy"), costs, seconds, seed, candidate)


def read_references(path: Path) -> tuple[Reference, ...]:
    file = path / "references.csv"
    if not file.exists():
        return ()
    rows = read_table(file, ("name", "precision", *COST_COLUMNS))
    return tuple(Reference(row["name"], row["precision"], _costs(where, row)) for where, row in rows)


def row_of(t: Trial) -> dict[str, Any]:
    values = {name: getattr(t, name) for name in ("trial", "state", "accuracy", "test_accuracy", "seconds", "seed")}
    row = values | asdict(t.costs) | {"precision": t.candidate.precision, "candidate": t.candidate.json()}
    return {name: row[name] for name in COLUMNS}


def csv_bytes(columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> bytes:
    """Floats with nine significant digits: more than any of them earns, few enough to read."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    for row in rows:
        writer.writerow([f"{row[c]:.9g}" if isinstance(row[c], float) else row[c] for c in columns])
    return text.getvalue().encode()


def read_table(file: Path, columns: Sequence[str]) -> Iterator[tuple[str, dict[str, str]]]:
    """Each row with the file and line that it stands in."""
    try:
        text = file.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"cannot read {file}: {error}") from None
    reader = csv.DictReader(io.StringIO(text, newline=""))
    if missing := [c for c in columns if c not in (reader.fieldnames or ())]:
        raise UserError(f"{file}: column {missing[0]!r} is missing")
    for row in _checked(reader, file):
        where = f"{file} line {reader.line_num}"
        if None in row or None in row.values():
            raise UserError(f"{where}: must have {len(reader.fieldnames or ())} cells")
        yield where, row


def _checked(reader: csv.DictReader[str], file: Path) -> Iterator[dict[str, str]]:
    try:
        yield from reader
    except csv.Error as error:
        raise UserError(f"{file} line {reader.line_num}: {error}") from None


def _costs(where: str, row: Mapping[str, str]) -> Costs:
    numbers: dict[str, Any] = {c: maybe_number(where, row, c) for c in COST_COLUMNS if not c.endswith("_basis")}
    for name in ("latency_ms", "params", "macs", "size_mb", "peak_memory_mb"):
        numbers[name] = _number(where, row, name)
    numbers |= {name: int(numbers[name]) for name in ("params", "macs")}
    for name in ("latency_basis", "energy_basis"):
        if row[name] not in BASES and (name == "latency_basis" or row[name]):
            raise UserError(f"{where}: {name} must be one of {', '.join(BASES)}; got {row[name][:80]!r}")
    return Costs(**numbers, latency_basis=row["latency_basis"], energy_basis=row["energy_basis"] or None)


def _number(where: str, row: Mapping[str, str], column: str) -> float:
    try:
        value = float(row[column])
    except ValueError:
        value = math.nan
    if not 0 <= value < math.inf:
        raise UserError(f"{where}: {column} must be a number, 0 or more; came {row[column]!r}")
    return value


def maybe_number(where: str, row: Mapping[str, str], column: str) -> float | None:
    """The number in a cell, None where it is empty. Raises UserError unless it is finite, 0 or more."""
    return _number(where, row, column) if row[column] else None
