"""Latency watched by a CUSUM on the logarithm of medians of 32 inferences, with the board's health beside it.

Page, "Continuous Inspection Schemes", Biometrika 1954. Inference times have heavy tails: one of a hundred may take a
thousand times the median, so means find nothing or alarm always; medians of 32 do neither. An inference that waits
for the processor takes longer by the clock, but not in processor time: then other programs explain it.
"""

from __future__ import annotations

import math
from typing import Any, Dict, Sequence

GROUP = 32  # inferences to a median
BURN_IN = 16  # medians that say what is usual: 512 frames
LEAST_SLACK = 0.05  # of the logarithm: changes of less than 10% do not matter
LEAST_LIMIT = 0.2
SLACK, LIMIT = 0.5, 5.0  # in deviations of a median: one false alarm in 930 medians that are normal, 30,000 frames
SHARE = 0.75  # of the limit that one median may add: two have to agree
HOT_C, WARMER_C = 70.0, 10.0  # from here on, and so much above the usual, a board may be slowed by its temperature
SLOWER_CLOCK = 0.95  # of the usual frequency
ALLOWED = 1.1  # times what the frequency explains
COMPUTES = 0.5  # of the usual time, in which the thread must compute: else its processor time says nothing
WAITS = 0.25  # of the logarithm of a slowdown: with no more of it in processor time, the rest was waiting
BUSY, BUSIER = 0.25, 0.2  # of all processors, that other programs use, and so much above the usual
LAST = 3  # medians that say how long an inference takes now
PATIENCE = 4  # slow medians in a row that nothing explains, before the profile is asked for
LOAD = "other_load"
Event = Dict[str, Any]


