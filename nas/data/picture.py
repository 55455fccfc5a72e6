"""One picture file of a dataset as a square of RGB pixels; `nas.data.pixels`, with errors that a program catches."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from nas.data import pixels
from nas.data.pixels import NotAPicture, is_picture, quiet
from nas.errors import UserError

__all__ = ["full_size", "is_picture", "quiet", "read_square", "read_whole", "short_side"]


def short_side(path: Path) -> int:
    """Pixels of a picture's shorter side, from its header. Raises UserError for a file that is not a picture."""
    try:
        return pixels.short_side(path)
    except NotAPicture as error:
        raise UserError(str(error)) from None


def read_square(path: Path, side: int) -> np.ndarray:
    """`nas.data.pixels.read_square`. Raises UserError for a file that is not a readable picture."""
    try:
        return pixels.read_square(path, side)
    except NotAPicture as error:
        raise UserError(str(error)) from None


def read_whole(path: Path, side: int) -> np.ndarray:
    """`nas.data.pixels.read_whole`. Raises UserError for a file that is not a readable picture."""
    try:
        return pixels.read_whole(path, side)
    except NotAPicture as error:
        raise UserError(str(error)) from None


def full_size(path: Path) -> tuple[int, int]:
    """Width and height in pixels, from the header. Raises UserError for a file that is not a picture."""
    try:
        return pixels.full_size(path)
    except NotAPicture as error:
        raise UserError(str(error)) from None
