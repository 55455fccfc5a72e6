"""Early stopping where there are several objectives: what will not reach the front is not trained to the end."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from nas.pareto import non_dominated

REDUCTION = 2  # of a rung's trials, one in so many goes on
LEAST = 8  # trials of a rung, before any is stopped at it


class EarlyStopping:
    """Asynchronous successive halving by Pareto rank, with the costs known exactly.

    At a rung, after a quarter and a half of the epochs, a trial's accuracy so far and its costs are compared with those
    of every trial so far: it goes on unless half of them or more lie on better fronts (non-dominated sorting,
    Deb et al., IEEE TEVC 2002; asynchronous successive halving, Li et al., MLSys 2020; several objectives, Schmucker et
    al., arXiv:2106.12639). Its cost is not an estimate, so a small network is never stopped for being worse than a
    large one. Decisions depend only on the trials before, never on the clock.
    """

    def __init__(self, epochs: int) -> None:
        self.epochs = epochs
        self.rungs = sorted({r for share in (4, 2) if (r := math.ceil(epochs / share)) < epochs})
        self.costs: dict[int, tuple[float, ...]] = {}
        self.curves: dict[int, list[float]] = {}

    def report(self, number: int, epoch: int, accuracy: float, costs: tuple[float, ...]) -> bool:
        """Whether trial `number` is to be stopped after `epoch`, from 1, with this validation accuracy.

        `costs` are its known objectives, minimised, the same number for all trials.
        """
        if epoch == 1:
            self.curves[number] = []  # also of a trial that is trained again
        self.costs[number] = costs
        self.curves[number].append(_held(accuracy))
        return epoch in self.rungs and self._behind(number, epoch)

    def add(self, number: int, curve: Sequence[float | None], costs: tuple[float, ...]) -> None:
        """A trial of before, with its accuracies after each epoch."""
        self.curves[number], self.costs[number] = [_held(accuracy) for accuracy in curve], costs

    def forget(self, number: int) -> None:
        """A trial that failed tells nothing."""
        self.curves.pop(number, None)

    def expected(self, number: int) -> float | None:
        """The accuracy that a stopped trial would have had in the end, by what the others gained from there on.

        The median gain in log odds. None where no trial went further.
        """
        curve = self.curves[number]
        longest = max(map(len, self.curves.values()))
        gains = [
            _log_odds(other[-1]) - _log_odds(other[len(curve) - 1])
            for other in self.curves.values()
            if len(other) == longest > len(curve)
        ]
        return 1 / (1 + math.exp(-_log_odds(curve[-1]) - float(np.median(gains)))) if gains else None

    def _behind(self, number: int, epoch: int) -> bool:
        there = [k for k, curve in self.curves.items() if len(curve) >= epoch]
        if len(there) < LEAST:
            return False
        points = np.array([[-self.curves[k][epoch - 1], *self.costs[k]] for k in there])
        left, better = np.arange(len(there)), 0
        while True:
            front = non_dominated(points[left])
            if there.index(number) in left[front]:
                return better * REDUCTION >= len(there)
            better += int(front.sum())
            left = left[~front]


def _held(accuracy: float | None) -> float:
    """An accuracy that is not a number is as bad as any: comparisons with NaN would never end."""
    return accuracy if accuracy is not None and math.isfinite(accuracy) else 0.0


def _log_odds(accuracy: float) -> float:
    held = min(max(accuracy, 1e-4), 1 - 1e-4)
    return math.log(held / (1 - held))
