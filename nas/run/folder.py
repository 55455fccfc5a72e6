"""The run folder: what a search writes and what everything after it reads.

run.toml         all that is needed to repeat the run        journal.log   Optuna's journal, the truth about trials
trials.csv       every trial                                 curves.jsonl  a training curve, or what went wrong, a line
measured.csv     networks of the front that were measured    report.html   what a team picks from
pareto.csv/json  the front                                   references.csv  known networks on the same device
pictures.json    of detectors: what those of the front find in some validation pictures
models/N/        the trained model of trial N (nas.models.trained), for the front and those that may belong on it

A network that was trained again with other seeds is one trial: its expected accuracy and its number of trainings are in
trials.csv, what each of them gave is in the journal alone. run.toml is written first, so a folder that holds it can be
resumed; all else is made again from the journal.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from nas.errors import UserError, require
from nas.files.atomic import write_atomic
from nas.files.json import read_json
from nas.files.toml import first_problem
from nas.run.front import front_volume, pareto_trials
from nas.run.measured import MeasuredCosts, read_measured
from nas.run.pictures import Pictures, read_pictures
from nas.run.rank_quality import RankQuality
from nas.run.settings import Settings, read_settings
from nas.run.tables import MOST_SUMMARY, by_cost, columns_for
from nas.run.ties import distinct
from nas.run.trial import COST_COLUMNS, Reference, Trial, csv_bytes, read_trials, row_of

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, repr=False)
class Run:
    """A run folder as it was read."""

    path: Path
    settings: Settings
    trials: tuple[Trial, ...]

    def __repr__(self) -> str:
        return f"Run({str(self.path)!r}: {len(self.trials)} trials, {len(self.front_trials)} on the front)"

    @cached_property
    def front_trials(self) -> tuple[Trial, ...]:
        """The trials on the Pareto front that can be told from every no-dearer one of them (`nas.run.ties.distinct`),
        by the first objective that is a cost."""
        return distinct(self._undominated, self.settings)

    @cached_property
    def left_off(self) -> tuple[Trial, ...]:
        """The trials that no other beats, yet are not on the front: they cannot be told from a no-dearer one of it."""
        on = {t.trial for t in self.front_trials}
        return tuple(t for t in self._undominated if t.trial not in on)

    @cached_property
    def _undominated(self) -> tuple[Trial, ...]:
        return by_cost(pareto_trials(self.trials, self.settings), self.settings)

    @property
    def front(self) -> pd.DataFrame:
        """The Pareto front, a row a trial: the columns of trials.csv, then one for each choice of the search space."""
        return _frame(self.front_trials, columns_for(self.settings))

    @property
    def trials_frame(self) -> pd.DataFrame:
        """Every trial, with the columns of `front`."""
        return _frame(self.trials, columns_for(self.settings))

    @cached_property
    def measured(self) -> Mapping[int, MeasuredCosts]:
        """Networks that were measured whole, by trial."""
        return read_measured(self.path)

    def as_measured(self, trials: Sequence[Trial]) -> list[Trial]:
        """The trials with what was measured of them, where anything was, in the place of what was predicted."""
        return [_with(t, self.measured[t.trial]) if t.trial in self.measured else t for t in trials]

    @cached_property
    def proposals(self) -> Mapping[str, int]:
        """How many candidates the sampler proposed that were to be trained, infeasible, or known already.

        Empty where the search did not say.
        """
        return _proposals(self.path / "pareto.json")

    @cached_property
    def rank_quality(self) -> RankQuality | None:
        """What is known of how well the run's accuracies rank its networks; None where nothing is.

        Raises UserError for what no search would have written.
        """
        return _rank_quality(self.path / "pareto.json")

    @cached_property
    def pictures(self) -> Pictures | None:
        """What detectors of the front find in some validation pictures; None where nothing was kept."""
        return read_pictures(self.path)

    @property
    def hypervolume(self) -> float:
        """The share of the objectives' box that the front dominates, with those that were `left_off`, from 0 to 1."""
        return front_volume(self.trials, self.settings)

    def trial(self, number: int) -> Trial:
        """The trial with that number. Raises UserError where there is none."""
        for trial in self.trials:
            if trial.trial == number:
                return trial
        numbers = [trial.trial for trial in self.trials]
        has = f"its trials are {min(numbers)} to {max(numbers)}" if numbers else "it has none yet"
        raise UserError(f"{self.path} has no trial {number}; {has}")

    def model(self, trial: int) -> Path:
        """The folder of a trial's trained model; trials on the front have one, and those that may belong on it."""
        return model_folder(self.path, trial)


