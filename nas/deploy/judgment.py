"""How good the answers of deployed files are: the share of images that is right, or mAP, with intervals of 95%."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from nas.data.boxes import Detections
from nas.deploy.accuracy import Accuracy, accuracy_of, difference_of
from nas.tasks.precision import Truth, average_precision

DRAWS = 20  # of the images, for the deviation of mAP: it is then known to a sixth of itself
Z = 1.959964  # of a normal distribution, 97.5%


def judged(answers: Sequence[Any], labels: np.ndarray, classes: Sequence[str]) -> Accuracy:
    """The accuracy of answers, as `nas.deploy.measure.Timed` has them, to images with these labels.

    Labels (n,) are classes: the share that is right. Labels (n, m, 8) are objects: COCO's mAP, its deviation by drawing
    the images anew (Efron, Annals of Statistics, 1979).
    """
    if labels.ndim == 1:
        return accuracy_of(_right(answers, labels))
    found, truth = _found(answers), [Truth.of(rows) for rows in labels]
    return _bootstrapped(lambda rows: _mean(found, truth, classes, rows), len(truth), least=0.0)


def judged_less(answers: Sequence[Any], before: Sequence[Any], labels: np.ndarray, classes: Sequence[str]) -> Accuracy:
    """By how much answers are better than other ones to the same images; below 0: worse. Intervals are of pairs."""
    if labels.ndim == 1:
        return difference_of(_right(answers, labels), _right(before, labels))
    now, then, truth = _found(answers), _found(before), [Truth.of(rows) for rows in labels]

    def less(rows: np.ndarray) -> float:
        return _mean(now, truth, classes, rows) - _mean(then, truth, classes, rows)

    return _bootstrapped(less, len(truth), least=-1.0)


def _bootstrapped(of: Callable[[np.ndarray], float], images: int, least: float) -> Accuracy:
    """What `of` gives for all images, and the interval of a normal distribution; from `least` to 1."""
    rng, value = np.random.default_rng(0), of(np.arange(images))
    half = Z * float(np.std([of(rng.integers(images, size=images)) for _ in range(DRAWS)], ddof=1))
    return Accuracy(value=value, low=max(least, value - half), high=min(1.0, value + half), images=images)


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


def _mean(found: Sequence[Detections], truth: Sequence[Truth], classes: Sequence[str], rows: np.ndarray) -> float:
    return average_precision([found[row] for row in rows], [truth[row] for row in rows], classes).mean
