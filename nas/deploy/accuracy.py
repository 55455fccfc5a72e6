"""Accuracies of deployed files, and the difference between two of them, each with its interval of 95%."""

from __future__ import annotations

import math
from collections.abc import Sequence

from nas.compress.drop import Drop
from nas.files.toml import Table

Z = 1.959964  # of a normal distribution, 97.5%


class Accuracy(Table):
    """A share of `images`, from 0 to 1, and where that of all such images lies."""

    value: float
    low: float
    high: float
    images: int


def accuracy_of(right: Sequence[bool]) -> Accuracy:
    """The share that is right, with the interval of Wilson (JASA 1927). Raises ValueError where there are no images."""
    if not right:
        raise ValueError("an accuracy needs at least one image")
    low, high = interval_of(sum(right) / len(right), len(right))
    return Accuracy(value=sum(right) / len(right), low=low, high=high, images=len(right))


def interval_of(share: float, images: int) -> tuple[float, float]:
    """The interval of Wilson (JASA 1927) of a share of so many images."""
    square = Z**2 / images
    middle = (share + square / 2) / (1 + square)
    half = Z * math.sqrt(share * (1 - share) / images + square / (4 * images)) / (1 + square)
    return max(0.0, middle - half), min(1.0, middle + half)


def difference_of(right: Sequence[bool], before: Sequence[bool]) -> Accuracy:
    """By how much a share is larger than another one of the same images in the same order; below 0: smaller.

    The interval is of pairs, as `nas.compress.drop` has it: far narrower than that of two accuracies, since most images
    are right in both or in neither.
    Raises ValueError where the two are not of as many images.
    """
    if len(right) != len(before) or not right:
        raise ValueError(f"a difference needs the same images twice; got {len(right)} and {len(before)}")
    gained = sum(now and not then for now, then in zip(right, before, strict=True))
    lost = sum(then and not now for now, then in zip(right, before, strict=True))
    drop = Drop(len(right), lost, gained)
    low, high = drop.interval
    return Accuracy(value=0.0 - drop.value, low=max(-1.0, -high), high=min(1.0, -low), images=drop.images)
