"""The run folder: what a search writes and what everything after it reads.

run.toml         all that is needed to repeat the run        journal.log   Optuna's journal, the truth about trials
trials.csv       every trial                                 curves.jsonl  a training curve, or what went wrong, a line
measured.csv     networks of the front that were measured    report.html   what a team picks from
pareto.csv/json  the front                                   references.csv  known networks on the same device
models/N/        the trained model of trial N (nas.models.trained), for the trials on the front
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from nas.errors import UserError
from nas.files.atomic import write_atomic
from nas.pareto import Array, hypervolume, non_dominated
from nas.run.measured import MeasuredCosts, read_measured
from nas.run.settings import FORMAT, Settings, read_settings
from nas.run.trial import COLUMNS, COST_COLUMNS, Reference, Trial, csv_bytes, read_trials, row_of

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Run:
    """A run folder as it was read."""

    path: Path
    settings: Settings
    trials: tuple[Trial, ...]

    @cached_property
    def front_trials(self) -> tuple[Trial, ...]:
        """The trials on the Pareto front, by the first objective that is a cost."""
        by = self.settings.first_cost
        return tuple(sorted(pareto_trials(self.trials, self.settings), key=lambda t: (t.value(by), t.trial)))

    @property
    def front(self) -> pd.DataFrame:
        """The Pareto front, a row a trial, with the columns of trials.csv."""
        return _frame(self.front_trials)

    @property
    def trials_frame(self) -> pd.DataFrame:
        """Every trial, with the columns of trials.csv."""
        return _frame(self.trials)

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

    @property
    def hypervolume(self) -> float:
        return front_volume(self.trials, self.settings)

    def model(self, trial: int) -> Path:
        """The folder of a trial's trained model; only trials on the front have one."""
        return model_folder(self.path, trial)


def _with(trial: Trial, measured: MeasuredCosts) -> Trial:
    ms, mj = measured.latency_ms, measured.energy_mj
    costs = replace(trial.costs, latency_ms=ms, latency_low_ms=None, latency_high_ms=None, latency_basis="measured")
    if mj is not None:
        costs = replace(costs, energy_mj=mj, energy_low_mj=None, energy_high_mj=None, energy_basis="measured")
    return replace(trial, costs=costs)


def model_folder(path: Path, trial: int) -> Path:
    return path / "models" / str(trial)


def points(trials: Sequence[Trial], settings: Settings) -> Array:
    """Objectives (n, m), all minimised: accuracy as error, costs as shares of the run's reference point."""
    columns = [
        [goal.minimized(t.value(goal.column), settings.reference_point.get(goal.column, 1.0)) for t in trials]
        for goal in settings.goals
    ]
    return np.array(columns, dtype=np.float64).T.reshape(len(trials), len(settings.columns))


def pareto_trials(trials: Sequence[Trial], settings: Settings) -> tuple[Trial, ...]:
    """The trained trials that no other beats, in the order of their numbers."""
    trained = [t for t in trials if t.state == "trained"]
    return tuple(t for t, on in zip(trained, non_dominated(points(trained, settings)), strict=True) if on)


def front_volume(trials: Sequence[Trial], settings: Settings) -> float:
    """The front's hypervolume: its share of the box from accuracy 1 at no cost to accuracy 0 at the reference point."""
    front = pareto_trials(trials, settings)
    return hypervolume(points(front, settings), np.ones(len(settings.columns)))


def volume_over_trials(trials: Sequence[Trial], settings: Settings) -> list[tuple[int, float, float]]:
    """After each trial: its number, the seconds of training so far, summed, and the front's hypervolume.

    What a trial adds is the box that it dominates, less what of that box the front dominated before.
    """
    ordered = sorted(trials, key=lambda t: t.trial)
    corner = np.ones(len(settings.columns))
    found: list[tuple[int, float, float]] = []
    front, seconds, volume = np.empty((0, len(corner))), 0.0, 0.0
    for t, point in zip(ordered, points(ordered, settings), strict=True):
        seconds += t.seconds
        if t.state == "trained" and not np.isnan(point).any() and not (front <= point).all(axis=1).any():
            before = hypervolume(np.maximum(front, point), corner)
            volume += max(0.0, hypervolume(point[None], corner) - before)
            front = np.vstack([front[~(point <= front).all(axis=1)], point])
        found.append((t.trial, seconds, volume))
    return found


