"""A network and a camera whose law is known: what they give for clean and for changed pictures, in a moment."""

from __future__ import annotations

from functools import cache

import numpy as np

from nas.data.corruptions import corrupt
from nas.monitor.ran import Ran
from nas.monitor.reference import reference_of

CLASSES, WIDTH, SIDE = 6, 12, 16
FAMILIES = ("gaussian-noise", "gaussian-blur", "contrast", "brightness")
COST = {"gaussian-noise": 2.0, "gaussian-blur": 1.4, "contrast": 1.8, "brightness": 0.6}  # of the scores' quality


def pictures(labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """uint8 (n, 16, 16, 3), smooth, lighter in later classes."""
    waves = np.cumsum(rng.standard_normal((len(labels), SIDE, SIDE, 3)), axis=1)
    return np.clip(100 + 8 * labels[:, None, None, None] + 9 * waves, 0, 255).astype(np.uint8)


def run(labels: np.ndarray, far: float, rng: np.random.Generator) -> Ran:
    """Scores right about nine times of ten where `far` is 0; with it they are noisier and drawn to class 0, and
    features move along one direction.
    """
    classes = np.random.default_rng(7).standard_normal((CLASSES, WIDTH))
    features = classes[labels] + 0.7 * rng.standard_normal((len(labels), WIDTH)) + far * 0.3
    scores = 2.2 * np.eye(CLASSES)[labels] + (1 + 0.35 * far) * rng.standard_normal((len(labels), CLASSES))
    scores[:, 0] += 0.8 * far
    return Ran((1.3 * scores).astype(np.float32), features.astype(np.float32), labels)


def seen(labels: np.ndarray, family: str, severity: int, seed: int) -> tuple[np.ndarray, Ran]:
    rng = np.random.default_rng([seed, severity, len(family)])
    pixels = pictures(labels, rng)
    if not family:
        return pixels, run(labels, 0.0, rng)
    return corrupt(pixels, family, severity, seed=seed), run(labels, COST[family] * severity / 5, rng)


@cache
def reference() -> dict[str, np.ndarray]:
    labels = np.random.default_rng(0).integers(0, CLASSES, 1500)
    pixels, clean = seen(labels, "", 0, 1)
    shifted = [(f, s, seen(labels[:500], f, s, 2)[1]) for f in FAMILIES for s in (2, 4, 5)]
    return reference_of(pixels, clean, shifted, CLASSES)
