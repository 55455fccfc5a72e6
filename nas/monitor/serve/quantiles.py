"""Quantiles of any number of times in bounded memory: counts in bins that are 2% wide."""

from __future__ import annotations

import math
from typing import Any, Sequence

import numpy as np

STEP = math.log(1.02)
LOWEST = 1e-3  # ms; below it all times are one
BINS = 1200  # up to 20 million ms


class Quantiles:
    """Counts of times by their size; a quantile is right to 1%."""

    def __init__(self) -> None:
        self.counts: dict[int, int] = {}
        self.total = 0

    def with_times(self, ms: Sequence[float]) -> Quantiles:
        """These and some more."""
        made = Quantiles()
        logarithms = np.log(np.maximum(np.array(ms, np.float64), LOWEST) / LOWEST)
        counts = np.bincount(np.minimum(logarithms / STEP, BINS).astype(np.int64), minlength=1)
        made.counts = dict(self.counts)
        for place in np.flatnonzero(counts).tolist():
            made.counts[place] = made.counts.get(place, 0) + int(counts[place])
        made.total = self.total + len(ms)
        return made

    def at(self, share: float) -> float | None:
        """The time that so large a share of all stays below; None where there is none."""
        left = share * self.total
        for place in sorted(self.counts):
            left -= self.counts[place]
            if left <= 0:
                return float(f"{LOWEST * math.exp((place + 0.5) * STEP):.4g}")
        return None

    def state(self) -> list[list[int]]:
        return [[place, count] for place, count in sorted(self.counts.items())]

    def restore(self, state: Any) -> None:
        """Raises TypeError or ValueError for what is not a state."""
        counts = {int(place): int(count) for place, count in state}
        if any(not 0 <= place <= BINS or count < 0 for place, count in counts.items()):
            raise ValueError("bins and counts must not be below 0")
        self.counts, self.total = counts, sum(counts.values())
