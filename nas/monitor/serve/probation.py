"""A version that was just put into use is compared with the one before it, and left again where it is worse.

Both are judged by their windows: the accuracy that is estimated without labels, where it can be trusted; the share of
late results where there is a deadline; else the 90th percentile of latency. Windows in which the board slowed itself
down say nothing about the version's latency.
"""

from __future__ import annotations

import math
from typing import Any, Sequence

WINDOWS = 4  # that a version is judged by, at most
LEAST = 2  # at least, of each
POINTS = 0.03  # of accuracy that the new version may lose
SLOWER = 1.5  # times the 90th percentile of the old one
LATE = 0.05  # of results, more than with the old one
KEYS = ("accuracy", "accuracy_low", "accuracy_high", "trusted", "p90_ms", "late", "served", "throttled")


class Probation:
    """Keeps the last windows of the version that is served, and those of the one before while that is compared with.

    `deadline`: whether results have one. `state` is what an earlier serving left of the same version.
    """

    def __init__(self, version: int, deadline: bool, state: Any = None) -> None:
        self.version, self.deadline = version, deadline
        self.windows: list[dict[str, Any]] = []
        self.old: int | None = None  # the version before; None: it is not compared with any more
        self.old_windows: list[dict[str, Any]] = []
        if isinstance(state, dict) and state.get("version") == version:
            self.windows = _windows(state.get("windows"))
            self.old_windows = _windows(state.get("old_windows"))
            self.old = state["old"] if isinstance(state.get("old"), int) else None

    def switched(self, version: int, compare: bool) -> None:
        """Another version is served from here on, to be compared with the one until now or not."""
        self.old, self.old_windows = (self.version, self.windows) if compare else (None, [])
        self.version, self.windows = version, []

    def judge(self, window: dict[str, Any]) -> str:
        """Why the version is worse than the one before; empty: it is not, or that is not known yet."""
        self.windows = [*self.windows, {key: window.get(key) for key in KEYS}][-WINDOWS:]
        why = worse(self.old_windows, self.windows, self.deadline) if self.old is not None else ""
        if not why and len(self.windows) == WINDOWS:
            self.old, self.old_windows = None, []
        return why

    def state(self) -> dict[str, Any]:
        return {
            "version": self.version, "windows": self.windows, "old": self.old, "old_windows": self.old_windows,
        }  # fmt: skip


def _windows(value: Any) -> list[dict[str, Any]]:
    """The windows in a state; none where they are not as `Probation` left them."""
    whole = isinstance(value, list) and all(isinstance(w, dict) and set(w) == set(KEYS) for w in value)
    return value[-WINDOWS:] if whole else []


def worse(old: Sequence[dict[str, Any]], new: Sequence[dict[str, Any]], deadline: bool) -> str:
    """Why the version of the windows `new` should be left for that of `old`; empty: it should not, or not yet."""
    return _less_accurate(old, new) or _slower(old, new, deadline)


def _less_accurate(old: Sequence[dict[str, Any]], new: Sequence[dict[str, Any]]) -> str:
    before, now = ([w for w in part if w["trusted"] and w["accuracy"] is not None] for part in (old, new))
    if min(len(before), len(now)) < LEAST:
        return ""
    lost = _mean([w["accuracy"] for w in before]) - _mean([w["accuracy"] for w in now])
    if lost <= max(POINTS, math.hypot(_half_width(before), _half_width(now))):
        return ""
    return f"its accuracy is estimated {100 * lost:.1f} points below that of the version before"


def _half_width(windows: Sequence[dict[str, Any]]) -> float:
    """Of the 95% interval of the mean of some windows' estimates."""
    widths = [((w["accuracy_high"] or 1.0) - (w["accuracy_low"] or 0.0)) / 2 for w in windows]
    return _mean(widths) / math.sqrt(len(widths))


def _slower(old: Sequence[dict[str, Any]], new: Sequence[dict[str, Any]], deadline: bool) -> str:
    before, now = ([w for w in part if w["p90_ms"] and not w["throttled"]] for part in (old, new))
    if min(len(before), len(now)) < LEAST:
        return ""
    if deadline:
        late, was = (sum(w["late"] for w in part) / max(1, sum(w["served"] for w in part)) for part in (now, before))
        return f"{100 * late:.0f}% of its results are late, {100 * was:.0f}% before" if late > was + LATE else ""
    ms, was_ms = (sorted(w["p90_ms"] for w in part)[(len(part) - 1) // 2] for part in (now, before))
    return f"its p90 is {ms:.3g} ms, {was_ms:.3g} ms before" if ms > SLOWER * was_ms else ""


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
