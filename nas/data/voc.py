"""A dataset as Pascal VOC keeps it: Annotations/*.xml, JPEGImages/, ImageSets/Main/{train,val,test}.txt.

Everingham et al., "The Pascal Visual Object Classes (VOC) Challenge", IJCV 2010.
"""

from __future__ import annotations

import math
from collections import Counter
from pathlib import Path
from xml.etree import ElementTree

import numpy as np

from nas.data.boxed import BoxedPicture, found_boxed
from nas.data.dataset import Found
from nas.errors import UserError
from nas.files.plain import MB, read_text

MOST_XML, MOST_LIST = MB, 64 * MB
SETS = {"train": "train", "validation": "val", "test": "test"}
OUTSIDE = 2.0  # pixels that a box may stand out of its picture: VOC counts them from 1


def read_voc(root: Path, *, in_files: bool = False) -> Found:
    """The pictures and boxes of a VOC folder, in the splits that ImageSets/Main lists; without lists, all to be split.

    Boxes without an area are left out, as objects marked difficult are crowds: neither learned nor counted. Classes are
    the objects' names, sorted. Raises UserError, naming the file, for anything that is not VOC's format.
    """
    if not root.is_dir():
        raise UserError(f"{root}: must be a folder; got a file" if root.exists() else f"{root}: no such folder")
    folder = root / "Annotations"
    if not folder.is_dir():
        raise UserError(f"{root}: must have a folder Annotations in it, of XML files")
    names = {
        split: _listed(path) for split, name in SETS.items() if (path := root / f"ImageSets/Main/{name}.txt").exists()
    }
    if "train" not in names:
        if names:
            raise UserError(f"{root}: ImageSets/Main must have train.txt")
        names = {"train": sorted(path.stem for path in folder.glob("*.xml"))}
    skipped: Counter[str] = Counter()
    drawn = {split: [_Annotation(root, name, skipped) for name in listed] for split, listed in names.items()}
    classes = tuple(sorted({label for part in drawn.values() for one in part for label in one.labels}))
    parts = {split: [one.picture(classes) for one in part] for split, part in drawn.items()}
    return found_boxed(root, classes, parts, skipped, in_files=in_files)


def _listed(path: Path) -> list[str]:
    names = [line.split()[0] for line in read_text(path, MOST_LIST, "text").splitlines() if line.strip()]
    if twice := next((name for name, times in Counter(names).items() if times > 1), None):
        raise UserError(f"{path}: a picture must be listed once; {twice[:80]!r} is there twice")
    if odd := next((name for name in names if Path(name).name != name), None):
        raise UserError(f"{path}: must list names of pictures without a folder; got {odd[:80]!r}")
    return names


class _Annotation:
    """One XML file, checked."""

    def __init__(self, root: Path, name: str, skipped: Counter[str]) -> None:
        self.path = root / "Annotations" / f"{name}.xml"
        try:
            tree = ElementTree.fromstring(read_text(self.path, MOST_XML, "XML"))  # of a bounded file
        except ElementTree.ParseError as error:
            raise UserError(f"{self.path}: is not XML: {str(error)[:100]}") from None
        self.file = root / "JPEGImages" / Path(tree.findtext("filename") or f"{name}.jpg").name
        if not self.file.is_file():
            raise UserError(f"{self.path}: the picture {self.file.name[:120]!r} is missing in {self.file.parent}")
        self.size = (int(self._number(tree, "size/width")), int(self._number(tree, "size/height")))
        if min(self.size) < 1:
            raise UserError(f"{self.path}: size must be at least 1 x 1 pixels; got {self.size[0]} x {self.size[1]}")
        self.labels: list[str] = []
        self.rows: list[tuple[float, ...]] = []
        for number, thing in enumerate(tree.iterfind("object"), 1):
            box = self._box(thing, number)
            if box is None:
                skipped["boxes without an area"] += 1
                continue
            self.labels.append((thing.findtext("name") or "").strip())
            if not self.labels[-1]:
                raise UserError(f"{self.path}: object {number} must have a name")
            self.rows.append((*box, float((thing.findtext("difficult") or "0").strip() == "1")))

    def _box(self, thing: ElementTree.Element, number: int) -> tuple[float, ...] | None:
        low = [self._number(thing, f"bndbox/{key}") - 1 for key in ("xmin", "ymin")]  # the first pixel is 1
        high = [self._number(thing, f"bndbox/{key}") for key in ("xmax", "ymax")]
        for side, a, b in zip(self.size, low, high, strict=True):
            if a < -OUTSIDE or b > side + OUTSIDE:
                raise UserError(f"{self.path}: the box of object {number} must lie in its picture of {self.size[0]} x "
                                f"{self.size[1]}; got {[*low, *high]}")  # fmt: skip
        cut = [min(max(v, 0.0), float(side)) for v, side in zip((*low, *high), (*self.size, *self.size), strict=True)]
        return tuple(cut) if cut[2] > cut[0] and cut[3] > cut[1] else None

    def _number(self, where: ElementTree.Element, key: str) -> float:
        text = where.findtext(key) or ""
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            raise UserError(f"{self.path}: {key} must be a number; got {text[:40]!r}")
        return value

    def picture(self, classes: tuple[str, ...]) -> BoxedPicture:
        rows = [
            (classes.index(label), *row, (row[2] - row[0]) * (row[3] - row[1]))
            for label, row in zip(self.labels, self.rows, strict=True)
        ]
        return BoxedPicture(self.file, self.size, np.array(rows, np.float32).reshape(-1, 7), str(self.path))
