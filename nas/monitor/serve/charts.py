"""A chart that says when the mean of some statistics has changed: an exponentially weighted T2 (MEWMA).

Lowry, Woodall, Champ and Rigdon, "A Multivariate Exponentially Weighted Moving Average Control Chart", Technometrics
1992. Frames come in groups of 16, so that NumPy's overhead is shared.

A camera is not a sample of validation images: neighboring frames show the same things, and its light and lens are its
own. So each statistic is taken from the mean of the class that the network names; the reference has metrics and limits
for independent images and for classes in runs of 50, and what lies between; and the first 2,000 frames, the burn-in,
say what this camera's mean is, which of the metrics fits it, and by how much its limit must be wider.
"""

from __future__ import annotations

from typing import Any, Dict, Mapping

import numpy as np

GROUP = 16  # frames that are looked at together
BURN_IN = 125  # groups: 2,000 frames
MOST_APART = 4.0  # deviations that one frame may count for: an odd picture alone is no alarm
HOLD_OFF = 7  # groups, 112 frames, that the chart must stay low before an alarm ends
ENDS = 0.5  # of the limit: below it the chart is low
RISES = 0.5  # of the limit: from there on a change may have begun
CAREFUL, MARGINS = 1.5, (1.3, 1.6)  # times the limit, in the burn-in; after it, of independent and of other frames
FITS = 1.15  # times its degrees of freedom that T2 may be, on average, for a metric to fit the burn-in
QUANTILE = 0.95
STALE = 2 * BURN_IN  # groups of one alarm in the burn-in after which what the camera shows is taken for its usual
DIGITS = 4
Event = Dict[str, Any]


class Chart:
    """One chart on statistics (k,), with a weight of the newest frame of `weight`.

    `reference` holds, as `nas.monitor.reference` writes them: weight (); means (classes, k) of the statistics by
    predicted class; scale (k,), center (k,) of what is left; metric (m, k, k), limit (m,) and typical (m,), from
    independent images to runs of one class; and, where that is not CAREFUL, by how much the limits are wider in the
    burn-in: careful ().
    """

    def __init__(self, name: str, reference: Mapping[str, np.ndarray], state: dict[str, Any] | None = None) -> None:
        known = state or {}
        self.name = name
        self.means, self.scale = np.asarray(reference["means"]), np.asarray(reference["scale"])
        self.metrics, self.limits = np.asarray(reference["metric"]), np.asarray(reference["limit"])
        self.typical, self.reference_center = np.asarray(reference["typical"]), np.asarray(reference["center"])
        weight, size = float(reference["weight"]), len(self.scale)
        ages = np.arange(GROUP)
        self.fade = (1 - weight) ** (ages + 1.0)
        self.spread = np.where(
            ages[:, None] >= ages, weight * (1 - weight) ** np.maximum(ages[:, None] - ages, 0.0), 0.0
        )
        self.z = np.array(known.get("z", np.zeros(size)), np.float64)
        self.center = np.array(known.get("center", self.reference_center), np.float64)
        self.first = np.array(known.get("first", []), np.float64).reshape(-1, size)  # means of the burn-in's groups
        self.which = int(known.get("which", len(self.limits) - 1))
        self.wider = float(known.get("wider", reference.get("careful", CAREFUL)))
        self.burnt_in, self.alarmed = bool(known.get("burnt_in", False)), bool(known.get("alarmed", False))
        self.low, self.stale = int(known.get("low", 0)), int(known.get("stale", 0))
        self.rising = int(known.get("rising", 0))  # groups since the chart was last low
        if self.z.shape != (size,) or self.center.shape != (size,) or not 0 <= self.which < len(self.limits):
            raise ValueError("the state is not of this chart")
        if self.alarmed:  # hours may have passed: what is seen now says whether it still holds
            self.z, self.low = np.zeros(size), 0

    @property
    def limit(self) -> float:
        return float(self.limits[self.which]) * self.wider

    def state(self) -> dict[str, Any]:
        """All that a new process needs to go on, as JSON has it."""
        return {
            "z": self.z.tolist(), "center": self.center.tolist(), "first": np.round(self.first, DIGITS).tolist(),
            "which": self.which, "wider": self.wider, "burnt_in": self.burnt_in, "alarmed": self.alarmed,
            "low": self.low, "stale": self.stale, "rising": self.rising,
        }  # fmt: skip

    def add(self, values: np.ndarray, predicted: np.ndarray) -> list[Event]:
        """Statistics (16, k) of a group and the classes (16,) that the network named: an alarm, a clear, or nothing."""
        apart = (values - self.means[predicted]) / self.scale
        apart = np.minimum(np.maximum(apart, -MOST_APART), MOST_APART)
        path = self.spread @ (apart - self.center) + self.fade[:, None] * self.z
        self.z = path[-1]
        largest = float(((path @ self.metrics[self.which]) * path).sum(axis=1).max())
        events = self._judged(largest)
        if not self.burnt_in:
            self._burn(apart.mean(axis=0))
        return events

    def _judged(self, value: float) -> list[Event]:
        limit = self.limit
        self.rising = 0 if value < RISES * limit else min(self.rising + 1, BURN_IN)
        if not self.alarmed:
            if value <= limit:
                return []
            self.alarmed, self.low, self.stale = True, 0, 0
            return [{"kind": "alarm", "chart": self.name, "value": round(value, 2), "limit": round(limit, 2)}]
        self.low = self.low + 1 if value < ENDS * limit else 0
        self.stale += 1
        if self.low < HOLD_OFF:
            return []
        self.alarmed = False
        return [{"kind": "clear", "chart": self.name, "value": round(value, 2), "limit": round(limit, 2)}]

    def _burn(self, mean: np.ndarray) -> None:
        """Takes a group's mean into the burn-in, and ends it. While an alarm stands it waits, but not forever."""
        if self.alarmed and self.stale < STALE:
            return
        if self.alarmed and self.stale == STALE:
            self.first = self.first[:0]
        self.first = np.concatenate([self.first, mean[None]])
        if len(self.first) < BURN_IN:
            return
        center = self.first.mean(axis=0)
        path = self._path(self.first - center)
        for which in range(len(self.limits)):
            distances = ((path @ self.metrics[which]) * path).sum(axis=1)
            if distances.mean() <= FITS * len(center) or which == len(self.limits) - 1:
                break
        self.which = which
        self.wider = MARGINS[which > 0] * max(1.0, float(np.quantile(distances, QUANTILE) / self.typical[which]))
        self.z = self.z - (center - self.center) * (1 - self.fade[-1] ** len(self.first))
        self.center, self.first, self.burnt_in = center, self.first[:0], True

    def _path(self, means: np.ndarray) -> np.ndarray:
        """The weighted means after each group, without the first ones, in which they grow."""
        z, path = np.zeros(means.shape[1]), np.empty_like(means)
        for n, mean in enumerate(means):
            z = path[n] = self.fade[-1] * z + (1 - self.fade[-1]) * mean
        return path[len(path) // 10 :]
