"""How a picture becomes a network's input: the same pixels in training, in evaluation and on a board.

Python 3.8 or later, NumPy and Pillow; nothing else of nas: a deployment carries this file as it is. Pillow's decoders
and its resize give the same bytes on every machine. A picture's file may come from a stranger.
"""

from __future__ import annotations

import logging
import os
import stat
import threading
import warnings
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Iterator, Sequence, Union

import numpy as np
from PIL import Image, UnidentifiedImageError

# By content: others start programs or are rarely tried. MPO, which phones write, begins as a JPEG and is read as one.
FORMATS = ("PNG", "JPEG", "BMP", "GIF", "WEBP", "PPM", "TIFF")
SUFFIXES = frozenset({
    ".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".bmp", ".dib", ".gif", ".webp", ".pbm", ".pgm", ".ppm", ".pnm", ".tif",
    ".tiff",
})  # fmt: skip
_MAGIC = (b"\x89PNG\r\n", b"\xff\xd8\xff", b"GIF8", b"II*\x00", b"MM\x00*")  # of files with another suffix, or none
MOST_PIXELS = 2**25  # 5,792 x 5,792: 134 MB while it is decoded
MOST_JPEG_PIXELS = 2**27  # of a JPEG that is decoded at an eighth of its size
LARGE_PIXELS = 2**22  # such pictures are decoded one at a time
PADDING = 114  # the grey beside a picture that does not fill its square

_alone = threading.Lock()
logging.getLogger("PIL").addHandler(logging.NullHandler())  # its messages would stand before our one line
_ORIENTATIONS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180, 4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_270, 7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}  # fmt: skip


Picture = Union[Path, bytes, np.ndarray]  # a file, what a file holds, or pixels: uint8 (h, w, 3)


class NotAPicture(Exception):
    """A file that cannot be read as a picture; says which, and why, in one line."""


def is_picture(path: Path) -> bool:
    """Whether a file is meant as a picture: by its suffix, or by its first bytes. Never opens a pipe or a device."""
    if path.suffix.lower() in SUFFIXES:
        return True
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            return False
        with path.open("rb") as file:
            first = file.read(12)
    except OSError:
        return False
    return first.startswith(_MAGIC) or (first[:4] == b"RIFF" and first[8:] == b"WEBP")


def short_side(path: Path) -> int:
    """Pixels of a picture's shorter side, from its header. Raises NotAPicture for a file that is not a picture."""
    with quiet(), _opened(path) as image:
        return min(image.size)


def read_square(picture: Picture, side: int) -> np.ndarray:
    """A picture as uint8 (side, side, 3): turned upright by its EXIF orientation, the middle square scaled to `side`.

    16-bit grey values are divided by 257, so that the whole range is kept; 16-bit colors lose their lower byte. Of an
    animation the first frame is read; transparency is dropped. Raises NotAPicture for a file that is not a readable
    picture, has too many pixels, or has values of 32 bits, whose range nobody knows.
    """
    return _read(picture, side, whole=False)


def read_whole(picture: Picture, side: int) -> np.ndarray:
    """A picture as uint8 (side, side, 3) with all of it in view: its longer side scaled to `side`, grey on the right or
    below. Otherwise as `read_square`.
    """
    return _read(picture, side, whole=True)


def full_size(picture: Picture) -> tuple[int, int]:
    """Width and height of a picture as it is seen, in pixels, from its header. Raises NotAPicture."""
    with quiet(), _opened(picture) as image:
        turned = _orientation(image) >= 5
        return (image.height, image.width) if turned else (image.width, image.height)


def _read(picture: Picture, side: int, whole: bool) -> np.ndarray:
    with _opened(picture) as image:
        if image.format == "TIFF":
            with _alone, muted():
                return _square(image, side, whole)
        if image.width * image.height > LARGE_PIXELS:
            with _alone:
                return _square(image, side, whole)
        return _square(image, side, whole)


def scaled(square: np.ndarray, side: int) -> np.ndarray:
    """uint8 (n, n, 3) to (side, side, 3): bilinear, with antialiasing when it gets smaller."""
    return np.asarray(Image.fromarray(square).resize((side, side), Image.Resampling.BILINEAR))


def read_image(picture: Picture, side: int, resolution: int, whole: bool = False) -> np.ndarray:
    """A picture as uint8 (resolution, resolution, 3): read at `side` pixels, as its dataset was, then scaled.

    A `side` of 0: at `resolution` at once. `whole`: as `read_whole` reads it. Raises NotAPicture as `read_square` does.
    """
    square = _read(picture, side or resolution, whole)
    return square if len(square) == resolution else scaled(square, resolution)


def as_input(pixels: np.ndarray, mean: Sequence[float], std: Sequence[float]) -> np.ndarray:
    """uint8 (r, r, 3) to float32 (1, 3, r, r): each channel less its mean, divided by its std."""
    values = (pixels.astype(np.float32) - np.array(mean, np.float32)) / np.array(std, np.float32)
    return np.ascontiguousarray(values.transpose(2, 0, 1)[None])


