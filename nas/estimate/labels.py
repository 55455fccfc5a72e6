"""Labels: networks that were trained, for a surrogate to learn from."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean

import numpy as np

from nas.errors import UserError
from nas.estimate.design import Design, choose_design
from nas.estimate.estimator import Estimator, OnPrepare
from nas.estimate.structure import Structure
from nas.estimate.table import Training, read_trainings
from nas.files.csv import append_rows, number, read_appended, whole_number
from nas.files.lock import locked
from nas.pareto import Array
from nas.space.candidate import Candidate, Value
from nas.space.network import Network
from nas.space.search_space import SearchSpace

POOL = 1000  # random candidates that a design chooses from
LEAST_ERROR = 1e-4  # an accuracy above 1 less this is taken as this
COLUMNS = ("candidate", "seed", "accuracy", "seconds", "curve")
BUSY = "another process is training these labels in {path}; wait for it"
Points = tuple[tuple[float, float], ...]  # of each epoch: training loss, validation accuracy


@dataclass(frozen=True, slots=True)
class Label:
    """A network, and the accuracy that a training of it reached."""

    network: Network
    values: Mapping[str, Value]  # its hyperparameters and precision, by name
    accuracy: float  # from 0 to 1
    epochs: float | None = None  # passes over the training images; None: not known, the same for all
    curve: Points = field(default=(), repr=False)


Labels = Callable[[OnPrepare | None], tuple[Label, ...]]


def as_target(accuracies: Array) -> Array:
    """Accuracies (n,) on the scale where their errors are alike: minus the logarithm of what is missing to 1."""
    return -np.log(np.maximum(1 - np.asarray(accuracies), LEAST_ERROR))


def as_accuracy(target: float, deviation: float) -> tuple[float, float]:
    """An accuracy and its standard deviation, of a target and its own."""
    missing = min(1.0, math.exp(-target))
    return 1 - missing, missing * deviation


def pool_of(structure: Structure, seed: int) -> tuple[list[Candidate], Array]:
    """Random distinct candidates of the space, and their features (m, k)."""
    space = structure.space
    codes = np.unique(space.canonical_codes(space.sample_codes(POOL, np.random.default_rng(seed))), axis=0)
    return [space.decode(code) for code in codes], structure.of_codes(codes)


def standard(features: Array, of: Array) -> Array:
    """Features (n, k) in units of the deviations of others (m, k), about their means."""
    deviation = of.std(axis=0)
    return np.asarray((features - of.mean(axis=0)) / np.where(deviation > 0, deviation, 1.0))


@dataclass(frozen=True)
class KnownLabels:
    """Labels that are there already."""

    labels: tuple[Label, ...]

    def __call__(self, on_progress: OnPrepare | None = None) -> tuple[Label, ...]:
        return self.labels


def table_labels(
    path: Path, space: SearchSpace, columns: tuple[str, ...] = (), classes: int | None = None
) -> tuple[Label, ...]:
    """The trainings of a CSV, read as `read_known` reads it; of equal ones the mean. A run's trials.csv is one too.

    A column `epochs` tells trainings of one network apart: the surrogate learns what longer ones gain.
    Raises UserError.
    """
    found: dict[tuple[object, ...], list[Training]] = {}
    trained = {*space.table.hyperparameters, "precision"}
    for training in read_trainings(path, space, columns, classes):
        values = tuple(pair for pair in training.candidate.values if pair[0] in trained)
        found.setdefault((training.network.blocks, values, training.epochs), []).append(training)
    return tuple(
        Label(
            same[0].network, same[0].candidate.as_dict(), fmean(x for t in same for x in t.accuracies), same[0].epochs
        )
        for same in found.values()
    )


def designed(structure: Structure, labels: Sequence[Label], count: int, seed: int) -> tuple[Label, ...]:
    """Those of the labels that a D-optimal design chooses by their structure. Raises ValueError for too few."""
    features = structure.of_networks([x.network for x in labels], [x.values for x in labels])
    return tuple(labels[i] for i in choose_design(standard(features, features), count, "d-optimal", seed=seed))


@dataclass(frozen=True, eq=False)
class TrainedLabels:
    """Labels that are trained when they are first asked for, one after the other, and kept in a file.

    A design chooses `count` of POOL random candidates by their structure. One whose training fails is left out, and the
    design's next takes its place, as long as there are not twice as many failures as labels.
    """

    structure: Structure
    training: Estimator
    file: Path  # in a folder of its own, which belongs to this training and no other
    count: int
    design: Design = "d-optimal"
    seed: int = 0
    epochs: float | None = None

    def __call__(self, on_progress: OnPrepare | None = None) -> tuple[Label, ...]:
        """The labels; `on_progress` hears of every training. A process that was killed is gone on with.

        Raises UserError while another process trains them, and where too many trainings fail.
        """
        candidates, features = pool_of(self.structure, self.seed)
        most = min(len(candidates), 3 * self.count)
        order = choose_design(standard(features, features), most, self.design, seed=self.seed)
        found: list[Label] = []
        failure = ""
        with locked(self.file.parent, BUSY):
            there = dict(self._read())
            for candidate in (candidates[i] for i in order):
                if len(found) == self.count:
                    break
                if on_progress:
                    on_progress(len(found), self.count, "labels")
                key = candidate.json(), int(candidate.digest, 16) % 2**31
                if key not in there:
                    there[key], failure = self._train(candidate, key[1])
                if (result := there[key]) is not None:
                    network = self._network(candidate)
                    found.append(Label(network, candidate.as_dict(), result[0], self.epochs, result[1]))
        if on_progress:
            on_progress(len(found), self.count, "labels")
        if len(found) < min(self.count, most):
            raise UserError(f"only {len(found)} of {most} trainings gave a label of the {self.count} wanted; {failure}")
        return tuple(found)

    def _network(self, candidate: Candidate) -> Network:
        return self.structure.space.network(candidate, self.structure.classes)

    def _train(self, candidate: Candidate, seed: int) -> tuple[tuple[float, Points] | None, str]:
        """One training, added to the file; None, and why, where it failed."""
        try:
            estimate = self.training.estimate(self._network(candidate), candidate.as_dict(), seed=seed)
        except (ArithmeticError, RuntimeError, MemoryError) as error:
            if isinstance(error, ArithmeticError):  # it would fail again; the machine may have more memory next time
                append_rows(self.file, COLUMNS, [(candidate.json(), seed, "", "0", "")])
            return None, f"the last failed: {error}"
        curve = tuple((round(e.train_loss, 5), round(e.validation_accuracy, 5)) for e in estimate.curve)
        accuracy = round(estimate.accuracy, 6)
        row = (candidate.json(), seed, accuracy, f"{estimate.seconds:.2f}", json.dumps(curve, separators=(",", ":")))
        append_rows(self.file, COLUMNS, [row])
        return (accuracy, curve), ""

    def _read(self) -> Iterator[tuple[tuple[str, int], tuple[float, Points] | None]]:
        """What the file has: by candidate and seed its accuracy and curve; None: the training failed."""
        for line, row in read_appended(self.file, COLUMNS, "labels"):
            key = row["candidate"], whole_number(row["seed"], self.file, line, "seed")
            if not row["accuracy"]:
                yield key, None
                continue
            accuracy = number(row["accuracy"], self.file, line, "accuracy", least=0, most=1)
            yield key, (accuracy, _points(row["curve"], self.file, line))


def _points(text: str, path: Path, line: int) -> Points:
    try:
        return tuple((float(loss), float(accuracy)) for loss, accuracy in json.loads(text))
    except (ValueError, TypeError, RecursionError):
        raise UserError(
            f"{path}: curve must be a list of losses and accuracies; line {line} has {text[:80]!r}"
        ) from None
