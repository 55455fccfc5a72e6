"""Labels of frames that a board kept: which are asked for, and what a person filled in.

FOLDER/monitor/labels/labels.csv has a row a picture: file, predicted, label; the last is empty until somebody fills it
in. The pictures lie beside it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import numpy as np

from nas.data.pixels import NotAPicture, is_picture, quiet, read_image
from nas.deploy.facts import Facts
from nas.errors import UserError
from nas.files.atomic import atomic_folder
from nas.files.csv import csv_text, read_rows
from nas.files.plain import MB, file_in, read_bytes

PLACE, LABELS = "labels", "labels.csv"
COLUMNS = ("file", "predicted", "label")
MOST_PICTURES = 10_000
MOST_BYTES = 20 * MB  # of a picture's file
LEAST_LABELS = 20


@dataclass(frozen=True, slots=True, eq=False)
class Pictures:
    """Frames of a folder as the network sees them: `pixels` uint8 (n, r, r, 3), with their files."""

    paths: tuple[Path, ...]
    pixels: np.ndarray

    def __len__(self) -> int:
        return len(self.paths)


@dataclass(frozen=True, slots=True, eq=False)
class Labelled:
    """Pictures with labels int64 (n,), and what a person should know of them, in words."""

    pictures: Pictures
    labels: np.ndarray
    notes: tuple[str, ...]


def read_pictures(folder: Path, facts: Facts) -> Pictures:
    """The pictures directly in a folder, in the order of their names, each content once; none where there is none.

    Raises UserError for a folder that is not there, and for a picture that cannot be read.
    """
    if not folder.is_dir():
        raise UserError(f"{folder}: must be a folder of pictures; got {'a file' if folder.exists() else 'none'}")
    paths = sorted(path for path in folder.iterdir() if path.is_file() and is_picture(path))
    if len(paths) > MOST_PICTURES:
        raise UserError(f"{folder}: must hold at most {MOST_PICTURES:,} pictures; got {len(paths):,}")
    once: dict[str, Path] = {}
    for path in paths:
        once.setdefault(sha256(read_bytes(path, MOST_BYTES, "picture")).hexdigest(), path)
    return _read(tuple(once.values()), facts)


def read_labels(path: Path, facts: Facts) -> Labelled:
    """What was filled in; rows without a label are left out. Pictures are found beside the file.

    Raises UserError, with the line, for a picture that is not there or is named twice, two labels of one picture, and a
    class that the network does not know; and for fewer than 20 labels.
    """
    found: dict[str, tuple[Path, int, int]] = {}  # by the SHA-256 of the picture: path, label, line
    names: set[str] = set()
    left = 0
    for line, row in read_rows(path, COLUMNS, MOST_BYTES):
        name, label = row["file"].strip(), row["label"].strip()
        where = f"{path}: line {line}"
        if name in names:
            raise UserError(f"{where}: a picture must be named once; {name[:80]!r} is named twice")
        names.add(name)
        if not label:
            left += 1
            continue
        if label not in facts.classes:
            known = ", ".join(facts.classes)[:200]
            raise UserError(f"{where}: a label must be a class of the network ({known}); got {label[:80]!r}")
        picture = file_in(path.parent, name) if name and "/" not in name else None
        if picture is None or not picture.is_file():
            raise UserError(f"{where}: the picture must lie beside {path.name}; there is no {name[:80]!r}")
        digest, number = sha256(read_bytes(picture, MOST_BYTES, "picture")).hexdigest(), facts.classes.index(label)
        if digest in found and found[digest][1] != number:
            other = found[digest]
            raise UserError(
                f"{where}: equal pictures must have one label; {name[:80]} is {label}, and line {other[2]} is "
                f"{facts.classes[other[1]]}"
            )
        found.setdefault(digest, (picture, number, line))
    if len(found) < LEAST_LABELS:
        raise UserError(f"{path}: must have at least {LEAST_LABELS} labels of different pictures; got {len(found)}")
    paths, labels = tuple(one[0] for one in found.values()), np.array([one[1] for one in found.values()], np.int64)
    return Labelled(_read(paths, facts), labels, tuple(_notes(labels, left, facts.classes)))


def _notes(labels: np.ndarray, left: int, classes: Sequence[str]) -> list[str]:
    counts = Counter(labels.tolist())
    said = [f"{left} of {left + len(labels)} rows have no label yet"] if left else []
    if missing := [name for number, name in enumerate(classes) if not counts[number]]:
        shown = ", ".join(missing[:5]) + (", ..." if len(missing) > 5 else "")
        said.append(f"no label of {len(missing)} of {len(classes)} classes ({shown}): what they lose is not known")
    return said


def _read(paths: tuple[Path, ...], facts: Facts) -> Pictures:
    side = facts.resolution
    try:
        with quiet():
            found = [read_image(path, facts.side, facts.resolution) for path in paths]
    except NotAPicture as error:
        raise UserError(str(error)) from None
    return Pictures(paths, np.stack(found) if found else np.zeros((0, side, side, 3), np.uint8))


def most_uncertain(scores: np.ndarray, number: int) -> np.ndarray:
    """Indices of the pictures whose labels tell most, the least certain first: scores (n, classes) to (k,).

    By the margin between the two likeliest classes (Scheffer et al., IDA 2001), half of them spread over all others, so
    that what the network is wrongly sure of is asked for too.
    """
    ordered = np.sort(scores, axis=1)
    by_margin = np.argsort(ordered[:, -1] - ordered[:, -2], kind="stable")
    least = by_margin[: (number + 1) // 2]
    rest = by_margin[len(least) :]
    spread = rest[np.unique(np.linspace(0, len(rest) - 1, min(len(rest), number - len(least))).astype(int))]
    return np.concatenate([least, spread])


def write_request(place: Path, pictures: Pictures, predicted: np.ndarray, classes: Sequence[str]) -> Path:
    """A folder of pictures with labels.csv, whose last column is to be filled in; returns that file. Raises UserError.

    A folder that is there already is never replaced: somebody may have filled it in.
    """
    if place.exists():
        raise UserError(
            f"{place} exists: fill in {place / LABELS} and give it with --labels, or remove the folder to ask anew"
        )
    rows = []
    with atomic_folder(place) as part:
        for path, number in zip(pictures.paths, predicted, strict=True):
            (part / path.name).write_bytes(read_bytes(path, MOST_BYTES, "picture"))
            rows.append((path.name, classes[int(number)], ""))
        (part / LABELS).write_text(csv_text(COLUMNS, rows), "utf-8")
    return place / LABELS
