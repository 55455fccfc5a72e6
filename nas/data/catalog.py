"""Datasets by name: `digits`, `cifar10`, `folder:PATH`, `npz:PATH`; with boxes `drawn`, `coco:PATH`, `voc:PATH`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from nas.data.coco import read_coco
from nas.data.dataset import Dataset, Found, Split, split_dataset
from nas.data.drawn import read_drawn
from nas.data.folder import read_folder
from nas.data.images import ImagesInMemory
from nas.data.licence import licence_in
from nas.data.npz import read_npz
from nas.data.voc import read_voc
from nas.errors import UserError, unknown

KNOWN = ("digits", "cifar10", "folder:PATH", "npz:PATH", "drawn", "coco:PATH", "voc:PATH")


def load_dataset(
    spec: str, *, validation_share: float = 0.2, seed: int = 0, cache_dir: Path = Path("~/.cache/nas")
) -> Dataset:
    """The dataset named by `spec`, its validation split drawn with `seed`; downloads go to `cache_dir`.

    Raises UserError for an unknown name and for data that cannot be read or split.
    """
    found = load_found(spec, cache_dir=cache_dir)
    return split_dataset(
        spec, found, validation_share=validation_share, seed=seed, flip=spec not in ("digits", "drawn")
    )


def load_found(spec: str, *, cache_dir: Path = Path("~/.cache/nas"), in_files: bool = False) -> Found:
    """What `spec` names, before splits that it lacks are held out; `in_files` keeps the pictures of a folder there.

    Raises UserError for an unknown name and for data that cannot be read.
    """
    kind, _, path = spec.partition(":")
    if kind in ("folder", "npz", "coco", "voc"):
        if not path:
            raise UserError(f"dataset {spec!r} needs a path: {kind}:PATH")
        if kind == "npz":
            return read_npz(_path(path))
        read = {"folder": read_folder, "coco": read_coco, "voc": read_voc}[kind]
        found = read(_path(path), in_files=in_files)
        return replace(found, licence=found.licence or licence_in(_path(path)))
    if spec == "drawn":
        return read_drawn()
    if spec == "digits":
        return _digits()
    if spec == "cifar10":
        return _cifar10(cache_dir.expanduser())
    raise unknown("dataset", spec, KNOWN)


def _path(text: str) -> Path:
    """The path, `~` expanded. Raises UserError for a user that is not there, and for what cannot be a path."""
    try:
        path = Path(text).expanduser()
        path.stat()
    except FileNotFoundError:
        pass  # said by the reader
    except (OSError, RuntimeError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise UserError(f"{text[:200]}: cannot be read: {reason}") from None
    return path


def _digits() -> Found:
    """1,797 handwritten digits of 8x8 pixels, bundled with scikit-learn (Alpaydin and Kaynak, UCI, 1998)."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    grey = np.rint(digits.images * (255 / 16)).astype(np.uint8)
    pixels = torch.from_numpy(grey).unsqueeze(-1).repeat(1, 1, 1, 3)
    return Found(tuple("0123456789"), Split(ImagesInMemory(pixels), torch.from_numpy(digits.target).long()))


def _cifar10(cache_dir: Path) -> Found:
    """60,000 photographs of 32x32 pixels (Krizhevsky, 2009), downloaded by torchvision on first use."""
    from torchvision.datasets import CIFAR10

    try:
        parts = [CIFAR10(str(cache_dir), train=train, download=True) for train in (True, False)]
    except (OSError, RuntimeError) as error:
        reason = f"cifar10 could not be downloaded to {cache_dir} ({error})"
        raise UserError(f"{reason}; without a network use npz:PATH or folder:PATH") from None
    train, test = (Split(ImagesInMemory(torch.from_numpy(p.data)), torch.tensor(p.targets)) for p in parts)
    return Found(tuple(parts[0].classes), train, test=test)
