"""The trials whose weights a running search keeps: those on the front, and those that may turn out to belong there."""

from __future__ import annotations

import math
from collections.abc import Iterable

from nas.run import Front, Settings, Trial

MARGIN = 3.0  # standard deviations of the difference of two measured accuracies
GUIDED_MARGIN = 6.0  # where a guide may prefer any network that is not clearly less accurate
MOST = 64  # rivals beside the front, those that are least behind


class Contenders:
    """Trials that are not further behind the front than noise may explain; exact accuracies have no such rivals."""

    def __init__(self, settings: Settings) -> None:
        self.images = settings.validation_images
        self.margin = GUIDED_MARGIN if settings.guide else MARGIN
        self._rivals: dict[int, Trial] = {}

    def may_reach(self, trial: Trial, front: Front) -> bool:
        """Whether a trial is on the front, or may be when its accuracy is known better."""
        return front.behind(trial) < self._margin(trial) or not front.beaten(trial)

    def update(self, trials: Iterable[Trial], front: Front) -> frozenset[int]:
        """Takes new trials in, and forgets those that are too far behind by now; returns which these are."""
        known = self._rivals | {trial.trial: trial for trial in trials}
        near = sorted((t for t in known.values() if self.may_reach(t, front)), key=lambda t: (front.behind(t), t.trial))
        on_front = {t.trial for t in front.trials}
        rivals = [t for t in near if t.trial not in on_front][:MOST]
        self._rivals = {t.trial: t for t in (*front.trials, *rivals)}
        return frozenset(known.keys() - self._rivals.keys())

    @property
    def numbers(self) -> frozenset[int]:
        """Their trials."""
        return frozenset(self._rivals)

    def _margin(self, trial: Trial) -> float:
        """Of the binomial distribution, which no accuracy makes narrower than one of a single wrong image does."""
        if not self.images or trial.accuracy is None:
            return 0.0
        wrong = min(max(1 - trial.accuracy, 1 / self.images), 0.5)
        return self.margin * math.sqrt(2 * wrong * (1 - wrong) / self.images)
