"""A trial and what it costs, and the tables that keep them."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal, get_args

from nas.errors import UserError
from nas.files.csv import Row, number, parse_rows, read_rows, whole_number
from nas.files.plain import MB, read_text
from nas.run.average_precision import NUMBERS, AveragePrecision, from_cells
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


BASES = ("measured", "fitted", "extrapolated", "estimated")  # what a cost was predicted from
State = Literal["trained", "failed", "stopped"]


@dataclass(frozen=True, slots=True)
class Trial:
    """One candidate in training. Accuracies are fractions; `seconds` is the time that its trainings took.

    `accuracy` is of the weights that are kept, as it was measured; `expected_accuracy` of the network however it is
    trained, after all that the run has seen, with its standard deviation: both are of the validation images, which all
    networks of a run share, so that this deviation is what tells networks apart. On new images all of them together may
    lie higher or lower (`nas.report.ties.interval`). "stopped": early, since it would not have reached the front.
    """

    trial: int
    state: State
    accuracy: float | None  # on the validation split; None: training failed or was stopped
    test_accuracy: float | None  # only of networks that no other beat in the end
    costs: Costs
    seconds: float
    seed: int
    candidate: Candidate
    robust_accuracy: float | None = None  # on corrupted validation images; None: it was no objective
    log_loss: float | None = None  # mean on the validation split, in nats: what it says of the network has less noise
    trainings: int = 1  # with different seeds, that the expected accuracy rests on
    expected_accuracy: float | None = None  # None: not known yet
    accuracy_deviation: float | None = (
        None  # of the expected accuracy, on the validation images that all networks share
    )
    front_probability: float | None = None  # that no other trained network of the run is better in every objective
    guide_score: float | None = None  # rank among scored networks, as a share of them, that the guide predicts
    promise: float | None = None  # rank in the space, as a share, that the guide and the trainings together give it
    average_precision: AveragePrecision | None = None  # what a detector's accuracy is a mean of, on the same images

    def value(self, column: str) -> float:
        """The number in a column of trials.csv; NaN where there is none."""
        if column in NUMBERS:
            found = self.average_precision.columns()[column] if self.average_precision else None
        else:
            found = getattr(self if column in TRIAL_COLUMNS else self.costs, column)
        return math.nan if found is None else float(found)


@dataclass(frozen=True, slots=True)
class Reference:
    """A known network on the run's device, drawn into the pictures; it has no accuracy on the run's dataset."""

    name: str
    precision: str
    costs: Costs


MOST_BYTES = 32 * MB  # of trials.csv; a trial of a large space takes 1.5 kB
MOST_TRIALS = 50_000
MOST_REFERENCES = 1000
LONGEST_NAME = 100  # characters of a known network's
COST_COLUMNS = tuple(f.name for f in fields(Costs))
BELIEVED = ("log_loss", "trainings", "expected_accuracy", "accuracy_deviation", "front_probability")
GUIDED = ("guide_score", "promise")
TRIAL_COLUMNS = ("trial", "accuracy", "test_accuracy", "robust_accuracy", "seconds", "seed", *BELIEVED, *GUIDED)
COLUMNS = (
    "trial", "state", "accuracy", "test_accuracy", "robust_accuracy", *BELIEVED, *GUIDED, *COST_COLUMNS, "precision",
    "seconds", "seed", "candidate",
)  # fmt: skip
LATER = ("robust_accuracy", *BELIEVED, *GUIDED)  # columns that older runs lack


def read_trials(file: Path) -> Iterator[Trial]:
    """The trials of a table, none where it is not there; half a last line, of a search that was killed, is left out.

    Raises UserError naming the line that is wrong.
    """
    if not file.exists():
        return
    text = read_text(file, MOST_BYTES, "CSV")
    seen: set[int] = set()
    for line, row in parse_rows(
        text[: text.rfind("\n") + 1], file, [c for c in COLUMNS if c not in LATER], MOST_TRIALS
    ):
        where = f"{file} line {line}"
        number_of = whole_number(row["trial"], file, line, "trial")
        if number_of in seen:
            raise UserError(f"{where}: trial {number_of} is there twice")
        seen.add(number_of)
        state, accuracy = row["state"], _fraction(row, file, line, "accuracy")
        known = next((s for s in get_args(State) if s == state), None)
        if known is None or (state == "trained") != (accuracy is not None):
            raise UserError(
                f"{where}: state must be trained, with an accuracy, or failed or stopped, without; got {state[:40]!r}"
            )
        yield Trial(
            number_of, known, accuracy, _fraction(row, file, line, "test_accuracy"), _costs(row, file, line),
            number(row["seconds"], file, line, "seconds", least=0.0), whole_number(row["seed"], file, line, "seed"),
            _candidate(row, where), _fraction(row, file, line, "robust_accuracy"),
            maybe_number(row, file, line, "log_loss") if "log_loss" in row else None,
            whole_number(row["trainings"], file, line, "trainings") if row.get("trainings") else 1,
            _fraction(row, file, line, "expected_accuracy"), _fraction(row, file, line, "accuracy_deviation"),
            _fraction(row, file, line, "front_probability"),
            **{name: maybe_number(row, file, line, name) for name in GUIDED if name in row},
            average_precision=from_cells(row, accuracy, where),
        )  # fmt: skip


def read_references(path: Path) -> tuple[Reference, ...]:
    """The known networks of a run folder, none where it has no references.csv. Raises UserError naming the line."""
    file = path / "references.csv"
    if not file.exists():
        return ()
    rows = list(read_rows(file, ("name", "precision", *COST_COLUMNS), MB))
    if len(rows) > MOST_REFERENCES:
        raise UserError(f"{file}: must have at most {MOST_REFERENCES:,} networks; got {len(rows):,}")
    if odd := [line for line, row in rows if not 0 < len(row["name"]) <= LONGEST_NAME]:
        raise UserError(f"{file}: a name must have 1 to {LONGEST_NAME} characters; line {odd[0]}")
    return tuple(Reference(row["name"], row["precision"], _costs(row, file, line)) for line, row in rows)


def row_of(t: Trial) -> dict[str, Any]:
    """The cells of a trial, by the columns of trials.csv."""
    costs = {name: getattr(t.costs, name) for name in COST_COLUMNS}
    believed = {name: getattr(t, name) for name in (*BELIEVED, *GUIDED)}
    return {
        "trial": t.trial, "state": t.state, "accuracy": t.accuracy, "test_accuracy": t.test_accuracy,
        "robust_accuracy": t.robust_accuracy, **believed, **costs,
        "precision": t.candidate.precision, "seconds": t.seconds, "seed": t.seed, "candidate": t.candidate.json(),
    } | (t.average_precision.columns() if t.average_precision else {})  # fmt: skip


def csv_bytes(columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> bytes:
    """Floats with nine significant digits: more than any of them earns, few enough to read; lists as JSON."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    for row in rows:
        writer.writerow([_cell(row.get(c)) for c in columns])
    return text.getvalue().encode()


