"""A dataset for image classification, split so that the search cannot see the test images by accident."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import sha256

import numpy as np
import torch
from torch import Tensor

from nas.data.images import Images
from nas.errors import UserError

TEST_SHARE = 0.2  # of a dataset that comes without a test split
TEST_SEED = 0  # the same test images whatever the user's seed: what one run trains on, no other run tests on


@dataclass(frozen=True, slots=True, eq=False)
class Split:
    """Images with their labels, int64 (n,)."""

    images: Images
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def subset(self, indices: Tensor) -> Split:
        return Split(self.images.subset(indices), self.labels[indices])

    def share(self, share: float, seed: int) -> Split:
        """A part of the split with the same mix of classes, at least one image of each."""
        if share >= 1:
            return self
        return self.subset(_pick(self.labels, share, seed))


@dataclass(frozen=True, slots=True, eq=False)
class Dataset:
    """Training and validation images, which a search may see, and test images, which it may not."""

    name: str
    classes: tuple[str, ...]
    train: Split
    validation: Split
    flip: bool  # whether a mirrored image keeps its meaning
    fingerprint: str  # SHA-256 of images, labels and splits
    _test: Split = field(repr=False)

    def test_split(self) -> Split:
        """The images for the one last measurement of finished networks; never for choosing among them."""
        return self._test


def split_dataset(
    name: str, classes: Sequence[str], known: Split, test: Split | None, *,
    validation_share: float, seed: int, flip: bool,
) -> Dataset:  # fmt: skip
    """Hold a validation split out of the `known` images with `seed`, and before it a test split if there is none.

    Raises UserError when a class has too few images to be in each split, or there are fewer than two classes.
    """
    if not 0 < validation_share < 1:
        raise UserError(f"{name}: the validation share must lie between 0 and 1; got {validation_share}")
    if len(classes) < 2:
        raise UserError(f"{name}: a classifier needs at least two classes; found only {', '.join(classes) or 'none'}")
    needed = 2 if test else 3
    for label, count in enumerate(torch.bincount(known.labels, minlength=len(classes)).tolist()):
        if count < needed:
            raise UserError(f"{name}: class {classes[label]!r} has {count} images; a split needs at least {needed}")
    if test is None:
        known, test = _hold_out(known, TEST_SHARE, TEST_SEED)
    train, validation = _hold_out(known, validation_share, seed)
    parts = [repr((tuple(classes), flip))]
    parts += [split.images.digest() + str(split.labels.tolist()) for split in (train, validation, test)]
    fingerprint = sha256("\n".join(parts).encode()).hexdigest()
    return Dataset(name, tuple(classes), train, validation, flip, fingerprint, test)


def _hold_out(split: Split, share: float, seed: int) -> tuple[Split, Split]:
    held = _pick(split.labels, share, seed)
    rest = torch.ones(len(split), dtype=torch.bool)
    rest[held] = False
    return split.subset(rest.nonzero()[:, 0]), split.subset(held)


def _pick(labels: Tensor, share: float, seed: int) -> Tensor:
    """Sorted indices of `share` of each class, at least one image of it and at most all but one."""
    rng = np.random.default_rng(seed)
    picked = []
    for label in np.unique(labels.numpy()):
        own = rng.permutation(np.flatnonzero(labels.numpy() == label))
        picked.append(own[: max(1, min(len(own) - 1, round(share * len(own))))])
    return torch.from_numpy(np.sort(np.concatenate(picked)))
