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
from PIL import Image
from torch import Tensor
from torch.nn.functional import interpolate

from nas.errors import UserError

MEMORY_BYTES = 2**30  # of decoded images; more stay in their files
CACHE_BYTES = 2**28  # of one resized copy; larger ones are resized batch by batch
UNREADABLE = (OSError, ValueError, SyntaxError, Image.DecompressionBombError)  # what Pillow raises on a broken file


class Images(Protocol):
    """A sequence of square RGB images."""

    def __len__(self) -> int: ...

    def take(self, indices: Tensor, resolution: int) -> Tensor:
        """The images at `indices` (n,) as uint8 (n, resolution, resolution, 3)."""

    def subset(self, indices: Tensor) -> Images:
        """The images at `indices` (n,) alone."""

    def digest(self) -> str:
        """A SHA-256 of the images, or of what names them."""


@dataclass(frozen=True, slots=True, eq=False)
class ImagesInMemory:
    """`pixels` is uint8 (n, side, side, 3). Resized copies are kept for the last resolution asked for."""

    pixels: Tensor
    _resized: dict[int, Tensor] = field(default_factory=dict, repr=False)

    def __len__(self) -> int:
        return len(self.pixels)

    def take(self, indices: Tensor, resolution: int) -> Tensor:
        if resolution == self.pixels.shape[1]:
            return self.pixels[indices]
        if len(self) * resolution**2 * 3 > CACHE_BYTES:
            return resize(self.pixels[indices], resolution)
        if resolution not in self._resized:
            self._resized.clear()
            self._resized[resolution] = resize(self.pixels, resolution)
        return self._resized[resolution][indices]

    def subset(self, indices: Tensor) -> ImagesInMemory:
        return ImagesInMemory(self.pixels[indices])

    def digest(self) -> str:
        return sha256(repr(tuple(self.pixels.shape)).encode() + self.pixels.numpy().tobytes()).hexdigest()


@dataclass(frozen=True, slots=True, eq=False)
class ImagesInFiles:
    """`paths` are decoded each time they are taken. The digest is that of names and file sizes below `root`."""

    paths: tuple[Path, ...]
    root: Path

    def __len__(self) -> int:
        return len(self.paths)

    def take(self, indices: Tensor, resolution: int) -> Tensor:
        return decode([self.paths[i] for i in indices.tolist()], resolution)

    def subset(self, indices: Tensor) -> ImagesInFiles:
        return ImagesInFiles(tuple(self.paths[i] for i in indices.tolist()), self.root)

    def digest(self) -> str:
        lines = (f"{path.relative_to(self.root).as_posix()} {path.stat().st_size}" for path in self.paths)
        return sha256("\n".join(lines).encode()).hexdigest()


def resize(pixels: Tensor, resolution: int) -> Tensor:
    """uint8 (n, h, w, 3) to (n, resolution, resolution, 3), bilinear, with antialiasing when it gets smaller."""
    size = (resolution, resolution)
    out = interpolate(pixels.permute(0, 3, 1, 2), size, mode="bilinear", antialias=True)
    return out.permute(0, 2, 3, 1).contiguous()


def decode(paths: Sequence[Path], side: int) -> Tensor:
    """Files as uint8 (n, side, side, 3): the short side scaled to `side`, the middle square kept.

    Raises UserError that names the first file which is no readable image.
    """
    with ThreadPoolExecutor(torch.get_num_threads()) as pool:
        return torch.from_numpy(np.stack(list(pool.map(lambda path: _decode_one(path, side), paths))))


def short_side(path: Path) -> int:
    """Pixels of an image's shorter side, from its header. Raises UserError for a file that is no image."""
    try:
        with Image.open(path) as image:
            return min(image.size)
    except UNREADABLE as error:
        raise _unreadable(path, error) from None


def _decode_one(path: Path, side: int) -> np.ndarray:
    try:
        with Image.open(path) as image:
            image.draft("RGB", (side, side))  # lets the JPEG decoder skip detail that the scaling would drop
            width, height = image.size
            short = min(width, height)
            left, top = (width - short) // 2, (height - short) // 2
            box = (left, top, left + short, top + short)
            return np.asarray(image.convert("RGB").resize((side, side), Image.Resampling.BILINEAR, box))
    except UNREADABLE as error:
        raise _unreadable(path, error) from None


def _unreadable(path: Path, error: Exception) -> UserError:
    return UserError(f"{path}: not a readable image ({error or type(error).__name__}); repair or remove the file")
