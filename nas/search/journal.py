"""Optuna's journal of a run, in its folder or a database: the truth about trials, whatever happens to the process."""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import optuna
from optuna.exceptions import ExperimentalWarning, StorageInternalError
from optuna.storages import BaseStorage, JournalStorage
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from nas.errors import UserError
from nas.files.plain import MB, read_bytes
from nas.run import Settings, Storage
from nas.search.records import Record, Result, result_attributes
from nas.search.samplers.pareto.sampler import EXPECTED

STUDY = "nas"
NAMES = "study:metric_names"  # Optuna's system attribute for the objectives' names
MOST_BYTES = 128 * MB  # of journal.log; a proposal of a large space takes 9 kB
MOST_LINES = 250_000  # a trial takes four
LONGEST = MB  # bytes of one of its lines


class Journal:
    """What was proposed and what came of it, in order. One process writes at a time: the run's lock sees to that.

    A proposal is one line with everything in it, written before any training; a result is a second one. So a process
    may die anywhere: a proposal is either there whole or not at all, and one without a result is trained again.
    """

    def __init__(self, folder: Path, settings: Settings, storage: Storage | None = None) -> None:
        """Reads the journal, without writing: journal.log in the run's folder, or a study of its own in `storage`.

        Raises UserError when it is broken or cannot be reached.
        """
        self.path, self.settings, self.name = folder / "journal.log", settings, settings.study or STUDY
        self.file = storage.public if storage else str(self.path)
        self.storage: BaseStorage | None = None
        self.study: int | None = None  # its number in the storage; None: it is not there yet
        self._whole: int | None = None  # bytes of whole lines, before half a last line of a process that died
        self._ids: list[int] = []  # Optuna's number of each proposal
        with self._reading():
            if storage is not None:
                self.storage = _database(storage)
            elif self.path.exists():
                self._whole = _check_lines(self.path)
                self.storage = JournalStorage(_JournalFile(self.path))
            if self.storage is not None:
                studies = {study.study_name: study for study in self.storage.get_all_studies()}
                if (study := studies.get(self.name)) is not None:
                    self.study = study._study_id
                    self._check_objectives(self.storage, self.study)

    def _check_objectives(self, storage: BaseStorage, study: int) -> None:
        """Raises UserError for a study of other objectives: its values would be read as those of this run."""
        named = storage.get_study_system_attrs(study).get(NAMES, list(self.settings.objectives))
        if storage.get_study_directions(study) != directions(self.settings) or named != list(self.settings.objectives):
            raise UserError(
                f"{self.file}: must be of the run's objectives, {', '.join(self.settings.objectives)}; got "
                f"{', '.join(map(str, named))[:80] if isinstance(named, list) else 'others'}"
            )

    def trials(self) -> list[FrozenTrial]:
        """Every proposal so far, in order."""
        if self.storage is None or self.study is None:
            return []
        with self._reading():
            trials = self.storage.get_all_trials(self.study, deepcopy=False)
        self._ids = [trial._trial_id for trial in trials]
        return trials

    def test_accuracies(self) -> dict[int, float]:
        """Accuracy on the test split, by the number of the trained trial."""
        if self.storage is None or self.study is None:
            return {}
        with self._reading():
            kept = self.storage.get_study_user_attrs(self.study)
            accuracies = {int(number): value for number, value in kept.items() if number.isdecimal()}
        for number, value in accuracies.items():
            if isinstance(value, bool) or not isinstance(value, float | int) or not 0 <= value <= 1:
                raise UserError(f"{self.file}: the test accuracy of trial {number} must be a fraction from 0 to 1")
        return accuracies

    def begin(self) -> None:
        """Makes ready to write: drops half a last line, and makes what is not there yet. Raises UserError."""
        with self._writing():
            if self._whole is not None:
                os.truncate(self.path, self._whole)
            if self.storage is None:
                self.storage = JournalStorage(_JournalFile(self.path))
            if self.study is None:
                directions_ = directions(self.settings)
                self.study = self.storage.create_new_study(directions_, self.name)
                study = optuna.load_study(study_name=self.name, storage=self.storage)
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore", ExperimentalWarning)
                    study.set_metric_names(list(self.settings.objectives))  # as Optuna's dashboard shows them

    def add(self, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None, record: Record) -> None:
        """Writes a proposal of the sampler, with its state; RUNNING before it is trained."""
        template = optuna.trial.create_trial(
            state=state, values=values, params=trial.params, distributions=trial.distributions,
            system_attrs=trial.system_attrs, user_attrs=record.attributes(),
        )  # fmt: skip
        storage, study = self._open()
        with self._writing():
            self._ids.append(storage.create_new_trial(study, template))

    def set_result(self, number: int, result: Result) -> None:
        """Writes what training gave for the proposal with this number, so that no power failure loses it."""
        storage, _ = self._open()
        with self._writing():
            storage.set_trial_user_attr(self._ids[number], "result", result_attributes(result))
            if isinstance(storage, JournalStorage):
                with self.path.open("rb+") as file:
                    os.fsync(file.fileno())

    def end(
        self, number: int, state: TrialState, values: Sequence[float] | None, expected: Sequence[float] | None = None
    ) -> None:
        """Writes that the proposal with this number is done; `expected` are the objectives of one that was stopped."""
        storage, _ = self._open()
        with self._writing():
            if expected is not None:
                storage.set_trial_user_attr(self._ids[number], EXPECTED, list(expected))
            storage.set_trial_state_values(self._ids[number], state, values)

    def set_test_accuracy(self, trial: int, accuracy: float) -> None:
        """Writes the accuracy of a trained trial on the test split."""
        storage, study = self._open()
        with self._writing():
            storage.set_study_user_attr(study, str(trial), accuracy)

    def _open(self) -> tuple[BaseStorage, int]:
        if self.storage is None or self.study is None:
            raise ValueError("begin() comes before anything is written")
        return self.storage, self.study

    @contextmanager
    def _reading(self) -> Iterator[None]:
        try:
            with self._writing():
                yield
        except (ValueError, TypeError, LookupError, AttributeError, AssertionError, RecursionError) as error:
            raise UserError(f"{self.file} is broken: {_first_line(error)}") from None

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise UserError(f"cannot write {self.file}: {error.strerror}; the run can be resumed") from None
        except StorageInternalError as error:
            raise UserError(f"cannot use {self.file}: {_first_line(error)}; the run can be resumed") from None


