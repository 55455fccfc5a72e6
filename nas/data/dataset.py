"""A dataset of images, split so that the search cannot see the test images by accident."""

from __future__ import annotations

from dataclasses import dataclass, field
from hashlib import sha256
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from nas.data.images import Images
from nas.errors import UserError
from nas.files.plain import has_tricks

SplitName = Literal["train", "validation", "test"]
SPLIT_NAMES: dict[str, SplitName] = {
    "train": "train", "training": "train", "val": "validation", "valid": "validation", "validation": "validation",
    "test": "test", "testing": "test",
}  # fmt: skip
LONGEST_CLASS = 200  # characters of a class's name
TEST_SHARE = 0.2  # of a dataset that comes without a test split
TEST_SEED = 0  # the same test images whatever the user's seed: what one run trains on, no other run tests on


@dataclass(frozen=True, slots=True, eq=False)
class Split:
    """Images with their labels: classes, int64 (n,), or objects, float32 (n, m, 8) as of `nas.tasks.detection`."""

    images: Images
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def counted(self) -> int:
        """How many answers an accuracy on these images counts: an image's, or an object's that is no crowd's."""
        if self.labels.ndim == 1:
            return len(self)
        return int(((self.labels[..., 0] >= 0) & (self.labels[..., 5] == 0)).sum())

    def subset(self, indices: Tensor) -> Split:
        return Split(self.images.subset(indices), self.labels[indices])

    def share(self, share: float, seed: int) -> Split:
        """A part of the split with the same mix of classes, at least one image of each; of objects any part."""
        if share >= 1:
            return self
        if self.labels.ndim > 1:
            return self.subset(_any(len(self), share, seed))
        return self.subset(_pick(self.labels, share, seed))


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """What a folder or a file holds, before splits that it lacks are held out."""

    classes: tuple[str, ...]
    train: Split
    validation: Split | None = None
    test: Split | None = None
    left_out: tuple[str, ...] = ()  # what was found and is not used, in words
    task: str = "classification"  # by its name in nas.tasks
    licence: str = ""  # where it names one


@dataclass(frozen=True, slots=True, eq=False)
class Dataset:
    """Training and validation images, which a search may see, and test images, which it may not."""

    name: str
    classes: tuple[str, ...]
    train: Split
    validation: Split
    flip: bool  # whether a mirrored image keeps its meaning
    fingerprint: str  # SHA-256 of images, labels and splits
    description: str  # how many images each split has, where they are from, and what was left out: one line
    _test: Split = field(repr=False)
    task: str = "classification"  # by its name in nas.tasks
    licence: str = ""  # where it names one

    def test_split(self) -> Split:
        """The images for the one last measurement of finished networks; never for choosing among them."""
        return self._test


def split_dataset(name: str, found: Found, *, validation_share: float, seed: int, flip: bool) -> Dataset:
    """Holds the splits that are missing out of the training images: the test split first, then one to validate.

    `seed` draws the validation split, never the test split. Raises UserError when a class has too few images to be in
    each split, there are fewer than two classes, or a class's name cannot be printed.
    """
    if not 0 < validation_share < 1:
        raise UserError(f"{name}: the validation share must lie between 0 and 1; got {validation_share}")
    classes, train, validation, test = found.classes, found.train, found.validation, found.test
    _check_classes(name, classes, least=2 if found.task == "classification" else 1)
    if found.task == "classification":
        _check_enough(name, found)
    if test is None:
        train, test = _hold_out(train, TEST_SHARE, TEST_SEED)
    if validation is None:
        train, validation = _hold_out(train, validation_share, seed)
    parts = [repr((classes, flip))]
    for split in (train, validation, test):  # of objects without their areas, as before these were kept
        labels = split.labels if split.labels.ndim == 1 else split.labels[..., :7]
        parts.append(split.images.digest() + str(labels.tolist()))
    fingerprint = sha256("\n".join(parts).encode()).hexdigest()
    held = " (held out of the training images)"
    description = (
        f"{name}: {len(train):,} images for training, {len(validation):,} for validation"
        f"{'' if found.validation else held}, {len(test):,} for test{'' if found.test else held}"
    )
    description += f"; left out: {', '.join(found.left_out)}" if found.left_out else ""
    return Dataset(name, classes, train, validation, flip, fingerprint, description, test, found.task, found.licence)


def _check_enough(name: str, found: Found) -> None:
    classes, train = found.classes, found.train
    needed = 1 + (found.test is None) + (found.validation is None)
    for label, count in enumerate(torch.bincount(train.labels, minlength=len(classes)).tolist()):
        if count < needed:
            raise UserError(f"{name}: class {classes[label]!r} has {count} images; a split needs at least {needed}")


def _check_classes(name: str, classes: tuple[str, ...], least: int) -> None:
    if len(classes) < least:
        if least == 1:
            raise UserError(f"{name}: a detector needs at least one class; found none")
        raise UserError(f"{name}: a classifier needs at least two classes; found only {', '.join(classes) or 'none'}")
    for label in classes:
        # tabs, line ends and, as Python reads them, bytes that are not UTF-8
        unprintable = has_tricks(label) or any(c in "\t\r\n" or "\ud800" <= c <= "\udfff" for c in label)
        if unprintable or not 0 < len(label) <= LONGEST_CLASS:
            raise UserError(
                f"{name}: the name of a class must be 1 to {LONGEST_CLASS} printable characters; got {label[:80]!r}"
            )
    if len(set(classes)) < len(classes):
        twice = next(label for label in classes if classes.count(label) > 1)
        raise UserError(f"{name}: two classes are called {twice!r}")


def _hold_out(split: Split, share: float, seed: int) -> tuple[Split, Split]:
    held = _pick(split.labels, share, seed) if split.labels.ndim == 1 else _any(len(split), share, seed)
    rest = torch.ones(len(split), dtype=torch.bool)
    rest[held] = False
    return split.subset(rest.nonzero()[:, 0]), split.subset(held)


def _any(length: int, share: float, seed: int) -> Tensor:
    """Sorted indices of `share` of them, at least one and at most all but one."""
    chosen = np.random.default_rng(seed).permutation(length)[: max(1, min(length - 1, round(share * length)))]
    return torch.from_numpy(np.sort(chosen))


def _pick(labels: Tensor, share: float, seed: int) -> Tensor:
    """Sorted indices of `share` of each class, at least one image of it and at most all but one."""
    rng = np.random.default_rng(seed)
    picked = []
    for label in np.unique(labels.numpy()):
        own = rng.permutation(np.flatnonzero(labels.numpy() == label))
        picked.append(own[: max(1, min(len(own) - 1, round(share * len(own))))])
    return torch.from_numpy(np.sort(np.concatenate(picked)))