def check_free(path: Path) -> None:
    """Raises UserError when the folder holds anything but what a search that never began left."""
    if (path / "run.toml").is_file():
        raise UserError(f"{path} holds a run already; go on with it by --resume, or choose another folder by --out")
    if path.exists() and (not path.is_dir() or any(not p.name.startswith(".") for p in path.iterdir())):
        raise UserError(f"{path} exists and is no run folder; choose another folder by --out")


def write_trials(
    path: Path, settings: Settings, trials: Sequence[Trial], proposals: Mapping[str, int] = MappingProxyType({})
) -> None:
    """trials.csv, pareto.csv and pareto.json, each replaced at once; `proposals` as in `Run.proposals`."""
    run = Run(path, settings, tuple(trials))
    write_atomic(path / "trials.csv", csv_bytes(COLUMNS, map(row_of, trials)))
    write_atomic(path / "pareto.csv", csv_bytes(COLUMNS, map(row_of, run.front_trials)))
    summary = {
        "format": FORMAT, "space": settings.space, "device": settings.device, "dataset": settings.dataset,
        "objectives": list(settings.objectives), "budgets": dict(settings.budgets), "trials": len(trials),
        "proposals": dict(proposals),
        "hypervolume": run.hypervolume, "reference_point": dict(settings.reference_point),
        "front": [row_of(t) | {"candidate": t.candidate.as_dict()} for t in run.front_trials],
    }  # fmt: skip
    write_atomic(path / "pareto.json", (json.dumps(summary, indent=1) + "\n").encode())


def _proposals(file: Path) -> dict[str, int]:
    try:
        found = json.loads(file.read_bytes()).get("proposals", {}) if file.exists() else {}
        return {str(kind): int(count) for kind, count in found.items()}
    except (OSError, ValueError, TypeError, AttributeError, RecursionError, OverflowError):
        raise UserError(f"{file} must be a run's summary; without it, nas report writes a new one") from None


def write_references(path: Path, references: Iterable[Reference]) -> None:
    rows = ({"name": r.name, "precision": r.precision} | asdict(r.costs) for r in references)
    write_atomic(path / "references.csv", csv_bytes(("name", "precision", *COST_COLUMNS), rows))


def load_run(path: str | Path) -> Run:
    """Reads a run folder. Raises UserError, naming file and line, for anything that a search would not have written."""
    path = Path(path)
    settings = read_settings(path)
    return Run(path, settings, tuple(read_trials(path / "trials.csv")))


def write_curves(
    path: Path, curves: Mapping[int, Sequence[Mapping[str, float]]], errors: Mapping[int, str] = MappingProxyType({})
) -> None:
    """Each trial's training curve; `errors`: what went wrong with those that failed."""
    lines = (
        json.dumps({"trial": trial, "curve": curve} | ({"error": errors[trial]} if trial in errors else {})) + "\n"
        for trial, curve in sorted(curves.items())
    )
    write_atomic(path / "curves.jsonl", "".join(lines).encode())


def read_curves(path: Path) -> dict[int, list[dict[str, float]]]:
    """Each trial's training curve: a dictionary an epoch. Raises UserError naming the line that is none."""
    return {trial: entry["curve"] for trial, entry in _curve_lines(path)}


def read_errors(path: Path) -> dict[int, str]:
    """What went wrong, by trial, with those that failed."""
    return {trial: str(entry["error"]) for trial, entry in _curve_lines(path) if "error" in entry}


def _curve_lines(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    file = path / "curves.jsonl"
    try:
        lines = file.read_text("utf-8").splitlines() if file.exists() else []
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"cannot read {file}: {error}") from None
    for number, line in enumerate(lines, 1):
        try:
            entry = json.loads(line)
            epochs = [{str(k): float("nan") if v is None else float(v) for k, v in e.items()} for e in entry["curve"]]
            yield int(entry["trial"]), entry | {"curve": epochs}
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError, OverflowError):
            raise UserError(f"{file} line {number}: must be a trial's training curve, as the search wrote it") from None


def _frame(trials: Sequence[Trial]) -> pd.DataFrame:
    import pandas as pd

    return pd.DataFrame([row_of(t) for t in trials], columns=list(COLUMNS))
