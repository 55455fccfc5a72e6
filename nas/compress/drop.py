"""What a compressed file loses against the original, on the same images: right answers, or AP50 of a detector."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

Z = 1.96  # standard deviations on each side of a 95% interval


@dataclass(frozen=True, slots=True)
class Drop:
    """Two classifiers on the same images: how many only the first gets right, and how many only the second."""

    images: int
    lost: int
    gained: int

    @property
    def value(self) -> float:
        """The accuracy that is lost, as a fraction; negative where the second is better."""
        return (self.lost - self.gained) / self.images

    @property
    def interval(self) -> tuple[float, float]:
        """Of 95%: Wald's, with 1/2 added to each of the four cells (Agresti and Min, Statistics in Medicine, 2005).

        On one set of images the difference is known far better than either accuracy is.
        """
        images, gap = self.images + 2, self.lost - self.gained
        deviation = math.sqrt(self.lost + self.gained + 1 - gap**2 / images) / images
        return gap / images - Z * deviation, gap / images + Z * deviation

    @property
    def text(self) -> str:
        return "loses " + _points(self.value, self.interval, self.images)


@dataclass(frozen=True, slots=True)
class BoxDrop:
    """Two detectors on the same images: the AP50 that the second lacks, and the standard deviation of that."""

    images: int
    value: float  # a fraction; negative where the second is better
    deviation: float

    @property
    def interval(self) -> tuple[float, float]:
        """Of 95%, of a normal distribution."""
        return self.value - Z * self.deviation, self.value + Z * self.deviation

    @property
    def text(self) -> str:
        return "loses " + _points(self.value, self.interval, self.images, " of AP50")


def _points(value: float, interval: tuple[float, float], images: int, of: str = "") -> str:
    low, high = interval
    return f"{100 * value:.1f} points{of} (95%: {100 * low:.1f} to {100 * high:.1f}) on {images:,} images"


def drop_of(labels: np.ndarray, before: np.ndarray, after: np.ndarray) -> Drop:
    """The drop between two classifiers' answers, all int (n,)."""
    was, now = before == labels, after == labels
    return Drop(len(labels), int((was & ~now).sum()), int((now & ~was).sum()))


def answers(run: Callable[[np.ndarray], np.ndarray], images: Iterable[np.ndarray]) -> np.ndarray:
    """The class that a session gives each image, int (n,); -1, which is no class, where a score is not finite."""
    scores = (run(image) for image in images)
    return np.array([int(s.argmax()) if np.isfinite(s).all() else -1 for s in scores], dtype=np.int64)