def _cell(value: Any) -> Any:
    if isinstance(value, list):
        return json.dumps(value, separators=(",", ":"))
    return f"{value:.9g}" if isinstance(value, float) else value


def maybe_number(row: Row, file: Path, line: int, column: str) -> float | None:
    """The number in a cell, None where it is empty. Raises UserError unless it is finite, 0 or more."""
    return number(row[column], file, line, column, least=0.0) if row[column] else None


def _fraction(row: Row, file: Path, line: int, column: str) -> float | None:
    value = maybe_number(row, file, line, column) if column in row else None
    if value is not None and value > 1:
        raise UserError(f"{file} line {line}: {column} must be a fraction from 0 to 1; got {value:g}")
    return value


def _costs(row: Row, file: Path, line: int) -> Costs:
    numbers: dict[str, Any] = {c: maybe_number(row, file, line, c) for c in COST_COLUMNS if not c.endswith("_basis")}
    for name in ("latency_ms", "size_mb", "peak_memory_mb"):
        numbers[name] = number(row[name], file, line, name, least=0.0)
    numbers |= {name: whole_number(row[name], file, line, name) for name in ("params", "macs")}
    for name in ("latency_basis", "energy_basis"):
        if row[name] not in BASES and (name == "latency_basis" or row[name]):
            raise UserError(f"{file} line {line}: {name} must be one of {', '.join(BASES)}; got {row[name][:40]!r}")
    return Costs(**numbers, latency_basis=row["latency_basis"], energy_basis=row["energy_basis"] or None)


def _candidate(row: Row, where: str) -> Candidate:
    try:
        candidate = Candidate.from_json(row["candidate"])
    except UserError as error:
        raise UserError(f"{where}: {error}") from None
    for name, value in candidate.values:
        if isinstance(value, bool) or (isinstance(value, float | int) and not abs(value) < math.inf):
            raise UserError(f"{where}: {name[:80]} of the candidate must be a text or a finite number; got {value}")
    precision = row["precision"]
    if precision not in PRECISIONS or precision != candidate.get("precision", "fp32"):
        raise UserError(
            f"{where}: precision must be the candidate's, one of {', '.join(PRECISIONS)}; got {precision[:40]!r}"
        )
    return candidate
