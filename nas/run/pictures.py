"""pictures.json: some validation pictures with their objects, and what detectors find in them."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from nas.errors import UserError
from nas.files.atomic import write_atomic
from nas.files.json import read_json_table
from nas.files.plain import MB
from nas.files.toml import Table

PICTURES = "pictures.json"
MOST_BYTES = 8 * MB
MOST_SIDE = 320  # pixels of a picture
MOST_PICTURES, MOST_NETWORKS = 6, 10
MOST_BOXES = 30  # of a network in a picture, the most probable
LEAST = 0.1  # probability of a box that is kept
LINE = 4000  # characters of base64 in a line
Share = Annotated[float, Field(ge=0, le=1)]
Name = Annotated[str, Field(min_length=1, max_length=200)]
Object = tuple[Name, Share, Share, Share, Share, bool]  # class, x1, y1, x2, y2 in shares of `Picture.side`, crowd
Box = tuple[Name, Share, Share, Share, Share, Share]  # class, probability, x1, y1, x2, y2 in shares of `Picture.side`


class Picture(Table):
    """A picture, small, and what is there. `side`: its longer side in pixels, that boxes are shares of."""

    width: Annotated[int, Field(gt=0, le=MOST_SIDE)]
    height: Annotated[int, Field(gt=0, le=MOST_SIDE)]
    jpeg: Annotated[list[Annotated[str, Field(pattern=r"^[A-Za-z0-9+/]*={0,2}$")]], Field(max_length=100)]  # base64
    objects: Annotated[list[Object], Field(max_length=1000)]

    @property
    def side(self) -> int:
        return max(self.width, self.height)

    @property
    def uri(self) -> str:
        """The picture as a page may hold it."""
        return "data:image/jpeg;base64," + "".join(self.jpeg)


Found = list[Annotated[list[Box], Field(max_length=MOST_BOXES)]]  # boxes of each picture


class Pictures(Table):
    """Pictures, and what networks find in them, by trial."""

    format: Literal[1] = 1
    pictures: Annotated[list[Picture], Field(max_length=MOST_PICTURES)]
    found: dict[Annotated[int, Field(ge=0)], Found]


def lines_of(jpeg: bytes) -> list[str]:
    """A JPEG as `Picture.jpeg` has it."""
    text = base64.b64encode(jpeg).decode()
    return [text[start : start + LINE] for start in range(0, len(text), LINE)]


def write_pictures(path: Path, pictures: Sequence[Picture], found: Mapping[int, Found]) -> None:
    """Writes pictures.json into a run folder. Raises UserError when the disk is full."""
    table = Pictures(pictures=list(pictures), found=dict(found))
    write_atomic(path / PICTURES, (table.model_dump_json() + "\n").encode())


def read_pictures(path: Path) -> Pictures | None:
    """The pictures of a run folder; None where it has none. Raises UserError for what no search would have written."""
    file = path / PICTURES
    if not file.exists():
        return None
    kept = read_json_table(file, Pictures, MOST_BYTES)
    if odd := [trial for trial, found in kept.found.items() if len(found) != len(kept.pictures)]:
        raise UserError(f"{file}: found: must have boxes for each of {len(kept.pictures)} pictures; trial {odd[0]} has "
                        f"{len(kept.found[odd[0]])}")  # fmt: skip
    return kept
