"""What a search believes of the networks that it trained, and which of them it should train again."""

from __future__ import annotations

from collections.abc import Set
from dataclasses import replace
from statistics import fmean

import numpy as np

from nas.estimate.membership import front_probability
from nas.estimate.promise import Promise
from nas.estimate.rank_quality import rank_quality
from nas.estimate.structure import Structure
from nas.estimate.uncertainty import Beliefs, believe
from nas.pareto import Array
from nas.run import ACCURACY, RankQuality, Settings, Trial, pareto_trials, points
from nas.search.trainings import Trainings
from nas.space.search_space import SearchSpace

DRAWS = 512  # of all accuracies at once, from which probabilities are counted
UNSURE = 0.01  # a network that is on the front, or not, with this probability or less is not trained again for that
DIGITS = 6  # of what is believed, as trials.csv has it: a front that is read is the one that was written


class Confirmation:
    """Beliefs of a run's trained networks, made anew when there were more trainings.

    It decides from the trainings alone, never from the clock, so a search that goes on comes to the same.
    """

    def __init__(
        self, space: SearchSpace, settings: Settings, trainings: Trainings, promise: Promise | None = None
    ) -> None:  # fmt: skip
        self.settings, self.trainings, self.promise = settings, trainings, promise
        self.on = bool(settings.validation_images) and ACCURACY in settings.goals  # else measured accuracies are exact
        self.trials: list[Trial] = []  # the trained ones, as they are believed
        self._believed: tuple[list[list[float]], Beliefs] | None = None  # of accuracies
        self._gain: Array = np.empty(0)  # what another training would take from each one's standard deviation
        self._structure = Structure(space, settings.classes)
        self._features: dict[int, Array] = {}
        self._seen = -1  # trainings that the beliefs are of

    def update(self) -> bool:
        """Makes the beliefs anew; returns whether they have changed."""
        if not self.on or self._seen == len(self.trainings):
            return False
        self._seen, self._believed = len(self.trainings), None
        trained = [t for t in self.trainings if t.state == "trained"]
        if not trained:
            return False
        accuracies = [self.trainings.accuracies(t.trial) for t in trained]
        found = believe(accuracies, self._features_of(trained), self.settings.validation_images)
        self._believed = accuracies, found
        others = [j for j, goal in enumerate(self.settings.goals) if goal != ACCURACY]
        draws = found.draw(DRAWS, np.random.default_rng([self.settings.seed, self._seen]))
        chances = front_probability(draws, points(trained, self.settings)[:, others], found.mean, found.deviation)
        self.trials = [
            replace(
                t, expected_accuracy=round(float(mean), DIGITS), accuracy_deviation=round(float(deviation), DIGITS),
                front_probability=round(float(chance), DIGITS),
            )
            for t, mean, deviation, chance in zip(trained, found.mean, found.deviation, chances, strict=True)
        ]  # fmt: skip
        self._tell_promise([fmean(a) for a in accuracies])
        self._gain = found.deviation * (1 - found.noise / np.hypot(found.deviation, found.noise))
        return True

    def rank_quality(self) -> RankQuality | None:
        """What the beliefs tell of how well accuracies rank the networks; None where they tell nothing."""
        if self._believed is None:
            return None
        return rank_quality(*self._believed, self.settings.validation_images, seed=self.settings.seed)

    def next(self, left: int, seconds: float, busy: Set[int]) -> Trial | None:
        """The trial to train again; None: there is none.

        Of so many that may still be trained, in so many seconds, and none of those that are being trained. The one for
        which it is least certain whether it belongs on the front, and of which another training tells most; but those
        of the front that were trained once come first when there are no more trainings left than there are of them.
        """
        if left <= 0:
            return None
        fits = np.array([t.trial not in busy and t.seconds / t.trainings <= seconds for t in self.trials], dtype=bool)
        chance = np.array([t.front_probability or 0.0 for t in self.trials])
        unsure = chance * (1 - chance)
        score = np.where(fits, np.where(unsure > UNSURE * (1 - UNSURE), unsure * self._gain, 0.0), -1.0)
        front = {t.trial for t in pareto_trials(self.trials, self.settings)}
        once = np.array([t.trial in front and t.trainings == 1 for t in self.trials], dtype=bool) & fits
        if once.any() and (once.sum() >= left or score.max() <= 0):
            score = np.where(once, score + self._gain * UNSURE**2, -1.0)
        return self.trials[int(score.argmax())] if len(score) and score.max() > 0 else None

    def _tell_promise(self, accuracies: list[float]) -> None:
        """Gives the trials what the guide and all trainings promise of each; nothing where there is no guide."""
        if self.promise is None:
            return
        codes = np.array([self._structure.space.encode(t.candidate) for t in self.trials])
        told = self.promise.of_trained(codes, accuracies)
        if told is not None:
            self.trials = [replace(t, promise=round(float(x), DIGITS)) for t, x in zip(self.trials, told, strict=True)]

    def _features_of(self, trials: list[Trial]) -> Array:
        new = [t for t in trials if t.trial not in self._features]
        if new:
            rows = self._structure.of_candidates([t.candidate for t in new])
            self._features |= {t.trial: row for t, row in zip(new, rows, strict=True)}
        return np.array([self._features[t.trial] for t in trials])
