"""Pictures with boxes as a dataset: each picture whole in a square, its boxes in shares of the square's side."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from nas.data.dataset import Found, Split
from nas.data.images import MEMORY_BYTES, Images, ImagesInFiles, ImagesInMemory, decode
from nas.data.picture import full_size
from nas.errors import UserError

LARGEST_SIDE = 320  # pixels kept of a picture's longer side in memory
COLUMNS = 8  # class, x1, y1, x2, y2, crowd, side, area


@dataclass(frozen=True, slots=True, eq=False)
class BoxedPicture:
    """A picture's file, its width and height in pixels, and its objects.

    These are float32 (n, 7): class, x1, y1, x2, y2 in pixels, crowd, area in pixels.
    """

    path: Path
    size: tuple[int, int]
    objects: np.ndarray
    where: str  # names it in errors


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
        images: Images = (
            ImagesInMemory(decode(paths, side, whole=True)) if in_memory else ImagesInFiles(paths, root, whole=True)
        )
        splits[split] = Split(images, targets(pictures))
    left_out = tuple(f"{count:,} {what}" for what, count in skipped.items())
    return Found(classes, splits["train"], splits.get("validation"), splits.get("test"), left_out, "detection")


def targets(pictures: Sequence[BoxedPicture]) -> Tensor:
    """float32 (pictures, m, 8) as of `nas.tasks.detection`: padded with rows of class -1."""
    most = max(1, *(len(picture.objects) for picture in pictures))
    found = np.zeros((len(pictures), most, COLUMNS), np.float32)
    found[:, :, 0] = -1
    for row, picture in zip(found, pictures, strict=True):
        side = max(picture.size)
        row[:, 6] = side
        own = picture.objects
        row[: len(own), 0], row[: len(own), 1:5] = own[:, 0], own[:, 1:5] / side
        row[: len(own), 5], row[: len(own), 7] = own[:, 5], own[:, 6]
    return torch.from_numpy(found)


def _check_size(picture: BoxedPicture) -> None:
    try:
        size = full_size(picture.path)
    except UserError as error:
        raise UserError(f"{picture.where}: {error}") from None
    if size != picture.size:
        said, got = (f"{w} x {h}" for w, h in (picture.size, size))
        raise UserError(f"{picture.where}: {picture.path.name} must have {said} pixels, as it says; got {got}")
