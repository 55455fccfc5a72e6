"""A dataset in COCO's format: pictures with boxes (Lin et al., ECCV 2014, https://cocodataset.org/#format-data)."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from nas.data.boxed import BoxedPicture, found_boxed
from nas.data.dataset import Found
from nas.data.licence import licence_of_coco
from nas.errors import UserError
from nas.files.json import read_json
from nas.files.plain import MB

MOST_BYTES = 600 * MB  # instances_train2017.json has 448 MB
SPLITS = {"train": ("train", "train2017", "train2014"), "validation": ("val", "valid", "val2017", "val2014"),
          "test": ("test",)}  # fmt: skip
OUTSIDE, LEAST_OUTSIDE = 0.05, 2.0  # share of a picture's side, and pixels, that a box may stand out; it is cut off
MOST_SIDE = 100_000  # pixels


def read_coco(root: Path, *, in_files: bool = False) -> Found:
    """The pictures and boxes below a folder: instances_train.json, instances_val.json and, if it is there, _test.json.

    The files may lie in `root` or in annotations/, and may be called instances_train2017.json; pictures lie in
    images/, images/<split>/, <split>/ or `root`. Boxes without an area are left out; boxes that stand out of their
    picture by at most 5% of its side are cut off. Raises UserError, naming the file and the id, for anything that is
    not COCO's format: ids that repeat or lead nowhere, boxes outside their picture, classes that differ between files,
    and pictures that are missing or cannot be read.
    """
    if not root.is_dir():
        raise UserError(f"{root}: must be a folder; got a file" if root.exists() else f"{root}: no such folder")
    files = {split: path for split, names in SPLITS.items() if (path := _annotations(root, names))}
    if "train" not in files:
        raise UserError(f"{root}: must have instances_train.json in it, or in annotations/")
    classes: tuple[str, ...] = ()
    skipped: Counter[str] = Counter()
    parts: dict[str, list[BoxedPicture]] = {}
    licence = ""
    for split, path in files.items():
        table = _Coco(path)
        if not classes:
            classes = table.classes
        elif table.classes != classes:
            odd = next(iter(set(table.classes) ^ set(classes)), "the order of their ids")
            raise UserError(f"{path}: its categories must be those of {files['train'].name}; {odd[:80]!r} differs")
        parts[split] = list(table.pictures(_folders(root, SPLITS[split]), skipped))
        licence = licence or table.licence
    return replace(found_boxed(root, classes, parts, skipped, in_files=in_files), licence=licence)


def _annotations(root: Path, names: Sequence[str]) -> Path | None:
    for folder in (root, root / "annotations"):
        for name in names:
            if (path := folder / f"instances_{name}.json").exists():
                return path
    return None


def _folders(root: Path, names: Sequence[str]) -> list[Path]:
    places = [root / "images", *(root / "images" / n for n in names), *(root / n for n in names), root]
    return [place for place in places if place.is_dir()]


class _Coco:
    """One file of annotations, checked."""

    def __init__(self, path: Path) -> None:
        self.path = path
        table = read_json(path, MOST_BYTES)
        if not isinstance(table, dict):
            raise UserError(f"{path}: must be COCO's format, an object with images, annotations and categories")
        for name in ("images", "annotations", "categories"):
            if not isinstance(table.get(name), list) or not all(isinstance(row, dict) for row in table[name]):
                raise UserError(f"{path}: must be COCO's format; it has no list of {name}")
        self.images = self._by_id(table["images"], "images")
        categories = self._by_id(table["categories"], "categories")
        self.numbers = {number: place for place, number in enumerate(sorted(categories))}
        self.classes = tuple(self._text(categories[number], "name", "categories") for number in sorted(categories))
        self.objects = self._by_id(table["annotations"], "annotations")
        self.licence = licence_of_coco(table)

    def pictures(self, folders: Sequence[Path], skipped: Counter[str]) -> Iterator[BoxedPicture]:
        """Every picture with its objects; counts what was left out."""
        rows: dict[int, list[tuple[float, ...]]] = {number: [] for number in self.images}
        for number, row in self.objects.items():
            image, category = row.get("image_id"), row.get("category_id")
            if not isinstance(image, int) or image not in self.images:
                raise self._bad("annotations", number, f"image_id must be one of images; got {str(image)[:40]!r}")
            if not isinstance(category, int) or category not in self.numbers:
                raise self._bad(
                    "annotations", number, f"category_id must be one of categories; got {str(category)[:40]!r}"
                )
            box = row.get("bbox")
            if not isinstance(box, list) or len(box) != 4 or not all(map(_finite, box)):
                raise self._bad("annotations", number, f"bbox must be [x, y, width, height]; got {str(box)[:80]}")
            found, (w, h) = self._inside(number, box, self.images[image]), map(float, box[2:])
            if found is None:
                skipped["boxes without an area"] += 1
                continue
            crowd, area = float(bool(row.get("iscrowd", 0))), self._area(number, row, w * h)
            rows[image].append((self.numbers[category], *found, crowd, area))
        for number, image in self.images.items():
            name = self._text(image, "file_name", "images")
            path = next((f for folder in folders if (f := folder / name).is_file()), None)
            if path is None or ".." in Path(name).parts or Path(name).is_absolute():
                raise self._bad("images", number, f"the picture {name[:120]!r} is missing")
            objects = np.array(rows[number], np.float32).reshape(-1, 7)
            yield BoxedPicture(path, self._size(image), objects, f"{self.path}: images id {number}")

    def _inside(self, number: int, box: Sequence[float], image: Mapping[str, Any]) -> tuple[float, ...] | None:
        """x1, y1, x2, y2 in pixels, cut off at the picture's edges; None without an area."""
        size = self._size(image)
        x, y, w, h = map(float, box)
        if w <= 0 or h <= 0:
            return None
        corners = (x, y, x + w, y + h)
        for side, low, high in zip(size, corners[:2], corners[2:], strict=True):
            spare = max(LEAST_OUTSIDE, OUTSIDE * side)
            if low < -spare or high > side + spare or low >= side or high <= 0:
                got = f"bbox must lie in its picture of {size[0]} x {size[1]}; got {str(box)[:80]}"
                raise self._bad("annotations", number, got)
        cut = tuple(min(max(value, 0.0), float(side)) for value, side in zip(corners, (*size, *size), strict=True))
        return cut if cut[2] > cut[0] and cut[3] > cut[1] else None

    def _area(self, number: int, row: Mapping[str, Any], of_box: float) -> float:
        """That of the object's outline in pixels, which decides whether it is small; of its box where none is given."""
        area = row.get("area")
        if area is not None and not (_finite(area) and area >= 0):
            raise self._bad("annotations", number, f"area must be a number of pixels; got {str(area)[:40]!r}")
        return float(area or of_box)

    def _size(self, image: Mapping[str, Any]) -> tuple[int, int]:
        sides = (image.get("width"), image.get("height"))
        for side in sides:
            if not isinstance(side, int) or isinstance(side, bool) or not 0 < side <= MOST_SIDE:
                got = f"width and height must be whole pixels from 1 to {MOST_SIDE:,}; got {str(sides)[:60]}"
                raise self._bad("images", image["id"], got)
        return sides  # type: ignore[return-value]  # checked above

    def _by_id(self, rows: Sequence[dict[str, Any]], what: str) -> dict[int, dict[str, Any]]:
        found: dict[int, dict[str, Any]] = {}
        for place, row in enumerate(rows):
            number = row.get("id")
            if not isinstance(number, int) or isinstance(number, bool):
                raise UserError(f"{self.path}: {what} {place}: id must be a whole number; got {str(number)[:40]!r}")
            if number in found:
                raise self._bad(what, number, "an id must be there once; it is there twice")
            found[number] = row
        return found

    def _text(self, row: Mapping[str, Any], key: str, what: str) -> str:
        value = row.get(key)
        if not isinstance(value, str) or not value:
            raise self._bad(what, row["id"], f"{key} must be a text; got {str(value)[:40]!r}")
        return value

    def _bad(self, what: str, number: object, why: str) -> UserError:
        return UserError(f"{self.path}: {what} id {number}: {why}")


def _finite(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
