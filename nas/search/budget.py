"""What a search may spend: trials and time, of both a share for training networks again with other seeds."""

from __future__ import annotations

import math
import time

from nas.run import ACCURACY, Settings


def confirm_share(settings: Settings) -> float:
    """The share of a search's budget that confirms its front; 0 where accuracies are exact or no objective."""
    return settings.confirm if settings.validation_images and ACCURACY in settings.goals else 0.0


class Budget:
    """The time of this process and of those before it, and the trainings that it was spent on."""

    def __init__(self, settings: Settings) -> None:
        self.limit_s = 60 * settings.max_minutes or math.inf
        self.share = confirm_share(settings)
        self.replicates = round(self.share * settings.trials)  # that may be trained
        self.begun = time.monotonic()
        self.trainings, self.trained_s = 0, 0.0
        self._before = 0.0  # seconds that processes before this one trained

    def add(self, seconds: float) -> None:
        """One more training ended."""
        self.trainings, self.trained_s = self.trainings + 1, self.trained_s + seconds

    def resume(self) -> None:
        """What was added until now was trained by processes before this one."""
        self._before = self.trained_s

    @property
    def typical(self) -> float | None:
        """Seconds of a training: the mean so far."""
        return self.trained_s / self.trainings if self.trainings else None

    @property
    def seconds(self) -> float:
        """Since this process began."""
        return time.monotonic() - self.begun

    @property
    def left(self) -> float:
        """Seconds until the limit."""
        return self.limit_s - self._before - self.seconds

    @property
    def search_left(self) -> float:
        """Seconds until the front is to be confirmed."""
        return self.left - (self.share * self.limit_s if self.limit_s < math.inf else 0.0)

    def search_is_over(self) -> bool:
        """Whether another trial would end after that, as trainings went so far."""
        return self.search_left < (self.typical or 0.0)
