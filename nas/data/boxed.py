"""Pictures with boxes as a dataset: each picture whole in a square, its boxes in shares of the square's side."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from nas.data.dataset import Found, Split
from nas.data.images import MEMORY_BYTES, Images, ImagesInMemory
from nas.data.picture import quiet
from nas.data.pixels import NotAPicture, full_size, read_whole
from nas.errors import UserError

LARGEST_SIDE = 320  # pixels kept of a picture's longer side in memory
COLUMNS = 7  # class, x1, y1, x2, y2, crowd, side


@dataclass(frozen=True, slots=True, eq=False)
class BoxedPicture:
    """A picture's file, its width and height in pixels, and float32 (n, 6): class, x1, y1, x2, y2 in pixels, crowd."""

    path: Path
    size: tuple[int, int]
    objects: np.ndarray
    where: str  # names it in errors


@dataclass(frozen=True, slots=True, eq=False)
class WholeImagesInFiles:
    """Pictures that are decoded each time they are taken. The digest is that of names and file sizes below `root`."""

    paths: tuple[Path, ...]
    root: Path
    side: int = 0

    def __len__(self) -> int:
        return len(self.paths)

    def take(self, indices: Tensor, resolution: int) -> Tensor:
        return decode_whole([self.paths[i] for i in indices.tolist()], resolution)

    def subset(self, indices: Tensor) -> WholeImagesInFiles:
        return WholeImagesInFiles(tuple(self.paths[i] for i in indices.tolist()), self.root)

    def digest(self) -> str:
        lines = (f"{path.relative_to(self.root).as_posix()} {path.stat().st_size}" for path in self.paths)
        return sha256("\n".join(lines).encode()).hexdigest()


def found_boxed(
    root: Path, classes: tuple[str, ...], parts: Mapping[str, Sequence[BoxedPicture]], skipped: Counter[str], *,
    in_files: bool = False,
) -> Found:  # fmt: skip
    """The splits "train", "validation" and "test", those that are there, of at least one picture with an object each.

    Pictures are kept in memory at 320 pixels a side where they fit. Raises UserError for a split without an object,
    and for a picture that cannot be read or has another size than it should.
    """
    for split, pictures in parts.items():
        if not any(len(picture.objects) for picture in pictures):
            raise UserError(f"{root}: its {split} pictures must have at least one box; got {len(pictures)} pictures")
    every = [picture for pictures in parts.values() for picture in pictures]
    for picture in every:
        _check_size(picture)
    side = min(LARGEST_SIDE, max(max(picture.size) for picture in every))
    in_memory = not in_files and len(every) * side**2 * 3 <= MEMORY_BYTES
    splits: dict[str, Split] = {}
    for split, pictures in parts.items():
        paths = tuple(picture.path for picture in pictures)
        images: Images = ImagesInMemory(decode_whole(paths, side)) if in_memory else WholeImagesInFiles(paths, root)
        splits[split] = Split(images, targets(pictures))
    left_out = tuple(f"{count:,} {what}" for what, count in skipped.items())
    return Found(classes, splits["train"], splits.get("validation"), splits.get("test"), left_out, "detection")


def targets(pictures: Sequence[BoxedPicture]) -> Tensor:
    """float32 (pictures, m, 7) as of `nas.tasks.detection`: padded with rows of class -1."""
    most = max(1, *(len(picture.objects) for picture in pictures))
    found = np.zeros((len(pictures), most, COLUMNS), np.float32)
    found[:, :, 0] = -1
    for row, picture in zip(found, pictures, strict=True):
        side = max(picture.size)
        row[:, 6] = side
        own = picture.objects
        row[: len(own), 0], row[: len(own), 1:5], row[: len(own), 5] = own[:, 0], own[:, 1:5] / side, own[:, 5]
    return torch.from_numpy(found)


def decode_whole(paths: Sequence[Path], side: int) -> Tensor:
    """Files as uint8 (n, side, side, 3), each as `read_whole` reads it. Raises UserError for one that is no picture."""

    def read(path: Path) -> np.ndarray:
        try:
            return read_whole(path, side)
        except NotAPicture as error:
            raise UserError(str(error)) from None

    with quiet(), ThreadPoolExecutor(torch.get_num_threads()) as pool:
        return torch.from_numpy(np.stack(list(pool.map(read, paths))))


def _check_size(picture: BoxedPicture) -> None:
    try:
        size = full_size(picture.path)
    except NotAPicture as error:
        raise UserError(f"{picture.where}: {error}") from None
    if size != picture.size:
        said, got = (f"{w} x {h}" for w, h in (picture.size, size))
        raise UserError(f"{picture.where}: {picture.path.name} must have {said} pixels, as it says; got {got}")
