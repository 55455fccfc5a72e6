"""A new model beside the one in use, both as the files that are served: on old images, on new ones, on kept frames."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from nas.compress.drop import Drop, drop_of
from nas.data.corruptions import corrupt
from nas.data.dataset import Dataset
from nas.deploy.facts import Facts
from nas.monitor.labels import Labelled, Pictures
from nas.monitor.likeness import Likeness
from nas.train.loop import spread

MOST_IMAGES = 5000
LEAST_LABELLED = 30  # that say whether the new model is better; of fewer, drifts made of old images say it

Session = Callable[[np.ndarray], np.ndarray]  # float32 (1, 3, r, r) to scores (1, classes)


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two models on some images, by labels. `what` they are, in words."""

    what: str
    before: float  # accuracy, a fraction
    after: float
    drop: Drop

    @property
    def text(self) -> str:
        low, high = (-100 * value for value in reversed(self.drop.interval))
        return (
            f"{self.what}: {100 * self.before:.1f}% before, {100 * self.after:.1f}% after "
            f"({-100 * self.drop.value:+.1f} points, 95%: {low:+.1f} to {high:+.1f}; {self.drop.images:,} images)"
        )


@dataclass(frozen=True, slots=True)
class Verification:
    """The new model against the one in use. `decides` is what says whether it is better on the drift."""

    old: Comparison
    new: tuple[Comparison, ...]
    agreement: float | None  # the share of kept frames that both classify alike; None: there are none

    @property
    def decides(self) -> Comparison | None:
        """None: nothing is known of the drift."""
        return self.new[0] if self.new else None

    @property
    def lines(self) -> list[str]:
        frames = [] if self.agreement is None else [f"kept frames: both say the same of {100 * self.agreement:.1f}%"]
        return [self.old.text, *(one.text for one in self.new), *frames]


def inputs_of(pixels: np.ndarray, facts: Facts) -> list[np.ndarray]:
    """uint8 (n, r, r, 3) as the network takes them, each float32 (1, 3, r, r)."""
    mean, std = np.array(facts.mean, np.float32), np.array(facts.std, np.float32)
    return [np.ascontiguousarray(((one - mean) / std).transpose(2, 0, 1)[None]) for one in pixels.astype(np.float32)]


def scores_of(run: Session, pixels: np.ndarray, facts: Facts) -> np.ndarray:
    """Scores float32 (n, classes) of images uint8 (n, r, r, 3)."""
    found = [run(image)[0] for image in inputs_of(pixels, facts)]
    return np.stack(found) if found else np.zeros((0, len(facts.classes)), np.float32)


def compare(
    before: Session, after: Session, facts: Facts, data: Dataset, drifts: tuple[Likeness, ...], held: Labelled | None,
    frames: Pictures,
) -> Verification:  # fmt: skip
    """Both models on the test images, on `held` pictures with new labels, on drifts made of test images, on frames."""

    def compared(what: str, pixels: np.ndarray, labels: np.ndarray) -> Comparison:
        was, now = (scores_of(run, pixels, facts).argmax(axis=1) for run in (before, after))
        return Comparison(what, float((was == labels).mean()), float((now == labels).mean()), drop_of(labels, was, now))

    test = data.test_split()
    chosen = spread(len(test), MOST_IMAGES)
    pixels, labels = test.images.take(chosen, facts.resolution).numpy(), test.labels[chosen].numpy()
    old = compared("old test images", pixels, labels)
    new = []
    if held is not None and len(held.labels) >= LEAST_LABELLED:
        new.append(compared("new pictures with labels, not learned from", held.pictures.pixels, held.labels))
    for one in drifts[:1]:
        drifted = corrupt(pixels, one.corruption, one.severity, seed=1)
        new.append(compared(f"old test images with {one.text}", drifted, labels))
    agreement = None
    if len(frames):
        agreement = float(
            np.mean(
                scores_of(before, frames.pixels, facts).argmax(1) == scores_of(after, frames.pixels, facts).argmax(1)
            )
        )
    return Verification(old, tuple(new), agreement)
