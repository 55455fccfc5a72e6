"""Objects in frames, without tracking: how many there are of each class, and what their scores look like.

`scores_of` is what the chart of detections looks at: of a frame some figures of its boxes, `NAMES`, and the means of
what each of the heads says. Calibration and a board run the same code.
"""

from __future__ import annotations

from math import gcd
from typing import Any, Sequence

import numpy as np

LEAST = 0.1  # probability of a box that is looked at
CERTAIN = 0.4  # of one that counts as an object, unless something else is asked for
BEST = 5  # boxes whose mean is taken
NAMES = ("found", "certain", "surest", "mean of the best", "mean", "area", "spread of areas")
NO_AREA = -4.0  # the logarithm where there is no box: one of a seventh of the side
LARGEST = 1e6
MOST_VALUES = 100_000  # that are summed a frame, about
MOST_CLASSES = 12  # that a window says the objects of
LONGEST_NAME = 80  # characters


def scores_of(said: np.ndarray, found: Any, maps: Sequence[Sequence[int]]) -> np.ndarray:
    """float64 (7 + heads * (classes + 4),) of what a detector says of a frame, float32 (boxes, classes + 4), and of the
    boxes of probability LEAST and more that are found in it. `maps`: height and width of what each head reads.
    """
    scores = np.maximum(found.scores.astype(np.float64), LEAST)
    sure = np.log(scores / (1 - np.minimum(scores, 1 - 1e-6)))
    lowest = np.log(LEAST / (1 - LEAST))
    best = np.full(BEST, lowest)
    best[: min(BEST, len(sure))] = sure[:BEST]
    figures = [np.sqrt(len(scores)), np.sqrt((scores >= CERTAIN).sum()), best[0], best.sum() / BEST]
    if len(scores):
        sides = np.maximum(found.boxes[:, 2:] - found.boxes[:, :2], 1e-3)
        areas = np.log((sides[:, 0] * sides[:, 1]).astype(np.float64))
        middle = areas.sum() / len(areas)
        spread = np.sqrt(max(areas @ areas / len(areas) - middle * middle, 0.0))
        figures += [sure.sum() / len(sure), middle, spread]
    else:
        figures += [lowest, NO_AREA, 0.0]
    every = np.concatenate([figures, pooled(said, maps)])
    if np.isfinite(every).all():
        return every
    return np.asarray(np.nan_to_num(every, posinf=LARGEST, neginf=-LARGEST))


def pooled(said: np.ndarray, maps: Sequence[Sequence[int]]) -> np.ndarray:
    """The means over the places of each head of what it says: float64 (heads * (classes + 4),).

    Of many boxes every second, third, ... counts.
    """
    places = [int(height) * int(width) for height, width in maps]
    each = len(said) // sum(places)  # boxes of a place
    step = max(1, -(-said.size // MOST_VALUES))
    while gcd(step, each) > 1:  # it would always be the same anchors
        step += 1
    ends = np.cumsum(places) * each
    if step == 1:  # at once
        counts = np.diff(ends, prepend=0)
        return np.asarray(np.add.reduceat(said, ends - counts) / counts[:, None], np.float64).ravel()
    parts = [said[end - each * n : end : min(step, each * n)].mean(axis=0) for end, n in zip(ends, places)]
    return np.concatenate(parts).astype(np.float64)


class ObjectCounts:
    """How many objects of each class the frames of a window have: mean, 90th percentile, share of frames with none.

    Nothing is tracked: an object that stays in view counts in every frame.
    """

    def __init__(self, classes: Sequence[str]) -> None:
        self.classes = classes
        self.frames: list[np.ndarray] = []
        self.last: dict[str, Any] = {}  # what the last window said

    def add(self, counts: np.ndarray) -> None:
        """Objects (classes,) of a frame."""
        self.frames.append(counts)

    def end_window(self) -> dict[str, Any]:
        """What the log has of the window that ends here, empty without a frame: of all objects, and by name of the most
        frequent classes; `more_classes` is how many others were seen.
        """
        if not self.frames:
            return {}
        counts = np.stack(self.frames)
        self.frames = []
        totals = counts.sum(axis=0)
        order = [int(n) for n in np.argsort(-totals, kind="stable")]
        self.last = {
            "objects": _figures(counts.sum(axis=1)),
            "objects_of": {self._name(n): _figures(counts[:, n]) for n in order[:MOST_CLASSES]},
            "more_classes": sum(int(totals[n] > 0) for n in order[MOST_CLASSES:]),
        }
        return self.last

    def _name(self, number: int) -> str:
        """A class's name, cut where it is long: a line of the log is bounded."""
        name = self.classes[number]
        return name if len(name) <= LONGEST_NAME else f"{name[: LONGEST_NAME - 10]}... ({number})"


def _figures(counts: np.ndarray) -> dict[str, float]:
    """Of objects (frames,)."""
    ordered = np.sort(counts)
    return {
        "mean": round(float(counts.mean()), 4), "p90": float(ordered[min(len(ordered) - 1, int(0.9 * len(ordered)))]),
        "none": round(float((counts == 0).mean()), 4),
    }  # fmt: skip
