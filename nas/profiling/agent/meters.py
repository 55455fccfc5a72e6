"""What reads energy: counters, power that is sampled, and a meter that the board cannot read."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import Protocol

from .terminal import Refused

SAMPLE_S = 0.02


class Meter(Protocol):
    """What reads energy. `includes` says in words what its energy covers; `period_s` are the seconds between two
    changes of what it reads, None where it has no readings, or before start()."""

    name: str
    includes: str
    period_s: float | None

    def start(self) -> None: ...

    def stop(self) -> None: ...

    def joules(self) -> float | None:
        """Since start(); None where it has no readings."""

    def reading(self) -> tuple[float, float | None]:
        """Unix seconds, and the joules at that moment."""


class CounterMeter:
    """Energy counters in the hardware: `counters` are (function that reads joules, joules at which it wraps around).

    More than one wrap-around between two readings goes unseen. RAPL's comes after minutes at full load, and the two
    readings of a window are seconds apart.
    """

    def __init__(self, name: str, includes: str, counters: Sequence[tuple[Callable[[], float], float]]) -> None:
        self.name, self.includes, self._counters = name, includes, counters
        self.period_s: float | None = None
        self._last, self._joules = [read() for read, _ in counters], 0.0

    def start(self) -> None:
        self.joules()
        self._joules, self.period_s = 0.0, self._period()

    def stop(self) -> None:
        pass

    def joules(self) -> float:
        for i, (read, wraps_at) in enumerate(self._counters):
            now = read()
            step = now - self._last[i]
            self._joules += step + wraps_at if step < 0 else step
            self._last[i] = now
        return self._joules

    def reading(self) -> tuple[float, float]:
        joules = self.joules()
        return time.time(), joules

    def _period(self, changes: int = 5, limit_s: float = 1.0) -> float:
        """Seconds between two changes of the first counter, as found now; the limit where it hardly changed."""
        read = self._counters[0][0]
        began, last = time.monotonic(), read()
        times: list[float] = []
        while len(times) <= changes and time.monotonic() < began + limit_s:
            now = read()
            if now != last:
                times.append(time.monotonic())
                last = now
        return (times[-1] - times[0]) / (len(times) - 1) if len(times) > 1 else limit_s


class SampledMeter:
    """Power that a thread reads again and again and adds up by the trapezoid rule; `watts` reads it once."""

    def __init__(self, name: str, includes: str, watts: Callable[[], float], period_s: float = SAMPLE_S) -> None:
        self.name, self.includes = name, includes
        self.period_s: float | None = period_s
        self._watts, self._every, self._lock, self._ended = watts, period_s, threading.Lock(), threading.Event()
        self._thread: threading.Thread | None = None
        self._joules, self._at, self._last = 0.0, time.monotonic(), watts()

    def start(self) -> None:
        self.joules()
        self._joules = 0.0
        self._ended.clear()
        self._thread = threading.Thread(target=self._sample, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._ended.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def joules(self) -> float:
        with self._lock:
            watts, at = self._watts(), time.monotonic()  # time.time() may be set while we measure
            self._joules += (watts + self._last) / 2 * (at - self._at)
            self._last, self._at = watts, at
            return self._joules

    def reading(self) -> tuple[float, float]:
        joules = self.joules()
        return time.time(), joules

    def _sample(self) -> None:
        while not self._ended.wait(self._every):
            try:
                self.joules()
            except Refused:  # one failed reading is bridged; if all fail, the window's own reading raises
                continue


class ExternalMeter:
    """A meter that the board cannot read: windows get their times only."""

    name, includes = "external", "what the external meter feeds"
    period_s: float | None = None

    def start(self) -> None:
        pass

    def stop(self) -> None:
        pass

    def joules(self) -> None:
        return None

    def reading(self) -> tuple[float, None]:
        return time.time(), None
