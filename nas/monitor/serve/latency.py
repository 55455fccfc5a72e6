"""Latency watched by a CUSUM on the logarithm of medians of 32 inferences, with the board's health beside it.

Page, "Continuous Inspection Schemes", Biometrika 1954. Inference times have heavy tails: one of a hundred may take a
thousand times the median, so means find nothing or alarm always; medians of 32 do neither.
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
Event = Dict[str, Any]


class LatencyChart:
    """Says when an inference takes longer than in the first 512 frames, and when that ends.

    An alarm has `value`, the times of the usual median that an inference takes now, and `explained`, the words of what
    of the board's health explains that, or None: then `profile` follows, which asks for the network to be timed anew.
    """

    def __init__(self, state: dict[str, Any] | None = None) -> None:
        known = state or {}
        self.times: list[float] = [float(t) for t in known.get("times", [])][-GROUP:]
        self.first: list[float] = [float(t) for t in known.get("first", [])][-BURN_IN:]  # logarithms of medians
        self.last: list[float] = [float(t) for t in known.get("last", [])][-4:]
        self.sum = float(known.get("sum", 0.0))
        self.alarmed = bool(known.get("alarmed", False))
        self.usual: dict[str, float] = {k: float(v) for k, v in known.get("usual", {}).items()}
        self.now: dict[str, Any] = {}

    def state(self) -> dict[str, Any]:
        """All that a new process needs to go on, as JSON has it."""
        return {
            "times": self.times, "first": self.first, "last": self.last, "sum": self.sum, "alarmed": self.alarmed,
            "usual": self.usual,
        }  # fmt: skip

    def health(self, temperature_c: float | None, frequency_mhz: float | None, throttled: Sequence[str] = ()) -> None:
        """What the board says of itself now. In the first frames that is what is usual."""
        self.now = {"temperature_c": temperature_c, "frequency_mhz": frequency_mhz, "throttled": list(throttled)}
        if len(self.first) < BURN_IN or not self.usual:
            for name, value in (("temperature_c", temperature_c), ("frequency_mhz", frequency_mhz)):
                if value is not None and math.isfinite(value):
                    self.usual[name] = max(value, self.usual.get(name, value))

    def add(self, ms: float) -> list[Event]:
        """One inference's milliseconds. Returns an alarm, with `profile` where nothing explains it, or a clear."""
        if not (ms > 0 and math.isfinite(ms)):
            return []
        self.times.append(ms)
        if len(self.times) < GROUP:
            return []
        ordered = sorted(self.times)
        self.times = []
        return self._median(math.log((ordered[GROUP // 2 - 1] + ordered[GROUP // 2]) / 2))

    def _median(self, value: float) -> list[Event]:
        if len(self.first) < BURN_IN:
            self.first.append(value)
            return []
        ordered = sorted(self.first)
        center = (ordered[BURN_IN // 2 - 1] + ordered[BURN_IN // 2]) / 2
        apart = sorted(abs(v - center) for v in self.first)
        deviation = 1.4826 * (apart[BURN_IN // 2 - 1] + apart[BURN_IN // 2]) / 2
        slack, limit = max(LEAST_SLACK, SLACK * deviation), max(LEAST_LIMIT, LIMIT * deviation)
        above = value - center
        self.last = [*self.last[-3:], above]
        self.sum = min(max(0.0, self.sum + min(above - slack, SHARE * limit)), 2 * limit)
        if self.alarmed:
            if self.sum == 0.0:
                self.alarmed = False
                return [{"kind": "clear", "chart": "latency", "value": _times(above)}]
            return []
        if self.sum < limit:
            return []
        self.alarmed = True
        times = math.exp(sorted(self.last[-2:])[0])
        why = self._explained(times)
        alarm = {"kind": "alarm", "chart": "latency", "value": round(times, 3), "limit": _times(slack),
                 "expected_loss_points": None, "explained": why}  # fmt: skip
        if why is None:
            slower = f"inference takes {times:.2f} times the usual"
            return [alarm, {"kind": "profile", "why": slower + ", and the board's health does not explain it"}]
        return [alarm]

    def _explained(self, times: float) -> str | None:
        """What of the board's health explains that an inference takes so many times the usual; None: nothing does."""
        throttled, frequency = self.now.get("throttled"), self.now.get("frequency_mhz")
        warm, usual = self.now.get("temperature_c"), self.usual.get("frequency_mhz")
        if throttled:
            return "throttled: " + ", ".join(str(t) for t in throttled)[:200]
        if frequency and usual:
            if frequency < SLOWER_CLOCK * usual and times <= ALLOWED * usual / frequency:
                return f"the clock runs at {frequency:.0f} MHz instead of {usual:.0f}"
            return None
        before = self.usual.get("temperature_c")
        if warm is not None and before is not None and warm >= max(HOT_C, before + WARMER_C):
            return f"the temperature is {warm:.0f} C instead of {before:.0f}"
        return None


def _times(logarithm: float) -> float:
    return round(math.exp(logarithm), 3)
