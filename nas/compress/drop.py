"""What a compressed file loses against the original, on the same images."""

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
        low, high = self.interval
        return (
            f"loses {100 * self.value:.1f} points (95%: {100 * low:.1f} to {100 * high:.1f}) on {self.images:,} images"
        )


def drop_of(labels: np.ndarray, before: np.ndarray, after: np.ndarray) -> Drop:
    """The drop between two classifiers' answers, all int (n,)."""
    was, now = before == labels, after == labels
    return Drop(len(labels), int((was & ~now).sum()), int((now & ~was).sum()))


def answers(run: Callable[[np.ndarray], np.ndarray], images: Iterable[np.ndarray]) -> np.ndarray:
    """The class that a session gives each image, int (n,); -1, which is no class, where a score is not finite."""
    scores = (run(image) for image in images)
    return np.array([int(s.argmax()) if np.isfinite(s).all() else -1 for s in scores], dtype=np.int64)