class LatencyChart:
    """Says when an inference takes longer than in the first 512 frames, and when that ends.

    An alarm has `value`, the times of the usual median that an inference takes now, and `explained`, the words of what
    explains that, or None. `profile` asks for the network to be timed anew: once for an alarm, where it goes on, and
    where neither what the board says of itself after the alarm nor the processor time explains it.
    """

    def __init__(self, state: dict[str, Any] | None = None) -> None:
        known = state or {}
        self.times, self.computing = (_numbers(known, name)[-GROUP:] for name in ("times", "computing"))
        self.computing = (self.computing + [0.0] * GROUP)[: len(self.times)]  # of the same inferences; 0: not known
        self.first = _numbers(known, "first")[-BURN_IN:]  # logarithms of medians
        self.first_computing = _numbers(known, "first_computing")[-BURN_IN:]
        self.last = _numbers(known, "last")[-LAST:]  # above the usual
        self.last_computing = _numbers(known, "last_computing")[-LAST:]
        self.sum = float(known.get("sum", 0.0))
        self.alarmed, self.asked = bool(known.get("alarmed", False)), bool(known.get("asked", False))
        self.unexplained = int(known.get("unexplained", 0))  # slow medians in a row
        self.usual: dict[str, float] = {k: float(v) for k, v in known.get("usual", {}).items()}
        self.now: dict[str, Any] = {}
        self.read = True  # whether the board has said something since the alarm

    def state(self) -> dict[str, Any]:
        """All that a new process needs to go on, as JSON has it."""
        return {
            "times": self.times, "computing": self.computing, "first": self.first,
            "first_computing": self.first_computing, "last": self.last, "last_computing": self.last_computing,
            "sum": self.sum, "alarmed": self.alarmed, "asked": self.asked, "unexplained": self.unexplained,
            "usual": self.usual,
        }  # fmt: skip

    def health(
        self, temperature_c: float | None, frequency_mhz: float | None, throttled: Sequence[str] = (),
        other_load: float | None = None,
    ) -> None:  # fmt: skip
        """What the board says of itself now, None where it does not. In the first frames that is what is usual.

        `other_load`: the share of all processors that other programs use.
        """
        self.now = {"temperature_c": temperature_c, "frequency_mhz": frequency_mhz, "throttled": list(throttled),
                    LOAD: other_load}  # fmt: skip
        self.read = True
        first = len(self.first) < BURN_IN
        begins = first or not self.usual.keys() - {LOAD}
        late = first or (LOAD not in self.usual and not self.alarmed)  # it takes a while to be known
        for name in ("temperature_c", "frequency_mhz", LOAD):
            value = self.now[name]
            if value is not None and math.isfinite(value) and (late if name == LOAD else begins):
                self.usual[name] = max(value, self.usual.get(name, value))

    def add(self, ms: float, computing_ms: float = 0.0) -> list[Event]:
        """One inference's milliseconds, by the clock and of the processor; 0: not known.

        Returns an alarm, a `profile`, or a clear.
        """
        if not (ms > 0 and math.isfinite(ms)):
            return []
        self.times.append(ms)
        self.computing.append(computing_ms)
        if len(self.times) < GROUP:
            return []
        value, computing = _middle(self.times), _middle(self.computing)
        self.times, self.computing = [], []
        return self._median(math.log(value), math.log(computing) if computing > 0 else None)

    def _median(self, value: float, computing: float | None) -> list[Event]:
        if len(self.first) < BURN_IN:
            self.first.append(value)
            if computing is not None:
                self.first_computing.append(computing)
            return []
        center = _middle(self.first)
        deviation = 1.4826 * _middle([abs(v - center) for v in self.first])
        slack, limit = max(LEAST_SLACK, SLACK * deviation), max(LEAST_LIMIT, LIMIT * deviation)
        above = value - center
        self.last = [*self.last, above][-LAST:]
        self.last_computing = [] if computing is None else [*self.last_computing, computing][-LAST:]
        self.sum = min(max(0.0, self.sum + min(above - slack, SHARE * limit)), 2 * limit)
        if self.alarmed and self.sum == 0.0:
            self.alarmed = False
            return [{"kind": "clear", "chart": "latency", "value": _times(above)}]
        if not self.alarmed and self.sum < limit:
            return []
        slower = math.exp(sorted(self.last)[(len(self.last) - 1) // 2])
        why, events = self._explained(slower, center), []
        if not self.alarmed:
            self.alarmed, self.asked, self.unexplained, self.read = True, False, 0, not self.now
            events = [{"kind": "alarm", "chart": "latency", "value": round(slower, 3), "limit": _times(slack),
                       "expected_loss_points": None, "explained": why}]  # fmt: skip
        if above > slack:
            self.unexplained = 0 if why else self.unexplained + 1
        if self.asked or self.unexplained < PATIENCE or not self.read:
            return events
        self.asked = True
        words = f"inference takes {slower:.2f} times the usual"
        return [*events, {"kind": "profile", "why": words + ", and neither the board's health nor other programs "
                                                            "explain it"}]  # fmt: skip

    def _explained(self, slower: float, center: float) -> str | None:
        """What explains that an inference takes so many times the usual; None: nothing does."""
        throttled, frequency = self.now.get("throttled"), self.now.get("frequency_mhz")
        if throttled:
            return "throttled: " + ", ".join(str(t) for t in throttled)[:200]
        if load := self._load(slower, center):
            return load
        warm, usual = self.now.get("temperature_c"), self.usual.get("frequency_mhz")
        if frequency and usual:
            if frequency < SLOWER_CLOCK * usual and slower <= ALLOWED * usual / frequency:
                return f"the clock runs at {frequency:.0f} MHz instead of {usual:.0f}"
            return None
        before = self.usual.get("temperature_c")
        if warm is not None and before is not None and warm >= max(HOT_C, before + WARMER_C):
            return f"the temperature is {warm:.0f} C instead of {before:.0f}"
        return None

    def _load(self, slower: float, center: float) -> str | None:
        """Other programs, where an inference waits for the processor, or shares its core and memory with them."""
        if len(self.first_computing) >= BURN_IN // 2 and len(self.last_computing) == len(self.last):
            usual = _middle(self.first_computing)
            more = sorted(self.last_computing)[(len(self.last) - 1) // 2] - usual
            waited = more <= max(math.log(ALLOWED), WAITS * math.log(slower)) < math.log(slower)
            if waited and usual - center >= math.log(COMPUTES):
                return (
                    f"load: it waits for other programs; its own computing takes {math.exp(more):.2f} times the usual"
                )
        other, before = self.now.get(LOAD), self.usual.get(LOAD, 0.0)
        if other is not None and other >= max(BUSY, before + BUSIER):
            return f"load: other programs use {100 * other:.0f}% of the processors instead of {100 * before:.0f}%"
        return None


def _numbers(state: dict[str, Any], name: str) -> list[float]:
    return [float(value) for value in state.get(name, [])]


def _middle(values: Sequence[float]) -> float:
    """The median."""
    ordered, half = sorted(values), len(values) // 2
    return ordered[half] if len(ordered) % 2 else (ordered[half - 1] + ordered[half]) / 2


def _times(logarithm: float) -> float:
    return round(math.exp(logarithm), 3)
