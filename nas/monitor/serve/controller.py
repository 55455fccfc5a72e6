"""Which of several models serves the next frame, so that latency keeps a budget: the most accurate that does.

Two thresholds and a wait keep it from going to and fro: it goes to a faster model as soon as the 90th percentile of the
last frames is above the budget, and to a slower one only after some quiet windows in a row, in which that one would
have stayed clearly below it. Where the way up proves wrong, it waits twice as long before the next.
"""

from __future__ import annotations

from collections import deque
from typing import Any, Sequence

WINDOW = 64  # frames of the percentile
LEAST = 32  # frames of a model before it is judged
QUIET = 2  # windows, one after the other
MOST_QUIET = 48
HEADROOM = 0.85  # of the budget, for the slower model
WRONG_WITHIN = 6  # windows: a slower model that is left so soon was taken wrongly
SHARE = 0.9
STRAIN_C, LOW_BATTERY = 80.0, 20.0  # a Raspberry Pi lowers its clock from 80 degrees on


class Controller:
    """`usual_ms` are the models' usual times, the most accurate model first, so in falling order; `budget_ms` of one.

    `add` is told each frame's time; `index` is the model that serves next.
    """

    def __init__(self, usual_ms: Sequence[float], budget_ms: float) -> None:
        self.usual, self.budget = list(usual_ms), budget_ms
        within = (n for n, ms in enumerate(self.usual) if ms <= HEADROOM * budget_ms)
        self.index = next(within, len(self.usual) - 1)
        self.times: deque[float] = deque(maxlen=WINDOW)
        self.needed = QUIET  # quiet windows before a slower model
        self.quiet = self.frames = 0
        self.since_up: int | None = None  # frames since the last step to a slower model

    def add(self, ms: float, strained: bool = False) -> int:
        """A frame of the present model took `ms`; `strained`: the board is hot or its battery low. The next model."""
        self.times.append(ms)
        self.frames += 1
        if self.since_up is not None:
            self.since_up += 1
            if self.since_up > WRONG_WITHIN * WINDOW:
                self.since_up, self.needed = None, max(QUIET, self.needed // 2)
        if len(self.times) < LEAST:
            return self.index
        p90 = percentile(self.times)
        if p90 > self.budget or (strained and self.frames >= WINDOW):
            self._faster(p90)
        elif self.frames >= WINDOW:
            self.frames = 0
            calm = not strained and self.index > 0 and self._would_take(self.index - 1, p90) <= HEADROOM * self.budget
            self.quiet = self.quiet + 1 if calm else 0
            if self.quiet >= self.needed:
                self._go(self.index - 1)
                self.since_up = 0
        return self.index

    def _faster(self, p90: float) -> None:
        if self.index == len(self.usual) - 1:
            self.quiet = self.frames = 0
            return
        if self.since_up is not None:
            self.needed, self.since_up = min(MOST_QUIET, 2 * self.needed), None
        better = range(self.index + 1, len(self.usual))
        now = self.usual[self.index]
        self._go(next((n for n in better if p90 * self.usual[n] / now <= self.budget), better[-1]))

    def _would_take(self, index: int, p90: float) -> float:
        """The 90th percentile of a slower model now: what the load adds to some runs is added to any model's."""
        middle = percentile(self.times, 0.5)
        return middle * self.usual[index] / self.usual[self.index] + (p90 - middle)

    def _go(self, index: int) -> None:
        self.index, self.quiet, self.frames = index, 0, 0
        self.times.clear()


def percentile(times: Sequence[float], share: float = SHARE) -> float:
    """The time that so large a share of all stays below: for the 90th percentile of 64 the seventh largest."""
    ordered = sorted(times)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def strained(health: dict[str, Any]) -> bool:
    """Whether the board should work less: hot, slowed down, or with little battery left. Where it says nothing: no."""
    hot, battery = health.get("temperature_c"), health.get("battery_percent")
    return (
        (hot is not None and hot >= STRAIN_C)
        or (battery is not None and battery < LOW_BATTERY)
        or bool(health.get("throttled"))
    )
