"""How good a detector's boxes are, as COCO tells it apart: by overlap, by the objects' size, and by class."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from nas.errors import UserError
from nas.files.json import parse_json

Size = Literal["small", "medium", "large"]
SIZES: tuple[Size, ...] = ("small", "medium", "large")  # below 32 x 32 pixels, up to 96 x 96, and beyond
MOST_CLASSES = 1000  # of which the precision of each is kept
DIGITS = 6  # that are kept


@dataclass(frozen=True, slots=True)
class AveragePrecision:
    """Average precisions, shares from 0 to 1. None: there is no such object among the pictures.

    Sizes are those of objects in pixels of their own picture. Classes are in the order of the dataset's.
    """

    mean: float  # over overlaps from 0.5 to 0.95, and classes: mAP
    at_50: float  # with an overlap of at least 0.5: AP50
    at_75: float
    small: float | None = None  # the mean over overlaps and classes, likewise the next two
    medium: float | None = None
    large: float | None = None
    of_classes: tuple[float | None, ...] = ()  # the mean over overlaps; empty: not kept
    at_50_of_classes: tuple[float | None, ...] = ()

    @property
    def of_sizes(self) -> dict[Size, float | None]:
        return {"small": self.small, "medium": self.medium, "large": self.large}

    def columns(self) -> dict[str, Any]:
        """By the names that tables have; without the mean, which is the accuracy, and classes where there are many."""
        numbers = {
            "ap50": self.at_50, "ap75": self.at_75, "ap_small": self.small, "ap_medium": self.medium,
            "ap_large": self.large,
        }  # fmt: skip
        found: dict[str, Any] = {name: _rounded(value) for name, value in numbers.items()}
        for name, values in (("ap_of_classes", self.of_classes), ("ap50_of_classes", self.at_50_of_classes)):
            found[name] = [_rounded(v) for v in values] if len(values) <= MOST_CLASSES else []
        return found


NUMBERS = ("ap50", "ap75", "ap_small", "ap_medium", "ap_large")
LISTS = ("ap_of_classes", "ap50_of_classes")
BOX_COLUMNS = (*NUMBERS, *LISTS)  # of the tables of a search for detectors


def from_columns(found: Any, mean: float, where: str) -> AveragePrecision:
    """What `columns` gave, with the mean. Raises UserError, beginning with `where`, for anything else."""
    if not isinstance(found, Mapping) or set(found) != set(BOX_COLUMNS):
        raise UserError(f"{where} must have {', '.join(BOX_COLUMNS)}, and nothing else")
    for name in NUMBERS:
        if not _is_share(found[name], none=name not in NUMBERS[:2]):
            raise UserError(f"{where}: {name} must be a fraction from 0 to 1; got {str(found[name])[:40]!r}")
    for name in LISTS:
        values = found[name]
        if not isinstance(values, list) or len(values) > MOST_CLASSES or not all(_is_share(v) for v in values):
            raise UserError(f"{where}: {name} must be a list of fractions from 0 to 1, of at most {MOST_CLASSES:,} "
                            "classes; null where there is no such object")  # fmt: skip
    if len(found[LISTS[0]]) != len(found[LISTS[1]]):
        raise UserError(f"{where}: {LISTS[0]} and {LISTS[1]} must be of as many classes")
    return AveragePrecision(mean, *(found[n] for n in NUMBERS), *(tuple(found[n]) for n in LISTS))


def from_cells(row: Mapping[str, str], mean: float | None, where: str) -> AveragePrecision | None:
    """What a row of a table says; None where it says nothing. Raises UserError as `from_columns`."""
    cells = {name: row.get(name, "") for name in BOX_COLUMNS}
    if mean is None or not any(cells.values()):
        return None
    return from_columns(
        {name: parse_json(cell, f"{where}: {name}") if cell else None for name, cell in cells.items()}, mean, where
    )


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, DIGITS)


def _is_share(value: object, *, none: bool = True) -> bool:
    if value is None:
        return none
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1