def directions(settings: Settings) -> list[StudyDirection]:
    """Whether each objective is maximised, as Optuna says it."""
    return [StudyDirection[goal.direction.upper()] for goal in settings.goals]


class _Unlocked(JournalFileOpenLock):
    """No lock: the run's own keeps every other process out."""

    def acquire(self) -> bool:
        return True

    def release(self) -> None:
        pass


class _JournalFile(JournalFileBackend):
    """Optuna's file, without a lock of its own, and without waiting for the disk at every line.

    A line that a power failure takes away is proposed again; results do wait: see `Journal.set_result`.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(str(path), lock_obj=_Unlocked(str(path)))

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        lines = "".join(json.dumps(log, separators=(",", ":")) + "\n" for log in logs)
        with Path(self._file_path).open("ab") as file:
            file.write(lines.encode())


def _check_lines(file: Path) -> int:
    """How many bytes of the journal are whole lines. Raises UserError for a line that is not JSON, or is too long."""
    data = read_bytes(file, MOST_BYTES, "JSON lines")
    whole = data.rfind(b"\n") + 1
    start, lines = 0, data.count(b"\n")
    if lines > MOST_LINES:
        raise UserError(f"{file} is broken: it must have at most {MOST_LINES:,} lines; got {lines:,}")
    for number in range(1, lines + 1):
        end = data.find(b"\n", start)
        where = f"{file} is broken: line {number}"
        if end - start > LONGEST:
            raise UserError(f"{where} must have at most {LONGEST:,} characters")
        try:
            entry = json.loads(data[start:end])
        except (ValueError, RecursionError) as error:
            raise UserError(f"{where} must be JSON: {_first_line(error)}") from None
        if not isinstance(entry, dict) or "op_code" not in entry:
            raise UserError(f"{where} must be one of Optuna's operations, with an op_code")
        start = end + 1
    return whole


def _database(storage: Storage) -> BaseStorage:
    """Any storage that Optuna has a URL for. Raises UserError when it cannot be reached, or its driver is missing."""
    try:
        return optuna.storages.get_storage(storage.url)
    except ImportError as error:
        raise UserError(
            f"storage {storage.public} needs a driver that is not installed: {_reason(error, storage)}"
        ) from None
    except Exception as error:  # SQLAlchemy's and each driver's own
        raise UserError(f"storage {storage.public} cannot be used: {_reason(error, storage)}") from None


def _reason(error: Exception, storage: Storage) -> str:
    reason = _first_line(error)
    return reason if storage.hides(reason) else f"{type(error).__name__}, whose text is not shown: it holds a secret"


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]
