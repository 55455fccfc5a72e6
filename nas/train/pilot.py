"""How long a training will take on this machine, before it begins: a few of its steps are timed."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from time import perf_counter

from nas.numbers import duration
from nas.train.crew import ALONE, Crew
from nas.train.training import Lesson, Training, train_on

TIMED_STEPS = 4  # of which the first warms up
LONG_ENOUGH = 10.0  # seconds after which fewer steps do
EVALUATION = 1 / 3  # of what training with an image takes: looking at it


@dataclass(frozen=True, slots=True)
class TrainingPlan:
    """What a training, or what is left of one, will take."""

    epochs: int
    wanted: int  # epochs without a limit of time
    seconds: float

    @property
    def text(self) -> str:
        if self.epochs >= self.wanted:
            return f"{self.epochs} epoch{'s' * (self.epochs > 1)}, about {duration(self.seconds)}"
        whole = duration(self.seconds * self.wanted / self.epochs)
        return (
            f"{self.epochs} of {self.wanted} epochs fit, about {duration(self.seconds)}; all would take about {whole} "
            f"(--epochs {self.wanted})"
        )


@dataclass(frozen=True, slots=True)
class Pace:
    """Seconds of an epoch with the look at the validation images after it, and of looking at one image."""

    epoch: float
    image: float


def pace_of(state: Training, lesson: Lesson, crew: Crew = ALONE) -> Pace:
    """The pace of a training, of which a few steps are made with `state`; the fastest of them counts.

    Other programs only make steps slower, and a limit of time is kept while the training runs.
    """
    times = [perf_counter()]

    def on_step(now: Training) -> bool:
        times.append(perf_counter())
        return len(times) > TIMED_STEPS or (len(times) > 2 and times[-1] - times[0] > LONG_ENOUGH)

    train_on(state, lesson, on_step, crew)
    step = min(after - before for before, after in pairwise(times[min(2, len(times) - 1) - 1 :]))
    image = EVALUATION * step / min(state.recipe.batch_size, len(lesson.train))
    return Pace(state.batches * step + image * len(lesson.validation), image)
