"""What each network's trainings gave: the first one, and those with other seeds."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace

from nas.run import Trial

FAILURES = 3  # trainings with other seeds: a network of which so many failed, and none went well, is a failed trial


class Trainings:
    """A run's trainings by trial, in the order in which they ended."""

    def __init__(self) -> None:
        self._first: dict[int, Trial] = {}
        self._again: defaultdict[int, list[Trial]] = defaultdict(list)
        self._kept: dict[int, Trial] = {}  # the training whose weights are kept, where it is not the first
        self._tested: dict[int, float] = {}
        self.repeated = 0  # trainings with other seeds, failed ones too

    def __len__(self) -> int:
        """All trainings."""
        return len(self._first) + self.repeated

    def __iter__(self) -> Iterator[Trial]:
        """Each trial whole, in the order of their numbers."""
        return (self.whole(number) for number in sorted(self._first))

    def add(self, trial: Trial) -> None:
        """A network's first training."""
        self._first[trial.trial] = trial

    def add_again(self, trial: Trial, *, keeps: bool) -> None:
        """A training with another seed; with `keeps` its weights are those of the trial from now on."""
        self.repeated += 1
        self._again[trial.trial].append(trial)
        if keeps and trial.state == "trained":
            self._kept[trial.trial] = trial
            self._tested.pop(trial.trial, None)  # it was that of other weights

    def add_tested(self, number: int, accuracy: float) -> None:
        """The accuracy on the test split of the weights that are kept."""
        self._tested[number] = accuracy

    def first(self, number: int) -> Trial | None:
        """A network's first training; None where it has not ended."""
        return self._first.get(number)

    def replaced(self, number: int) -> bool:
        """Whether the weights that are kept are not those of the first training."""
        return number in self._kept

    def repetitions(self, number: int) -> int:
        """How often the network was trained again, also where that failed."""
        return len(self._again[number])

    def accuracies(self, number: int) -> list[float]:
        """Of every training that went well."""
        every = (self._first[number], *self._again[number])
        return [t.accuracy for t in every if t.accuracy is not None]

    def whole(self, number: int) -> Trial:
        """The trial with the accuracy of the weights that are kept, and the number and time of all its trainings."""
        first, again = self._first[number], self._again[number]
        seconds, good = first.seconds + sum(t.seconds for t in again), sum(t.state == "trained" for t in again)
        if not good and len(again) >= FAILURES:
            return replace(first, state="failed", accuracy=None, robust_accuracy=None, seconds=seconds)
        kept, tested = self._kept.get(number, first), self._tested.get(number)
        return replace(kept, seconds=seconds, trainings=1 + good, test_accuracy=tested)
