"""A dataset in one .npz file: x_train, y_train and, if it has them, x_test, y_test and class_names."""

from __future__ import annotations

from pathlib import Path
from zipfile import BadZipFile

import numpy as np
import torch

from nas.data.dataset import Split
from nas.data.images import ImagesInMemory, resize
from nas.errors import UserError


def read_npz(path: Path) -> tuple[tuple[str, ...], Split, Split | None]:
    """Class names, the images to train on and, where the file has them, the test images.

    x_*: uint8 (n, h, w, 3), or (n, h, w) and (n, h, w, 1) in grey; y_*: integers (n,). Raises UserError otherwise.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {key: file[key] for key in file.files}
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except (OSError, ValueError, BadZipFile, EOFError, AttributeError) as error:
        raise UserError(f"{path}: not a readable .npz file of plain arrays ({error})") from None
    if missing := [key for key in ("x_train", "y_train") if key not in arrays]:
        raise UserError(f"{path}: the array {missing[0]} is missing (found: {', '.join(sorted(arrays)) or 'none'})")
    values = np.unique(_labels(path, arrays, "train"))
    names = tuple(str(name) for name in arrays.get("class_names", ()))
    low, high = values.min(), values.max()
    if names and not 0 <= low <= high < len(names):
        raise UserError(f"{path}: y_train must index its {len(names)} class_names; got {low} to {high}")
    classes = tuple(names[value] for value in values) if names else tuple(str(value) for value in values)
    test = _split(path, arrays, "test", values) if "x_test" in arrays else None
    return classes, _split(path, arrays, "train", values), test


def _labels(path: Path, arrays: dict[str, np.ndarray], part: str) -> np.ndarray:
    labels = arrays.get(f"y_{part}", np.zeros(0))
    if labels.dtype.kind not in "iu" or not labels.ndim or not 0 < labels.size == len(labels):
        raise UserError(f"{path}: y_{part} must be integers of shape (n,); got {labels.dtype} {labels.shape}")
    return labels.reshape(-1)


def _split(path: Path, arrays: dict[str, np.ndarray], part: str, values: np.ndarray) -> Split:
    pixels, labels = arrays[f"x_{part}"], _labels(path, arrays, part)
    if pixels.ndim == 3:
        pixels = pixels[..., None]
    if pixels.dtype != np.uint8 or pixels.ndim != 4 or pixels.shape[3] not in (1, 3):
        raise UserError(f"{path}: x_{part} must be uint8 of shape (n, h, w, 3); got {pixels.dtype} {pixels.shape}")
    if len(pixels) != len(labels):
        raise UserError(f"{path}: x_{part} has {len(pixels)} images, y_{part} {len(labels)} labels")
    if len(foreign := np.setdiff1d(labels, values)):
        raise UserError(f"{path}: y_{part} has the class {foreign[0]}, which y_train lacks")
    images = torch.from_numpy(np.repeat(pixels, 3 // pixels.shape[3], axis=3))
    if images.shape[1] != images.shape[2]:
        images = resize(images, min(images.shape[1:3]))
    return Split(ImagesInMemory(images), torch.from_numpy(np.searchsorted(values, labels)).long())