@contextmanager
def quiet() -> Iterator[None]:
    """Without Pillow's warnings about what it reads; the filter holds for every thread."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@contextmanager
def muted() -> Iterator[None]:
    """Without what a library's C code writes to the process's stderr: of libtiff about a broken file, of a runtime."""
    try:
        saved, nothing = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    except OSError:  # no stderr
        yield
        return
    os.dup2(nothing, 2)
    try:
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)
        os.close(nothing)


@contextmanager
def _opened(picture: Picture) -> Iterator[Image.Image]:
    name = picture if isinstance(picture, Path) else "a frame"
    try:
        if isinstance(picture, Path) and not stat.S_ISREG(picture.stat().st_mode):  # opening a pipe would wait for ever
            raise OSError("it is a folder, a pipe or a device")
        if isinstance(picture, np.ndarray):
            if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3:
                raise ValueError(f"must be uint8 (h, w, 3); got {picture.dtype} {picture.shape}")
            image = Image.fromarray(picture)
            _check_header(image)
            yield image
            return
        source = BytesIO(picture) if isinstance(picture, bytes) else picture
        with Image.open(source, formats=FORMATS) as image:
            _check_header(image)
            yield image
    except UnidentifiedImageError:
        kinds = f"{', '.join(FORMATS[:-1])} or {FORMATS[-1]}"
        raise NotAPicture(f"{name}: not a readable image: its content is not {kinds}, or of a rare kind") from None
    except Exception as error:  # a decoder raises anything on a broken file
        reason = (error.strerror if isinstance(error, OSError) else None) or str(error)[:200] or type(error).__name__
        raise NotAPicture(f"{name}: not a readable image: {reason}") from None


def _check_header(image: Image.Image) -> None:
    pixels = image.width * image.height
    baseline = image.format in ("JPEG", "MPO") and not image.info.get("progressive")
    most = MOST_JPEG_PIXELS if baseline else MOST_PIXELS
    if not 0 < pixels <= most:
        raise ValueError(f"must have 1 to {most:,} pixels; got {image.width:,} x {image.height:,}")
    signed = image.format == "TIFF" and _tiff_tag(image, 339) not in (None, 1)  # or of floating point
    if image.mode == "F" or (image.mode == "I" and image.format == "TIFF") or signed:
        raise ValueError("must have 8 or 16 bits a channel, without a sign; the range of other values is not known")
    if image.format == "TIFF" and image.mode.startswith("I;16"):
        bits, photometric = _tiff_tag(image, 258), _tiff_tag(image, 262)
        if bits != 16 or photometric != 1:
            raise ValueError(f"a deep grey TIFF must have 16 bits and 0 for black; got {bits} bits, {photometric=}")


def _tiff_tag(image: Image.Image, number: int) -> object:
    value: object = image.tag_v2.get(number)  # type: ignore[attr-defined]  # of a TIFF image
    return value[0] if isinstance(value, tuple) else value


def _square(image: Image.Image, side: int, whole: bool) -> np.ndarray:
    orientation = _orientation(image)
    image.draft("RGB", (side, side))  # lets the JPEG decoder skip detail that the scaling would drop
    if image.width * image.height > MOST_PIXELS:
        raise ValueError(f"must have at most {MOST_PIXELS:,} pixels at {side} pixels a side")
    deep = image.mode.startswith("I")
    upright: Image.Image = image.convert("I").convert("F") if deep else image
    if orientation in _ORIENTATIONS:
        upright = upright.transpose(_ORIENTATIONS[orientation])
    width, height = upright.size
    if whole:
        return _padded(upright if upright.mode in ("RGB", "F") else upright.convert("RGB"), side, deep)
    short = min(width, height)
    left, top = (width - short) // 2, (height - short) // 2
    if upright.mode not in ("RGB", "F"):
        upright = upright.crop((left, top, left + short, top + short)).convert("RGB")
        left = top = 0
    box = (left, top, left + short, top + short)
    return _as_bytes(upright.resize((side, side), Image.Resampling.BILINEAR, box), deep)


def _padded(upright: Image.Image, side: int, deep: bool) -> np.ndarray:
    scale = side / max(upright.size)
    width, height = (max(1, round(scale * length)) for length in upright.size)
    found = np.full((side, side, 3), PADDING, np.uint8)
    found[:height, :width] = _as_bytes(upright.resize((width, height), Image.Resampling.BILINEAR), deep)
    return found


def _as_bytes(image: Image.Image, deep: bool) -> np.ndarray:
    pixels = np.asarray(image)
    if deep:
        grey = np.clip(np.rint(pixels / 257), 0, 255).astype(np.uint8)
        return np.repeat(grey[:, :, None], 3, axis=2)
    return pixels


def _orientation(image: Image.Image) -> int:
    """EXIF's orientation, 1 where there is none; of TIFF, Pillow applies it itself; pixels have no EXIF."""
    if image.format in ("TIFF", None):
        return 1
    try:
        return int(image.getexif().get(274, 1))
    except Exception:  # broken EXIF does not make a picture unreadable
        return 1
