"""A dataset in one .npz file: x_train, y_train and, if it has them, x_val, x_test, their labels, and class_names.

The file may come from a stranger: what it would take in memory is known before anything is unpacked.
"""

from __future__ import annotations

import math
import re
import stat
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import IO
from zipfile import ZIP_DEFLATED, ZIP_STORED, BadZipFile, ZipFile, ZipInfo

import numpy as np
import torch
from numpy.lib import format as npy

from nas.data.dataset import SPLIT_NAMES, Found, Split, SplitName
from nas.data.images import ImagesInMemory, center_square
from nas.errors import UserError

MOST_BYTES = 2**31  # of all images in color
MOST_RATIO = 100  # of unpacked to packed bytes, above SMALL_BYTES: pictures pack to a tenth, a bomb to a thousandth
SMALL_BYTES = 2**26
MOST_ARRAYS = 1000
MOST_NAMES = 100_000
_ENTRY_BYTES = 46 + 200  # of the zip's directory, for each array

_NAME = re.compile(r"([xy])_([a-z]+)", re.IGNORECASE)
Key = tuple[str, SplitName]  # "x" or "y", and the split


def read_npz(path: Path) -> Found:
    """Classes and images, and the splits that the file has.

    x_*: uint8 (n, h, w, 3), or (n, h, w) and (n, h, w, 1) in grey; y_*: integers (n,); class_names: texts. Of images
    that are not square the middle square is kept. Raises UserError for anything else, and for a file that would take
    too much memory.
    """
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise UserError(f"{path}: not a readable .npz file: it is a folder, a pipe or a device")
        _check_directory(path)
        with ZipFile(path) as file:
            return _read(path, file)
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except BadZipFile as error:
        with path.open("rb") as opened:
            start = opened.read(6)
        reason = "not a zip archive"
        if start == npy.MAGIC_PREFIX:
            reason = "it is one .npy array; numpy.savez writes several into one .npz"
        elif start.startswith(b"PK"):
            reason = f"a damaged or truncated zip archive ({str(error)[:100]})"
        raise UserError(f"{path}: not a readable .npz file: {reason}") from None
    except (OSError, ValueError, EOFError, RuntimeError, NotImplementedError, MemoryError, zlib.error) as error:
        reason = str(error)[:200] or type(error).__name__
        raise UserError(f"{path}: not a readable .npz file of plain arrays: {reason}") from None


def _check_directory(path: Path) -> None:
    """Raises UserError for a zip whose directory is too long: it is read whole before anything is known of it."""
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(max(0, size - 2**16 - 22))
        tail = file.read()
    end = tail.rfind(b"PK\x05\x06")
    if end >= 0 and int.from_bytes(tail[end + 12 : end + 16], "little") > MOST_ARRAYS * _ENTRY_BYTES:
        raise UserError(f"{path}: must hold at most {MOST_ARRAYS:,} arrays")


def _read(path: Path, file: ZipFile) -> Found:
    members: dict[str, ZipInfo] = {}
    for info in file.infolist():
        name = info.filename.removesuffix(".npy")
        if name in members:
            raise UserError(f"{path}: the array {name[:80]!r} is there twice")
        members[name] = info
    keys: dict[Key, str] = {}
    for name in members:
        match = _NAME.fullmatch(name)
        if match and (split := SPLIT_NAMES.get(match[2].lower())):
            key = match[1].lower(), split
            if key in keys:
                raise UserError(f"{path}: the arrays {keys[key]} and {name} are of one split; keep one")
            keys[key] = name
    for kind in ("x", "y"):
        if (kind, "train") not in keys:
            found = ", ".join(sorted(members))[:200] or "none"
            raise UserError(f"{path}: the array {kind}_train is missing (found: {found})")
    for kind, split in list(keys):
        other = "y" if kind == "x" else "x"
        if (other, split) not in keys:
            raise UserError(f"{path}: {keys[kind, split]} needs the array {other}_{keys[kind, split][2:]}")
    return _found(path, file, members, keys)


def _found(path: Path, file: ZipFile, members: dict[str, ZipInfo], keys: dict[Key, str]) -> Found:
    labels: dict[SplitName, np.ndarray] = {}
    color = 0
    for (kind, split), name in keys.items():
        with file.open(members[name]) as opened:
            head = _header(path, name, members[name], opened)
            if kind == "x":
                _check_images(path, name, head)
                color += math.prod(head.shape[:3]) * 3
            elif head.dtype.kind not in "iu" or not head.shape or not 0 < head.shape[0] == math.prod(head.shape):
                raise UserError(f"{path}: {name} must be integers of shape (n,); got {head.dtype} {head.shape}")
            else:
                labels[split] = _values(opened, head).reshape(-1)
    if color > MOST_BYTES:
        raise UserError(f"{path}: its images must take at most {MOST_BYTES / 2**30:g} GiB; got {color / 2**30:.1f}")
    values = np.unique(labels["train"])
    classes = _classes(path, file, members.get("class_names"), values)
    splits: dict[SplitName, Split] = {}
    for split, given in labels.items():
        x, y = keys["x", split], keys["y", split]
        if len(foreign := np.setdiff1d(given, values)):
            raise UserError(f"{path}: {y} has the class {foreign[0]}, which {keys['y', 'train']} lacks")
        splits[split] = Split(_images(path, file, members[x], x, y, given), _indices(given, values))
    unused = sorted(members.keys() - set(keys.values()) - {"class_names"})
    left = (f"the arrays {', '.join(unused)[:200]}",) if unused else ()
    return Found(classes, splits["train"], splits.get("validation"), splits.get("test"), left)


