"""The images that a deployment is measured on, as its network sees them."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from nas.catalog import home
from nas.data import shown
from nas.data.catalog import load_dataset, load_found
from nas.data.dataset import Dataset, Split
from nas.data.images import ImagesInFiles
from nas.data.pixels import NotAPicture, quiet, read_image, scaled
from nas.deploy.facts import Facts
from nas.errors import UserError
from nas.run.pictures import MOST_SIDE, Picture
from nas.train.loop import spread

MOST_BYTES = 10**8  # of images that are run, and may be sent to a board
PICTURES = 8  # files that are decoded on the board too
SAMPLES = 4  # pictures that are shown with boxes


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """Images as a network sees them: `pixels` uint8 (n, r, r, 3), `labels` as of a `Split`, of `total` that there are.

    `pictures` are some of them as files, PNG or as they were, by name, with the image that each one is. `samples` are
    some with boxes, small, with the image that each one is.
    """

    name: str
    pixels: np.ndarray
    labels: np.ndarray
    total: int
    pictures: dict[str, tuple[bytes, int]]
    samples: tuple[tuple[Picture, int], ...] = ()


def dataset_of(name: str, sha256: str, seed: int) -> Dataset:
    """The dataset that a network was searched on, split as it was then.

    Raises UserError where it is not there, or has changed.
    """
    data = load_dataset(name, seed=seed, cache_dir=home() / "datasets")
    if sha256 and data.fingerprint != sha256:
        raise UserError(f"{name} has changed since the search: which of its images are test images is not known")
    return data


def other_images(source: str, classes: Sequence[str]) -> Split:
    """The test images of another source, all of its images where it has no test split; labels are those of `classes`.

    Raises UserError for a class that the network does not know.
    """
    found = load_found(source, cache_dir=home() / "datasets", in_files=True)
    if odd := [name for name in found.classes if name not in classes]:
        raise UserError(f"{source}: its class {odd[0]!r} is not one of the deployment's ({', '.join(classes)[:200]})")
    split, numbers = found.test or found.train, torch.tensor([classes.index(name) for name in found.classes])
    if split.labels.ndim == 1:
        return Split(split.images, numbers[split.labels])
    labels, there = split.labels.clone(), split.labels[..., 0] >= 0
    labels[..., 0][there] = numbers[labels[..., 0][there].long()].float()
    return Split(split.images, labels)


def seen(name: str, split: Split, facts: Facts, most: int | None = None) -> Seen:
    """The images of a split as the network sees them; of more than `most` some, in a mix of classes: always the same.

    Where `most` is None, as many as fit into 100 MB.

    Raises UserError for a file that is not a readable picture.
    """
    most = max(1, MOST_BYTES // (3 * facts.resolution**2)) if most is None else most
    chosen = spread(len(split), most).sort().values if most < len(split) else torch.arange(len(split))
    labels = split.labels[chosen].numpy()
    files = spread(len(chosen), PICTURES).tolist()
    samples = _samples(split.subset(chosen), facts.classes) if labels.ndim > 1 else ()
    if isinstance(split.images, ImagesInFiles):
        paths = [split.images.paths[i] for i in chosen.tolist()]
        pixels = _read(paths, facts)
        pictures = {f"{n}{paths[n].suffix.lower()[:6]}": (paths[n].read_bytes(), n) for n in files}
        return Seen(name, pixels, labels, len(split), pictures, samples)
    squares = split.images.take(chosen, split.images.side).numpy()
    made = [_scaled(square, facts) for square in squares]
    pictures = {f"{n}.png": (_png(_at_side(squares[n], facts)), n) for n in files}
    return Seen(name, np.stack(made), labels, len(split), pictures, samples)


def _samples(split: Split, classes: Sequence[str]) -> tuple[tuple[Picture, int], ...]:
    numbers = shown.chosen(split.labels, SAMPLES)
    if not len(numbers):
        return ()
    squares = split.images.take(numbers, split.images.side or MOST_SIDE).numpy()
    return tuple(
        (shown.shown_picture(square, split.labels[n].numpy(), classes), n)
        for square, n in zip(squares, numbers.tolist(), strict=True)
    )


def _read(paths: Sequence[Path], facts: Facts) -> np.ndarray:
    try:
        with quiet(), ThreadPoolExecutor(torch.get_num_threads()) as pool:
            whole = facts.resize.startswith("whole")
            return np.stack(list(pool.map(lambda path: read_image(path, facts.side, facts.resolution, whole), paths)))
    except NotAPicture as error:
        raise UserError(str(error)) from None


def _at_side(square: np.ndarray, facts: Facts) -> np.ndarray:
    """A square as `read_square` gives it for a file of it."""
    side = facts.side or facts.resolution
    return square if len(square) == side else scaled(square, side)


def _scaled(square: np.ndarray, facts: Facts) -> np.ndarray:
    at_side = _at_side(square, facts)
    return at_side if len(at_side) == facts.resolution else scaled(at_side, facts.resolution)


def _png(square: np.ndarray) -> bytes:
    packed = BytesIO()
    Image.fromarray(square).save(packed, "PNG")
    return packed.getvalue()
