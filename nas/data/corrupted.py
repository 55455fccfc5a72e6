"""A fixed part of a split under common corruptions, made once for each resolution."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import product

import numpy as np
import torch

from nas.data.corruptions import corrupt
from nas.data.dataset import Split
from nas.data.images import ImagesInMemory

CORRUPTED = ("gaussian-noise", "defocus-blur", "brightness", "contrast", "jpeg", "pixelate")
SEVERITIES = (1, 3, 5)
MOST_IMAGES = 128  # of the split; each is seen in 18 versions
KINDS = tuple(product(CORRUPTED, SEVERITIES))  # in the order of `at`
CACHE_BYTES = 2**29  # of corrupted images


@dataclass(slots=True, eq=False)
class CorruptedSplit:
    """At most `most` images of `split`, drawn with `seed`, in every corruption and severity.

    Copies are kept for the resolutions asked for last, as many as fit into 512 MB; where those of one resolution are
    more, they are made anew each time. They are not sent to other processes.
    """

    split: Split
    seed: int
    most: int = MOST_IMAGES
    part: Split = field(init=False, repr=False)
    _kept: dict[int, tuple[Split, ...]] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        order = np.random.default_rng(self.seed).permutation(len(self.split))
        self.part = self.split.subset(torch.from_numpy(np.sort(order[: self.most])))

    def at(self, resolution: int) -> Iterator[Split]:
        """The part at so many pixels, corrupted at that size: a split for each corruption and severity."""
        if self._bytes(resolution) > CACHE_BYTES:
            yield from self._made(resolution)
            return
        kept = self._kept.pop(resolution, None)
        while self._kept and sum(map(self._bytes, (*self._kept, resolution))) > CACHE_BYTES:
            del self._kept[next(iter(self._kept))]  # the one that was not asked for longest
        self._kept[resolution] = kept or tuple(self._made(resolution))
        yield from self._kept[resolution]

    def _bytes(self, resolution: int) -> int:
        return len(KINDS) * len(self.part) * 3 * resolution**2

    def _made(self, resolution: int) -> Iterator[Split]:
        pixels = self.part.images.take(torch.arange(len(self.part)), resolution).numpy()
        for name, severity in KINDS:
            images = torch.from_numpy(corrupt(pixels, name, severity, seed=self.seed))
            yield Split(ImagesInMemory(images), self.part.labels)

    def __reduce__(self) -> tuple[type[CorruptedSplit], tuple[Split, int, int]]:
        return CorruptedSplit, (self.split, self.seed, self.most)
