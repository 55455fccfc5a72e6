"""Frames and times: of the window that is open, and of all servings of a folder.

A frame is only added to a list: what is counted of it is counted when the window ends, or when somebody asks.
"""

from __future__ import annotations

import threading
from typing import Any

import numpy as np

from .frames import Slot
from .quantiles import Quantiles
from .terminal import say

NAMES = ("captured", "served", "skipped", "late", "unreadable")


class Counts:
    """`add` and `unreadable` are called for every frame; `now` and `times` from any thread.

    `slot` counts what was captured and skipped. Times are in milliseconds: of inference, and from capture to result.
    """

    def __init__(self, state: dict[str, Any]) -> None:
        self.totals = {name: _count(state, name) for name in NAMES}  # of windows that have ended, as the quantiles
        self.inference, self.result = Quantiles(), Quantiles()
        self.slot = Slot(every=False)
        self.failed = False  # a frame of this serving could not be read
        self._lock = threading.Lock()
        self._open(0, 0)
        try:
            self.inference.restore(state.get("inference", []))
            self.result.restore(state.get("result", []))
        except (TypeError, ValueError) as error:
            say(f"the quantiles of an earlier serving cannot be read: {error}; they begin again")

    def _open(self, captured: int, skipped: int) -> None:
        self.began = captured, skipped  # of the slot
        self.late = self.failures = 0
        self.ms: list[float] = []
        self.result_ms: list[float] = []

    def begin(self, slot: Slot) -> None:
        """A source's frames come into this slot from here on."""
        self.slot = slot
        self._open(0, 0)

    def add(self, ms: float, result_ms: float, late: bool) -> None:
        """A frame that was served."""
        self.late += late
        self.ms.append(ms)
        self.result_ms.append(result_ms)

    @property
    def served(self) -> int:
        """Frames of the window that is open."""
        return len(self.ms)

    def unreadable(self) -> None:
        """A frame that could not be read."""
        self.failures += 1
        self.failed = True

    def now(self) -> dict[str, int]:
        """All frames so far, by NAMES."""
        with self._lock:
            window = self._window()
            return {name: self.totals[name] + window[name] for name in NAMES}

    def times(self) -> tuple[Quantiles, Quantiles]:
        """Of all frames so far: of inference, and from capture to result."""
        with self._lock:
            return self.inference.with_times(self.ms), self.result.with_times(self.result_ms)

    def end_window(self) -> dict[str, Any]:
        """What the log has of the window that ends here; the next one begins."""
        with self._lock:
            facts: dict[str, Any] = self._window()
            for name in NAMES:
                self.totals[name] += facts[name]
            if self.ms:
                quantiles = np.quantile(self.ms, (0.5, 0.9, 0.99)).tolist()
                facts.update(zip(("p50_ms", "p90_ms", "p99_ms"), (round(q, 4) for q in quantiles)))
                facts["result_p90_ms"] = round(float(np.quantile(self.result_ms, 0.9)), 4)
                self.inference = self.inference.with_times(self.ms)
                self.result = self.result.with_times(self.result_ms)
            captured, skipped = self.began
            self._open(captured + facts["captured"], skipped + facts["skipped"])
            return facts

    def _window(self) -> dict[str, int]:
        captured, skipped = self.slot.counts()
        return {
            "captured": captured - self.began[0], "served": self.served, "skipped": skipped - self.began[1],
            "late": self.late, "unreadable": self.failures,
        }  # fmt: skip

    def state(self) -> dict[str, Any]:
        return {**self.totals, "inference": self.inference.state(), "result": self.result.state()}


def _count(state: dict[str, Any], name: str) -> int:
    value = state.get(name)
    return value if isinstance(value, int) and 0 <= value < 2**53 else 0
