"""What a detector's numbers mean: where its boxes stand, how they are decoded, and which of them are kept.

Python 3.8 or later and NumPy; nothing else of nas: evaluation and a board run the same code. Boxes are float32
(x1, y1, x2, y2) in shares of the square picture's side, from 0 at its left and upper edge to 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

RATIOS = (1.0, 2.0, 1 / 2, 3.0, 1 / 3)  # width to height of SSD's anchors (Liu et al., ECCV 2016)
SMALLEST, LARGEST = 0.1, 0.9  # sides of SSD's square anchors on the finest and the coarsest map
CENTER, SIZE = 0.1, 0.2  # SSD's variances: what a number of 1 moves or stretches a box by
STRIDES = 4.0  # side of the box that stands for a place of a head without anchors, in places of its map
MOST_LOG = 6.0  # of a stretch: untrained networks say anything

Map = tuple[int, int]  # height and width of what a head reads


class Detections(NamedTuple):
    """Of one picture, the most probable first."""

    labels: np.ndarray  # int64 (n,)
    scores: np.ndarray  # float32 (n,), probabilities
    boxes: np.ndarray  # float32 (n, 4)


def priors(head: str, maps: Sequence[Map]) -> np.ndarray:
    """Where the boxes of a detector's heads stand: center x, center y, width, height, float32 (boxes, 4).

    `maps` in the order of the heads, each coarser than the next. "ssdlite": 6 anchors at each place, a square, one of
    the geometric mean of its side and the next coarser map's, and four of RATIOS. "anchor_free": each place itself, as
    wide as a step of the map.
    """
    found = []
    sides = np.linspace(LARGEST, SMALLEST, len(maps)) if len(maps) > 1 else np.array([SMALLEST])
    for level, (height, width) in enumerate(maps):
        y, x = np.meshgrid((np.arange(height) + 0.5) / height, (np.arange(width) + 0.5) / width, indexing="ij")
        if head == "ssdlite":
            side = sides[level]
            larger = np.sqrt(side * (sides[level - 1] if level else 1.0))
            sizes = [(side * r**0.5, side / r**0.5) for r in RATIOS]
            sizes.insert(1, (larger, larger))
        else:
            sizes = [(1 / width, 1 / height)]
        each = [np.stack([x, y, np.full_like(x, w), np.full_like(y, h)], axis=-1) for w, h in sizes]
        found.append(np.stack(each, axis=2).reshape(-1, 4))
    return np.concatenate(found).astype(np.float32)


def decode(numbers: np.ndarray, prior: np.ndarray, head: str) -> np.ndarray:
    """A head's numbers, float32 (..., boxes, 4), as boxes of the same shape.

    "ssdlite": the center moved by 0.1 of the anchor's sides, the sides stretched by powers of e. "anchor_free": powers
    of e are the distances from the place to the left, upper, right and lower side, in steps of the map.
    """
    center, size = prior[:, :2], prior[:, 2:]
    if head == "ssdlite":
        middle = center + CENTER * numbers[..., :2] * size
        half = size * np.exp(np.minimum(SIZE * numbers[..., 2:], MOST_LOG)) / 2
        return np.concatenate([middle - half, middle + half], axis=-1)
    reach = np.exp(np.minimum(numbers, MOST_LOG))
    return np.concatenate([center - reach[..., :2] * size, center + reach[..., 2:] * size], axis=-1)


def detections(
    said: np.ndarray, prior: np.ndarray, head: str, *, least: float = 0.05, overlap: float = 0.6, most: int = 100,
    candidates: int = 400,
) -> Detections:  # fmt: skip
    """What a detector says of one picture, float32 (boxes, classes + 4), as at most `most` boxes.

    Boxes of a class whose probability is below `least` are dropped, and those that a better one of the same class
    overlaps by more than `overlap` of their union; at most `candidates` boxes are looked at.
    """
    logits = said[:, :-4]
    rows, labels = np.nonzero(logits > np.log(least / (1 - least)))
    scores = 1 / (1 + np.exp(-logits[rows, labels].astype(np.float32)))
    order = np.argsort(-scores, kind="stable")[:candidates]
    rows, labels, scores = rows[order], labels[order], scores[order]
    boxes = np.nan_to_num(np.clip(decode(said[rows, -4:], prior[rows], head), 0, 1)).astype(np.float32)
    kept = suppressed(boxes, labels, overlap)[:most]
    return Detections(labels[kept], scores[kept], boxes[kept])


def suppressed(boxes: np.ndarray, labels: np.ndarray, overlap: float) -> np.ndarray:
    """The rows that non-maximum suppression leaves of boxes (n, 4), the best first, class by class."""
    above = np.triu(overlaps(boxes, boxes) > overlap, 1) & (labels[:, None] == labels[None])
    alive = np.ones(len(boxes), dtype=bool)
    kept: list[int] = []
    for row in range(len(boxes)):
        if alive[row]:
            kept.append(row)
            alive &= ~above[row]
    return np.array(kept, dtype=np.int64)


def overlaps(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Intersection over union of boxes (n, 4) and (m, 4), float32 (n, m); 0 where both are empty."""
    low = np.maximum(one[:, None, :2], other[None, :, :2])
    high = np.minimum(one[:, None, 2:], other[None, :, 2:])
    shared = np.clip(high - low, 0, None).prod(-1)
    areas = [(b[:, 2:] - b[:, :2]).clip(0).prod(-1) for b in (one, other)]
    union = areas[0][:, None] + areas[1][None] - shared
    return np.asarray(shared / np.maximum(union, 1e-12), dtype=np.float32)