@dataclass(frozen=True, slots=True)
class _Header:
    shape: tuple[int, ...]
    dtype: np.dtype
    fortran: bool  # the first axis varies fastest


def _header(path: Path, name: str, info: ZipInfo, opened: IO[bytes]) -> _Header:
    """What an array is. Raises UserError unless its bytes are there, packed no tighter than arrays pack."""
    if info.compress_type not in (ZIP_STORED, ZIP_DEFLATED):
        raise UserError(f"{path}: {name} must be stored or deflated, as numpy.savez does")
    if info.file_size > max(SMALL_BYTES, MOST_RATIO * info.compress_size) or info.file_size > MOST_BYTES:
        raise UserError(
            f"{path}: {name} must take at most {MOST_BYTES / 2**30:g} GiB and {MOST_RATIO} times its packed size; "
            f"got {info.file_size:,} bytes packed in {info.compress_size:,}"
        )
    try:
        version = npy.read_magic(opened)
        read = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}.get(version)
        if read is None:
            raise ValueError(f"arrays must be of format 1.0 or 2.0; got {version[0]}.{version[1]}")
        shape, fortran, dtype = read(opened)
    except (ValueError, SyntaxError, RecursionError, MemoryError, TypeError) as error:
        reason = str(error).splitlines()[0][:100] if str(error) else type(error).__name__
        raise UserError(f"{path}: not a readable .npz file of plain arrays: {name}: {reason}") from None
    if dtype.hasobject:
        raise UserError(f"{path}: not a readable .npz file of plain arrays: {name} holds Python objects")
    if min(shape, default=1) < 0 or math.prod(shape) * dtype.itemsize > info.file_size:
        raise UserError(f"{path}: {name} must hold as many values as its shape {shape} says")
    return _Header(shape, dtype, fortran)


def _check_images(path: Path, name: str, head: _Header) -> None:
    shape, dtype = head.shape, head.dtype
    color = len(shape) == 3 or (len(shape) == 4 and shape[3] in (1, 3))
    if dtype != np.uint8 or not color or min(shape) == 0:
        raise UserError(
            f"{path}: {name} must be uint8 (values from 0 to 255) of shape (n, h, w, 3) or (n, h, w); "
            f"got {dtype} {shape}"
        )


def _values(opened: IO[bytes], head: _Header) -> np.ndarray:
    data = np.frombuffer(opened.read(math.prod(head.shape) * head.dtype.itemsize), head.dtype)
    # ValueError where bytes are missing
    return data.reshape(head.shape[::-1]).transpose() if head.fortran else data.reshape(head.shape)


def _images(path: Path, file: ZipFile, info: ZipInfo, x: str, y: str, labels: np.ndarray) -> ImagesInMemory:
    with file.open(info) as opened:
        head = _header(path, x, info, opened)
        if head.shape[0] != len(labels):
            raise UserError(f"{path}: {x} has {head.shape[0]} images, {y} {len(labels)} labels")
        pixels = _values(opened, head)
    if pixels.ndim == 3:
        pixels = pixels[..., None]
    return ImagesInMemory(center_square(torch.from_numpy(np.repeat(pixels, 3 // pixels.shape[3], axis=3))))


def _indices(labels: np.ndarray, values: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.searchsorted(values, labels)).long()


def _classes(path: Path, file: ZipFile, info: ZipInfo | None, values: np.ndarray) -> tuple[str, ...]:
    """The name of each label: of `class_names`, where there is that array, else the label itself."""
    if info is None:
        return tuple(str(value) for value in values)
    with file.open(info) as opened:
        head = _header(path, "class_names", info, opened)
        if len(head.shape) != 1 or head.dtype.kind not in "USiu" or head.shape[0] > MOST_NAMES:
            raise UserError(f"{path}: class_names must be texts of shape (n,); got {head.dtype} {head.shape}")
        names = [_text(name) for name in _values(opened, head).tolist()]
    low, high = values.min(), values.max()
    if not 0 <= low <= high < len(names):
        raise UserError(f"{path}: y_train must index its {len(names)} class_names; got {low} to {high}")
    return tuple(names[value] for value in values)


def _text(name: object) -> str:
    return name.decode("utf-8", "surrogateescape") if isinstance(name, bytes) else str(name)