def _with(trial: Trial, measured: MeasuredCosts) -> Trial:
    ms, mj = measured.latency_ms, measured.energy_mj
    costs = replace(trial.costs, latency_ms=ms, latency_low_ms=None, latency_high_ms=None, latency_basis="measured")
    if mj is not None:
        costs = replace(costs, energy_mj=mj, energy_low_mj=None, energy_high_mj=None, energy_basis="measured")
    return replace(trial, costs=costs)


def model_folder(path: Path, trial: int) -> Path:
    """Where a trial's trained model is kept."""
    return path / "models" / str(trial)


def trained_folder(path: Path, trial: int) -> Path:
    """Where a trial is trained in full, where nothing else is asked for."""
    return path / "trained" / str(trial)


def check_free(path: Path) -> None:
    """Raises UserError when the folder holds a run, or anything but what a search that never began left."""
    if (path / "run.toml").exists():
        raise UserError(f"{path} holds a run already; go on with it with --resume, or choose another folder with --out")
    if path.exists() and (not path.is_dir() or any(not p.name.startswith(".") for p in path.iterdir())):
        raise UserError(f"{path} exists and is not a run folder; choose another folder with --out")


def write_references(path: Path, references: Iterable[Reference]) -> None:
    """Writes references.csv. Raises UserError when the disk is full."""
    rows = ({"name": r.name, "precision": r.precision} | asdict(r.costs) for r in references)
    write_atomic(path / "references.csv", csv_bytes(("name", "precision", *COST_COLUMNS), rows))


def load_run(path: str | Path) -> Run:
    """Reads a run folder, also one whose search is running.

    Raises UserError, naming file and line, for anything that a search would not have written.

        nas.load_run("runs/tiny-raspberry-pi-4-1").front
    """
    require("a run", path, (str, Path), "a folder")
    path = Path(path)
    settings = read_settings(path)
    return Run(path, settings, tuple(sorted(read_trials(path / "trials.csv"), key=lambda t: t.trial)))


def _proposals(file: Path) -> dict[str, int]:
    counts = _summary(file).get("proposals", {})
    if not isinstance(counts, dict) or not all(isinstance(n, int) and 0 <= n < 10**9 for n in counts.values()):
        raise UserError(f"{file}: proposals must be counts by kind, as nas search wrote them; --resume writes it anew")
    return counts


def _rank_quality(file: Path) -> RankQuality | None:
    found = _summary(file).get("rank_quality")
    try:
        return None if found is None else RankQuality.model_validate(found)
    except ValidationError as error:
        problem = first_problem(error).removeprefix("the file: ")
        raise UserError(f"{file}: rank_quality: {problem}; --resume writes it anew") from None


def _summary(file: Path) -> dict[str, Any]:
    """What pareto.json holds; nothing where it is not there."""
    summary = read_json(file, MOST_SUMMARY) if file.exists() else {}
    if not isinstance(summary, dict):
        raise UserError(f"{file}: must be an object, as nas search wrote it; --resume writes it anew")
    return summary


def _frame(trials: Sequence[Trial], columns: Sequence[str]) -> pd.DataFrame:
    import pandas as pd

    choices = dict.fromkeys(name for t in trials for name, _ in t.candidate.values if name not in columns)
    rows = [row_of(t) | {name: v for name, v in t.candidate.values if name not in columns} for t in trials]
    return pd.DataFrame(rows, columns=[*columns, *choices])
