"""Optuna's journal of a run, in its folder or a database: the truth about trials, whatever happens to the process."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import optuna
from optuna.exceptions import ExperimentalWarning, StorageInternalError
from optuna.storages import BaseStorage, JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from nas.errors import UserError
from nas.run import Costs, Settings, State, Trial
from nas.search.samplers.pareto.sampler import EXPECTED
from nas.space.candidate import Candidate

if TYPE_CHECKING:
    from sqlalchemy.engine import URL

STUDY = "nas"
Kind = Literal["train", "duplicate", "infeasible"]


class Journal:
    """What was proposed and what came of it, in order. One process writes at a time: the run's lock sees to that.

    A proposal is one line with everything in it, written before any training; a result is a second one. So a process
    may die anywhere: a proposal is either there whole or not at all, and one without a result is trained again.
    """

    def __init__(self, folder: Path, settings: Settings) -> None:
        """Opens or makes the journal: journal.log in the run's folder, or a study of its own in `settings.storage`.

        Raises UserError when it is broken, cannot be reached, or lacks the trials that the folder has.
        """
        self.file, name = shown(settings.storage) or str(folder / "journal.log"), settings.study or STUDY
        table = folder / "trials.csv"
        ended = max(0, len(table.read_bytes().splitlines()) - 1) if table.exists() else 0
        lost = f"{self.file} does not hold the trials of {folder}, of which trials.csv has {ended}"
        self.storage: BaseStorage
        with self._file():
            if settings.storage:
                self.storage = _database(settings.storage)
            else:
                if ended and not (folder / "journal.log").exists():
                    raise UserError(lost)
                _mend(folder / "journal.log")
                self.storage = JournalStorage(JournalFileBackend(self.file))
            try:
                self.study = self.storage.get_study_id_from_name(name)
            except KeyError:
                if ended:
                    raise UserError(lost) from None
                self.study = self.storage.create_new_study(directions(settings), name)
                study = optuna.load_study(study_name=name, storage=self.storage)
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore", ExperimentalWarning)
                    study.set_metric_names(list(settings.objectives))  # as Optuna's dashboard shows them

    def trials(self) -> list[FrozenTrial]:
        with self._file():
            return self.storage.get_all_trials(self.study, deepcopy=False)

    def add(
        self, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None, kept: Mapping[str, Any]
    ) -> None:
        """Writes a proposal of the sampler, with its state; RUNNING before it is trained."""
        template = optuna.trial.create_trial(
            state=state, values=values, params=trial.params, distributions=trial.distributions,
            system_attrs=trial.system_attrs, user_attrs=dict(kept),
        )  # fmt: skip
        with self._file():
            self.storage.create_new_trial(self.study, template)

    def set_result(self, number: int, result: Mapping[str, Any]) -> None:
        """Writes what training gave for the proposal with this number."""
        with self._file():
            identity = self.storage.get_trial_id_from_study_id_trial_number(self.study, number)
            self.storage.set_trial_user_attr(identity, "result", dict(result))

    def end(
        self, number: int, state: TrialState, values: Sequence[float] | None, expected: Sequence[float] | None = None
    ) -> None:
        """Writes that the proposal with this number is done; `expected` are the objectives of one that was stopped."""
        with self._file():
            identity = self.storage.get_trial_id_from_study_id_trial_number(self.study, number)
            if expected is not None:
                self.storage.set_trial_user_attr(identity, EXPECTED, list(expected))
            self.storage.set_trial_state_values(identity, state, values)

    def test_accuracies(self) -> dict[int, float]:
        """Accuracy on the test split, by the number of the trained trial."""
        with self._file():
            found = self.storage.get_study_user_attrs(self.study)
        return {int(number): accuracy for number, accuracy in found.items() if number.isdecimal()}

    def set_test_accuracy(self, trial: int, accuracy: float) -> None:
        with self._file():
            self.storage.set_study_user_attr(self.study, str(trial), accuracy)

    @contextmanager
    def _file(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise UserError(f"cannot write {self.file}: {error.strerror}; the run can be resumed") from None
        except StorageInternalError as error:
            raise UserError(f"cannot use {self.file}: {_first_line(error)}; the run can be resumed") from None
        except (ValueError, KeyError) as error:
            raise UserError(f"{self.file} is broken: {error}") from None


def directions(settings: Settings) -> list[StudyDirection]:
    return [StudyDirection[goal.direction.upper()] for goal in settings.goals]


def attributes(kind: Kind, candidate: Candidate, costs: Costs, number: int, seed: int) -> dict[str, Any]:
    """What the journal keeps of a proposal; `number` is that of the trained trial, without gaps."""
    return {
        "kind": kind, "candidate": candidate.as_dict(), "costs": asdict(costs), "trial": number, "seed": seed,
    }  # fmt: skip


def trial_of(frozen: FrozenTrial, test_accuracy: float | None = None) -> Trial | None:
    """The trained trial that the journal holds; None for any other proposal and for one without a result."""
    kept = frozen.user_attrs
    if kept["kind"] != "train" or "result" not in kept:
        return None
    result, costs = kept["result"], Costs(**kept["costs"])
    state: State = "stopped" if result.get("stopped") else "failed" if result["accuracy"] is None else "trained"
    candidate = Candidate.of(kept["candidate"])
    return Trial(
        kept["trial"], state, result["accuracy"], test_accuracy, costs, result["seconds"], kept["seed"], candidate
    )


def _database(url: str) -> BaseStorage:
    """Any storage that Optuna has a URL for. Raises UserError when it cannot be reached, or its driver is missing."""
    try:
        return optuna.storages.get_storage(url)
    except ImportError as error:
        raise UserError(f"storage {shown(url)} needs a driver that is not installed: {error}") from None
    except Exception as error:  # SQLAlchemy's and each driver's own
        reason = _first_line(error).replace(url, shown(url))
        raise UserError(f"storage {shown(url)} cannot be used: {reason}") from None


def shown(url: str) -> str:
    """A storage's URL without its password."""
    parsed = _parsed(url)
    return parsed.render_as_string(hide_password=True) if parsed is not None and parsed.password else url


def lasting(url: str) -> str:
    """A storage's URL that means the same from any folder: SQLite's files may be given relative to this one."""
    parsed = _parsed(url)
    if parsed is None or not parsed.drivername.startswith("sqlite") or parsed.database in (None, "", ":memory:"):
        return url
    return parsed.set(database=str(Path(parsed.database).absolute())).render_as_string(hide_password=False)


def _parsed(url: str) -> URL | None:
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        return make_url(url) if url else None
    except (ArgumentError, ValueError):
        return None


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]


def _mend(file: Path) -> None:
    """Drops what a dying process left: half a last line, and Optuna's lock, which the run's own lock makes idle."""
    if file.exists():
        with file.open("r+b") as opened:
            opened.truncate(file.read_bytes().rfind(b"\n") + 1)
    for left in file.parent.glob(f"{file.name}.lock*"):
        left.unlink(missing_ok=True)
