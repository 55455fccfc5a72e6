"""The estimator `table`: accuracies that are known, from a CSV of candidates."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING

from nas.errors import UserError
from nas.estimate.estimator import Estimate, OnPrepare
from nas.files.csv import number, read_rows
from nas.space.block import Block
from nas.space.candidate import Candidate, Value
from nas.space.candidate_text import read_candidate
from nas.space.network import Network
from nas.space.search_space import SearchSpace

if TYPE_CHECKING:
    from nas.models.trained import TrainedModel
    from nas.train.loop import OnEpoch

TRAININGS = re.compile(r"accuracy(_\d+)?")


@dataclass(frozen=True, slots=True)
class Known:
    """A network whose accuracy is known."""

    name: str  # its candidate as the table writes it
    network: Network
    accuracy: float  # from 0 to 1: the mean of its trainings


@dataclass(frozen=True, slots=True)
class Training:
    """One row of a table: what was trained, and the accuracies of its trainings."""

    name: str  # the candidate as the table writes it
    candidate: Candidate
    network: Network
    accuracies: tuple[float, ...]  # from 0 to 1
    epochs: float | None  # of the training, where the table has a column epochs


def read_known(
    path: Path, space: SearchSpace, columns: tuple[str, ...] = (), classes: int | None = None
) -> tuple[Known, ...]:
    """The distinct networks of a CSV, in its order.

    A row has a candidate of the space in column `candidate` (as `nas pick` prints it), or in column `arch` a digit for
    each choice of the architecture: the number of its option, from 0. Accuracies are the mean of `columns` (default:
    accuracy, or accuracy_1, accuracy_2, ...), fractions, or percentages if one of them is above 1. Rows that build the
    same network are trainings of it. Only networks are told apart, not their hyperparameters. Of a run's trials.csv the
    rows that were not trained are left out. `classes` of the networks: the space's own by default.
    Raises UserError that names file and line.
    """
    found: dict[tuple[Block, ...], list[Training]] = {}
    for training in read_trainings(path, space, columns, classes):
        found.setdefault(training.network.blocks, []).append(training)
    return tuple(
        Known(same[0].name, same[0].network, fmean(x for training in same for x in training.accuracies))
        for same in found.values()
    )


def read_trainings(
    path: Path, space: SearchSpace, columns: tuple[str, ...] = (), classes: int | None = None
) -> tuple[Training, ...]:
    """The rows of a CSV as `read_known` understands them, one by one. Raises UserError that names file and line."""
    rows = list(read_rows(path, columns))
    if not rows:
        raise UserError(f"{path}: has no rows")
    there = list(rows[0][1])
    trainings = columns or tuple(c for c in there if TRAININGS.fullmatch(c))
    if not trainings:
        raise UserError(f"{path}: needs a column accuracy or accuracy_1; it has {', '.join(there)[:200]}")
    column = next((c for c in ("candidate", "arch") if c in there), None)
    if column is None:
        raise UserError(f"{path}: needs a column candidate or arch; it has {', '.join(there)[:200]}")
    found: list[Training] = []
    for line, row in rows:
        if row.get("state", "trained") != "trained":
            continue
        try:
            candidate = read_candidate(space, row[column]) if column == "candidate" else of_digits(space, row[column])
        except UserError as error:
            raise UserError(f"{path}: line {line}: {error}") from None
        values = tuple(number(row[c], path, line, c, least=0, most=100) for c in trainings)
        epochs = number(row["epochs"], path, line, "epochs") if "epochs" in row else None
        found.append(Training(row[column], candidate, space.network(candidate, classes), values, epochs))
    if not found:
        raise UserError(f"{path}: has no row of a network that was trained")
    if max(max(training.accuracies) for training in found) > 1:
        found = [replace(t, accuracies=tuple(x / 100 for x in t.accuracies)) for t in found]
    return tuple(found)


def of_digits(space: SearchSpace, text: str) -> Candidate:
    """The candidate whose architecture is written as a digit a choice, e.g. 01202112. Raises UserError."""
    training = {*space.table.hyperparameters, "precision"}
    choices = [choice for choice in space.choices if choice.name not in training]
    if not re.fullmatch(rf"[0-9]{{{len(choices)}}}", text, re.ASCII):
        raise UserError(f"an arch of {space.name} must have {len(choices)} digits; got {text[:80]!r}")
    for choice, digit in zip(choices, text, strict=True):
        if int(digit) >= len(choice.options):
            raise UserError(f"{choice.name} must be a digit below {len(choice.options)}; got {digit} in {text}")
    return Candidate(tuple((c.name, c.options[int(digit)]) for c, digit in zip(choices, text, strict=True)))


@dataclass(frozen=True, slots=True, eq=False)
class TableLookup:
    """An `Estimator`: looks the accuracy of a network up. Made by `table_lookup`."""

    accuracies: Mapping[tuple[Block, ...], float]

    def prepare(self, on_progress: OnPrepare | None = None) -> None:
        """Nothing: the table was read."""

    def estimate(
        self, network: Network, hyperparameters: Mapping[str, Value], *, seed: int, on_epoch: OnEpoch | None = None
    ) -> Estimate:
        """The network's accuracy, whatever the hyperparameters and the seed.

        Raises RuntimeError for a network that the table lacks.
        """
        if network.blocks not in self.accuracies:
            raise RuntimeError("the table has no accuracy of this network")
        return Estimate(self.accuracies[network.blocks], 0.0)

    def test_accuracy(self, model: TrainedModel) -> float:
        """The table's accuracy: it has no other. Raises RuntimeError for a network that it lacks."""
        return self.estimate(model.network, {}, seed=0).value


def table_lookup(
    path: Path, space: SearchSpace, columns: tuple[str, ...] = (), classes: int | None = None
) -> TableLookup:
    """The estimator of a CSV, read as `read_known` reads it."""
    known = read_known(path, space, columns, classes)
    return TableLookup({network.network.blocks: network.accuracy for network in known})
