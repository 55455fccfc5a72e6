"""The Pareto front of a run's trials, what is reported of it, and the share of the objectives' box it dominates."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from nas.pareto import Array, hypervolume
from nas.run.objectives import ACCURACY, Objective
from nas.run.settings import Settings
from nas.run.ties import distinct
from nas.run.trial import Trial


def points(trials: Sequence[Trial], settings: Settings) -> Array:
    """Objectives (n, m), all minimised: accuracy as error, costs as shares of the run's reference point.

    The accuracy is the expected one where it is known, else the measured one.
    """
    columns = [
        [goal.minimized(_best_known(t, goal), settings.reference_point.get(goal.column, 1.0)) for t in trials]
        for goal in settings.goals
    ]
    return np.array(columns, dtype=np.float64).T.reshape(len(trials), len(settings.columns))


def _best_known(trial: Trial, goal: Objective) -> float:
    expected = trial.value(goal.expected) if goal.expected else math.nan
    return trial.value(goal.column) if math.isnan(expected) else expected


class Front:
    """The trained trials that no other beats, kept while trials are added one at a time.

    To add one costs as much as the front is long, however many trials there were.
    """

    def __init__(self, settings: Settings, trials: Iterable[Trial] = ()) -> None:
        self.settings = settings
        self._trials: list[Trial] = []
        self._points: Array = np.empty((0, len(settings.columns)))
        # the hypervolume of `trials`: the share of the box from accuracy 1 at no cost to 0 at the reference
        self.volume = 0.0
        for trial in trials:
            self.add(trial)

    def __len__(self) -> int:
        return len(self._trials)

    @property
    def trials(self) -> tuple[Trial, ...]:
        """In the order of their numbers."""
        return tuple(sorted(self._trials, key=lambda t: t.trial))

    @property
    def distinct(self) -> tuple[Trial, ...]:
        """Those that are reported as the front: the others cannot be told from a no-dearer one (`nas.run.ties`)."""
        return distinct(self.trials, self.settings)

    def beaten(self, trial: Trial) -> bool:
        """Whether the trial has no place on the front; of equal ones the one with the lowest number has it."""
        point = points([trial], self.settings)[0]
        if trial.state != "trained" or np.isnan(point).any():
            return True
        no_worse = (self._points <= point).all(axis=1)
        equal = (self._points == point).all(axis=1)
        earlier = [t.trial < trial.trial for t in self._trials]
        return bool((no_worse & (~equal | np.array(earlier, dtype=bool))).any())

    def behind(self, trial: Trial) -> float:
        """By how much a trial's accuracy is lower than that of one on the front that is no worse in all else.

        0: no such trial is better. Infinite for a trial that was not trained, and where accuracy is no objective, for
        one that has no place on the front.
        """
        point = points([trial], self.settings)[0]
        if trial.state != "trained" or np.isnan(point).any():
            return math.inf
        if ACCURACY not in self.settings.goals:
            return math.inf if self.beaten(trial) else 0.0
        place = self.settings.goals.index(ACCURACY)
        others = [j for j in range(len(point)) if j != place]
        rivals = self._points[(self._points[:, others] <= point[others]).all(axis=1), place]
        return max(0.0, float(point[place] - rivals.min())) if len(rivals) else 0.0

    def add(self, trial: Trial) -> bool:
        """Takes a trial in; returns whether the front has changed.

        What it adds to the volume is the box that it dominates, less what of that box the front dominated before.
        """
        if self.beaten(trial):
            return False
        point = points([trial], self.settings)
        corner = np.ones(point.shape[1])
        before = hypervolume(np.maximum(self._points, point), corner)
        self.volume += max(0.0, hypervolume(point, corner) - before)
        stays: NDArray[np.bool_] = np.any(self._points < point, axis=1)
        self._trials = [t for t, on in zip(self._trials, stays, strict=True) if on] + [trial]
        self._points = np.concatenate([self._points[stays], point])
        return True


def pareto_trials(trials: Iterable[Trial], settings: Settings) -> tuple[Trial, ...]:
    """The trained trials that no other beats, in the order of their numbers."""
    return Front(settings, trials).trials


def front_volume(trials: Iterable[Trial], settings: Settings) -> float:
    """The hypervolume of `pareto_trials`, as of `Front.volume`: also networks that cannot be told apart count."""
    return Front(settings, trials).volume


def volume_over_trials(trials: Iterable[Trial], settings: Settings) -> list[tuple[int, float, float]]:
    """After each trial: its number, the seconds of training so far, summed, and the front's hypervolume."""
    found: list[tuple[int, float, float]] = []
    front, seconds = Front(settings), 0.0
    for t in sorted(trials, key=lambda t: t.trial):
        seconds += t.seconds
        front.add(t)
        found.append((t.trial, seconds, front.volume))
    return found
