"""How good the answers of deployed files are: the share of images that is right, or mAP, with intervals of 95%."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from nas.data.boxes import Detections
from nas.deploy.accuracy import Accuracy, accuracy_of, difference_of
from nas.deploy.detected import Detected, detected_of
from nas.tasks.precision import Truth, average_precision, deviation

Z = 1.959964  # of a normal distribution, 97.5%


class Judgment(NamedTuple):
    """Of classes the share that is right; of boxes COCO's mAP, and AP50: with an overlap of at least 0.5."""

    accuracy: Accuracy
    at_50: Accuracy | None
    detected: Detected | None = None  # the rest that is told of boxes


def judged(answers: Sequence[Any], labels: np.ndarray, classes: Sequence[str]) -> Judgment:
    """Of answers, as `nas.deploy.measure.Timed` has them, to images with these labels.

    Labels (n,) are classes, labels (n, m, 8) objects; a detector's deviations are by drawing the images anew.
    """
    if labels.ndim == 1:
        return Judgment(accuracy_of(_right(answers, labels)), None)
    found, truth = _found(answers), [Truth.of(rows) for rows in labels]
    judgment = _bootstrapped(lambda rows: _precisions(found, truth, classes, rows), len(truth), least=0.0)
    return judgment._replace(detected=detected_of(average_precision(found, truth, classes)))


def judged_less(answers: Sequence[Any], before: Sequence[Any], labels: np.ndarray, classes: Sequence[str]) -> Judgment:
    """By how much answers are better than other ones to the same images; below 0: worse. Intervals are of pairs."""
    if labels.ndim == 1:
        return Judgment(difference_of(_right(answers, labels), _right(before, labels)), None)
    now, then, truth = _found(answers), _found(before), [Truth.of(rows) for rows in labels]

    def less(rows: np.ndarray) -> np.ndarray:
        return np.asarray(_precisions(now, truth, classes, rows) - _precisions(then, truth, classes, rows))

    return _bootstrapped(less, len(truth), least=-1.0)


def _bootstrapped(of: Callable[[np.ndarray], np.ndarray], images: int, least: float) -> Judgment:
    """What `of` gives for all images, mAP and AP50, with the intervals of a normal distribution; from `least` to 1."""
    values, halves = of(np.arange(images)), Z * deviation(of, images)
    mean, at_50 = (
        Accuracy(value=value, low=max(least, value - half), high=min(1.0, value + half), images=images)
        for value, half in zip(values.tolist(), halves.tolist(), strict=True)
    )
    return Judgment(mean, at_50)


def joined(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """The labels of two splits as one; objects are padded to the larger number of them."""
    if one.ndim > 1:
        most = max(one.shape[1], other.shape[1])
        one, other = (_padded(labels, most) for labels in (one, other))
    return np.concatenate([one, other])


def _padded(labels: np.ndarray, most: int) -> np.ndarray:
    more = np.zeros((len(labels), most - labels.shape[1], labels.shape[2]), labels.dtype)
    more[:, :, 0], more[:, :, 6] = -1, labels[:, :1, 6]
    return np.concatenate([labels, more], axis=1)


def _right(answers: Sequence[Any], labels: np.ndarray) -> list[bool]:
    return [bool(answer == label) for answer, label in zip(answers, labels.tolist(), strict=True)]


def _found(answers: Sequence[Any]) -> list[Detections]:
    tables = [np.array(answer, np.float32).reshape(-1, 6) for answer in answers]
    return [Detections(table[:, 0].astype(np.int64), table[:, 1], table[:, 2:]) for table in tables]


def _precisions(
    found: Sequence[Detections], truth: Sequence[Truth], classes: Sequence[str], rows: np.ndarray
) -> np.ndarray:  # fmt: skip
    """mAP and AP50 of some pictures, (2,)."""
    of = average_precision([found[row] for row in rows], [truth[row] for row in rows], classes)
    return np.array([of.mean, of.at_50])
