"""The last 500 frames, as the estimate of accuracy needs them."""

from __future__ import annotations

from typing import Any

import numpy as np

from .accuracy import WINDOW, Frames

KEPT = 5  # probabilities of a frame that a state keeps, the largest; the others share what is left


class Recent:
    """Frames of a network of so many classes. `total` counts all, `count` those that are held."""

    def __init__(self, classes: int, state: dict[str, Any] | None = None) -> None:
        known = state or {}
        self.probabilities = np.zeros((WINDOW, classes), np.float32)
        self.distance = np.zeros(WINDOW)
        self.total, self.count, self.at, self.away = int(known.get("total", 0)), 0, 0, True
        rows = np.array(known.get("classes", []), np.int64).reshape(-1, min(KEPT, classes))
        if len(rows):
            values = np.array(known["probabilities"], np.float64) / 1000
            left = np.maximum(1 - values.sum(axis=1), 0) / max(classes - rows.shape[1], 1)
            full = np.repeat(left[:, None], classes, axis=1)
            np.put_along_axis(full, rows, values, axis=1)
            away = known.get("distance")
            total = self.total
            self.add(Frames(full, None if away is None else np.array(away, np.float64)))
            self.total = total

    def add(self, frames: Frames) -> None:
        """Some frames, at most 500; the oldest ones make room."""
        count = len(frames.probabilities)
        at = (self.at + np.arange(count)) % WINDOW
        self.probabilities[at] = frames.probabilities
        self.away = frames.distance is not None
        if frames.distance is not None:
            self.distance[at] = frames.distance
        self.at = (self.at + count) % WINDOW
        self.total, self.count = self.total + count, min(self.count + count, WINDOW)

    def last(self, count: int) -> Frames:
        """The newest frames, the oldest of them first."""
        at = (self.at - min(count, self.count) + np.arange(min(count, self.count))) % WINDOW
        return Frames(self.probabilities[at], self.distance[at] if self.away else None)

    def state(self) -> dict[str, Any]:
        """As JSON has it: of each frame its largest probabilities in thousandths."""
        frames = self.last(WINDOW)
        kept = min(KEPT, frames.probabilities.shape[1])
        rows = np.argsort(-frames.probabilities, axis=1)[:, :kept]
        values = np.rint(1000 * np.take_along_axis(frames.probabilities, rows, axis=1)).astype(int)
        return {
            "total": self.total, "classes": rows.ravel().tolist(), "probabilities": values.tolist(),
            "distance": None if frames.distance is None else np.round(frames.distance, 3).tolist(),
        }  # fmt: skip
