"""A dataset in a folder of images, one folder a class, below train/ and test/ or to be split."""

from __future__ import annotations

from pathlib import Path
from statistics import median_low

import torch

from nas.data.dataset import Split
from nas.data.images import MEMORY_BYTES, Images, ImagesInFiles, ImagesInMemory, decode, short_side
from nas.errors import UserError

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".ppm", ".pgm", ".tif", ".tiff"})
LARGEST_SIDE = 224  # pixels kept of an image's short side in memory
TEST_FOLDERS = ("test", "val", "validation")  # the first that stands beside train/ is the test split

Files = list[tuple[Path, int]]  # each image with its label


def read_folder(root: Path) -> tuple[tuple[str, ...], Split, Split | None]:
    """Class names, the images to train on and, where there is a folder of them beside train/, the test images.

    Images of any size become squares of the median short side, at most 224 pixels. Raises UserError for a missing or
    empty folder, a test class that train/ lacks, and the first file that is no readable image.
    """
    if not root.is_dir():
        raise UserError(f"{root}: no such folder")
    train = root / "train" if (root / "train").is_dir() else root
    classes = tuple(folder.name for folder in _folders(train))
    known = _files(train, classes)
    beside = [root / name for name in TEST_FOLDERS if (root / name).is_dir()]
    tested = _files(beside[0], classes) if train != root and beside else []
    sides = [short_side(path) for path, _ in known + tested]
    side = min(LARGEST_SIDE, median_low(sides))
    in_memory = len(sides) * side**2 * 3 <= MEMORY_BYTES

    def split(files: Files) -> Split:
        paths = tuple(path for path, _ in files)
        images: Images = ImagesInMemory(decode(paths, side)) if in_memory else ImagesInFiles(paths, root)
        return Split(images, torch.tensor([label for _, label in files]))

    return classes, split(known), split(tested) if tested else None


def _folders(root: Path) -> list[Path]:
    return sorted(path for path in root.iterdir() if path.is_dir() and not path.name.startswith("."))


def _files(root: Path, classes: tuple[str, ...]) -> Files:
    """The images below each class folder, in the order of their names."""
    files: Files = []
    for folder in _folders(root):
        if folder.name not in classes:
            raise UserError(f"{folder}: a class that is not among the training classes ({', '.join(classes)})")
        own = sorted(p for p in folder.rglob("*") if p.suffix.lower() in SUFFIXES and not p.name.startswith("."))
        if not own:
            raise UserError(f"{folder}: the folder of this class has no images")
        files += [(path, classes.index(folder.name)) for path in own]
    if not files:
        raise UserError(f"{root}: no images; each class needs a folder of its own in it")
    return files
