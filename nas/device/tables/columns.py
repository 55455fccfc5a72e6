"""The precision of a CSV row."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from nas.errors import UserError
from nas.space.layer import PRECISIONS, Precision


def row_precision(row: Mapping[str, str], path: Path, line: int) -> Precision:
    """The row's precision. Raises UserError unless it is a known one."""
    found = next((p for p in PRECISIONS if p == row["precision"]), None)
    if found is None:
        raise UserError(
            f"{path}: precision must be one of {', '.join(PRECISIONS)}; line {line} has {row['precision']!r}"
        )
    return found
