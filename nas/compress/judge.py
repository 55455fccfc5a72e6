"""What a file answers to validation images, and what another file's answers lose against them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from nas.compress.drop import BoxDrop, Drop, answers, drop_of
from nas.data.boxes import Detections, detections, priors
from nas.numbers import percent
from nas.tasks.detection import heads_of
from nas.tasks.precision import Truth, average_precision, deviation

if TYPE_CHECKING:
    from nas.data.dataset import Split
    from nas.models.trained import TrainedModel

Run = Callable[[np.ndarray], np.ndarray]  # of one image, float32 (1, c, h, w)
MOST_IMAGES, MOST_PICTURES = 5000, 500  # of the validation split: AP50 is counted anew for each draw of the pictures


class Judge(Protocol):
    """Answers are whatever `answers` gives: nobody else looks into them."""

    def answers(self, run: Run, images: Iterable[np.ndarray]) -> Any:
        """Of a session, to images in the order of the labels."""
        ...

    def drop(self, before: Any, after: Any) -> Drop | BoxDrop: ...

    def text(self, given: Any) -> str:
        """How good the answers are, in words."""
        ...


def judge_of(model: TrainedModel, images: Split) -> Judge:
    """Of a model's answers to these images."""
    labels = images.labels.numpy()
    return BoxJudge(model, labels) if model.network.detects else ClassJudge(labels)


class ClassJudge:
    """Labels int (n,): an answer is a class."""

    def __init__(self, labels: np.ndarray) -> None:
        self.labels = labels

    def answers(self, run: Run, images: Iterable[np.ndarray]) -> np.ndarray:
        return answers(run, images)

    def drop(self, before: np.ndarray, after: np.ndarray) -> Drop:
        return drop_of(self.labels, before, after)

    def text(self, given: np.ndarray) -> str:
        return f"{percent(float((given == self.labels).mean()))} of {len(self.labels):,} validation images"


class BoxJudge:
    """Labels float32 (n, m, 8) of objects: an answer is the boxes of a picture, judged by AP50."""

    def __init__(self, model: TrainedModel, labels: np.ndarray) -> None:
        self.kind, maps = heads_of(model.network)
        self.priors, self.classes = priors(self.kind, maps), model.classes
        self.truth = [Truth.of(rows) for rows in labels]

    def answers(self, run: Run, images: Iterable[np.ndarray]) -> list[Detections]:
        return [detections(run(image)[0], self.priors, self.kind) for image in images]

    def drop(self, before: Sequence[Detections], after: Sequence[Detections]) -> BoxDrop:
        def lost(rows: np.ndarray) -> np.ndarray:
            return np.array([self._at_50(before, rows) - self._at_50(after, rows)])

        images = len(self.truth)
        return BoxDrop(images, float(lost(np.arange(images))[0]), float(deviation(lost, images)[0]))

    def text(self, given: Sequence[Detections]) -> str:
        images = len(self.truth)
        return f"AP50 {percent(self._at_50(given, np.arange(images)))} on {images:,} validation images"

    def _at_50(self, given: Sequence[Detections], rows: np.ndarray) -> float:
        found, truth = [given[row] for row in rows], [self.truth[row] for row in rows]
        return average_precision(found, truth, self.classes).at_50
