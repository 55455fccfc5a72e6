"""A detector's AP50 without labels: from how far what it says of frames is from what it says of validation pictures.

A regression on the logarithms of two squared distances in deviations, of the figures of the boxes and of what the heads
say, fitted on validation pictures under shifts. It takes frames to show what validation pictures show: other objects,
or fewer, are far away too, and are taken for a loss.
"""

from __future__ import annotations

from typing import Any, Mapping

import numpy as np

from .accuracy import FEWEST, OUTSIDE, WINDOW, Estimate
from .objects import NAMES

DIGITS = 3


def distances_of(scores: np.ndarray, middle: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """Of `objects.scores_of` frames (n, 7 + d), with the means and deviations (7 + d,) of validation pictures: the
    logarithms of the mean squares of the figures and of the rest, float64 (n, 2).
    """
    apart = np.square((scores - middle) / scale)
    parts = apart[:, : len(NAMES)], apart[:, len(NAMES) :]
    return np.log(np.stack([part.mean(axis=1) for part in parts], axis=1) + 1e-6)


def terms_of(distances: np.ndarray) -> np.ndarray:
    """What the regression weighs of mean distances (..., 2): them and their squares, (..., 4)."""
    return np.concatenate([distances, np.square(distances)], axis=-1)


class PrecisionEstimator:
    """`reference` holds, as `nas.monitor.precision` writes them: ap50 (), that of validation pictures; middle and scale
    (7 + d,); lowest and highest (2,) distances of the shifts; weights (5,), the last one added; and error (), that 95%
    of the kinds of shift that were left out stayed within.
    """

    def __init__(self, reference: Mapping[str, np.ndarray]) -> None:
        self.ap50, self.error = float(reference["ap50"]), float(reference["error"])
        self.middle, self.scale = np.asarray(reference["middle"]), np.asarray(reference["scale"])
        self.lowest, self.highest = np.asarray(reference["lowest"]), np.asarray(reference["highest"])
        self.weights = np.asarray(reference["weights"])

    def distances(self, scores: np.ndarray) -> np.ndarray:
        return distances_of(scores, self.middle, self.scale)

    def estimate(self, distances: np.ndarray) -> Estimate:
        """AP50 of frames of these distances (n, 2), as an `Estimate`."""
        found = distances.mean(axis=0)
        inside = np.minimum(np.maximum(found, self.lowest), self.highest)
        value = float(np.clip(terms_of(inside) @ self.weights[:-1] + self.weights[-1], 0.0, 1.0))
        error = self.error * max(1.0, float(np.sqrt(FEWEST / len(distances))))
        trusted = len(distances) >= FEWEST and bool(np.abs(found - inside).max() <= OUTSIDE)
        return Estimate(value, max(0.0, value - error), min(1.0, value + error), trusted)


class Distances:
    """Those of the last 500 frames."""

    def __init__(self, state: Any = None) -> None:
        self.values = np.array(state if state else [], np.float64).reshape(-1, 2)[-WINDOW:]

    def add(self, distances: np.ndarray) -> None:
        self.values = np.concatenate([self.values, distances])[-WINDOW:]

    def state(self) -> list[list[float]]:
        found: list[list[float]] = np.round(self.values, DIGITS).tolist()
        return found
