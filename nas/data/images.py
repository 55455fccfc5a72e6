"""Images as square uint8 batches: held in memory where they fit, else decoded from their files at need."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from nas.data.picture import quiet, read_square, read_whole
from nas.data.pixels import scaled

MEMORY_BYTES = 2**30  # of decoded images; more stay in their files
CACHE_BYTES = 2**28  # of all resized copies of a split; what does not fit is resized batch by batch


class Images(Protocol):
    """A sequence of square RGB images."""

    def __len__(self) -> int: ...

    @property
    def side(self) -> int:
        """Pixels of a side as they are kept, before `take` scales them; 0: read at the resolution that is asked for."""

    def take(self, indices: Tensor, resolution: int) -> Tensor:
        """The images at `indices` (n,) as uint8 (n, resolution, resolution, 3)."""

    def subset(self, indices: Tensor) -> Images:
        """Only the images at `indices` (n,)."""

    def digest(self) -> str:
        """A SHA-256 of the images, or of what names them."""


@dataclass(frozen=True, slots=True, eq=False)
class ImagesInMemory:
    """`pixels` is uint8 (n, side, side, 3). Resized copies are kept for the last resolutions asked for."""

    pixels: Tensor
    _resized: dict[int, Tensor] = field(default_factory=dict, repr=False)

    def __len__(self) -> int:
        return len(self.pixels)

    @property
    def side(self) -> int:
        return int(self.pixels.shape[1])

    def take(self, indices: Tensor, resolution: int) -> Tensor:
        if resolution == self.pixels.shape[1]:
            return self.pixels[indices]
        size = len(self) * resolution**2 * 3
        if size > CACHE_BYTES:
            return resize(self.pixels[indices], resolution)
        copy = self._resized.pop(resolution, None)  # and put back as the one asked for last
        if copy is None:
            while size + sum(kept.numel() for kept in self._resized.values()) > CACHE_BYTES:
                del self._resized[next(iter(self._resized))]
            copy = resize(self.pixels, resolution)
        self._resized[resolution] = copy
        return copy[indices]

    def subset(self, indices: Tensor) -> ImagesInMemory:
        return ImagesInMemory(self.pixels[indices])

    def digest(self) -> str:
        return sha256(repr(tuple(self.pixels.shape)).encode() + self.pixels.numpy().tobytes()).hexdigest()


@dataclass(frozen=True, slots=True, eq=False)
class ImagesInFiles:
    """`paths` are decoded each time they are taken, `whole` as `decode` says.

    The digest is that of names and file sizes below `root`.
    """

    paths: tuple[Path, ...]
    root: Path
    side: int = 0
    whole: bool = False

    def __len__(self) -> int:
        return len(self.paths)

    def take(self, indices: Tensor, resolution: int) -> Tensor:
        return decode([self.paths[i] for i in indices.tolist()], resolution, whole=self.whole)

    def subset(self, indices: Tensor) -> ImagesInFiles:
        return ImagesInFiles(tuple(self.paths[i] for i in indices.tolist()), self.root, whole=self.whole)

    def digest(self) -> str:
        lines = (f"{path.relative_to(self.root).as_posix()} {path.stat().st_size}" for path in self.paths)
        return sha256("\n".join(lines).encode()).hexdigest()


def resize(pixels: Tensor, resolution: int) -> Tensor:
    """uint8 (n, h, h, 3) to (n, resolution, resolution, 3), each as `nas.data.pixels.scaled`, as a board does it."""
    with ThreadPoolExecutor(torch.get_num_threads()) as pool:
        return torch.from_numpy(np.stack(list(pool.map(lambda one: scaled(one, resolution), pixels.numpy()))))


def center_square(pixels: Tensor) -> Tensor:
    """The middle square of images (n, h, w, 3)."""
    height, width = pixels.shape[1:3]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    return pixels[:, top : top + side, left : left + side].contiguous()


def decode(paths: Sequence[Path], side: int, *, whole: bool = False) -> Tensor:
    """Files as uint8 (n, side, side, 3), each as `read_square` reads it, or `whole` as `read_whole` does.

    Raises UserError that names the first file which is not a readable picture.
    """
    with quiet(), ThreadPoolExecutor(torch.get_num_threads()) as pool:
        read = read_whole if whole else read_square
        return torch.from_numpy(np.stack(list(pool.map(lambda path: read(path, side), paths))))
