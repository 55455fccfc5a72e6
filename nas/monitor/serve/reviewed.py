"""Labels that a person gave to frames: FOLDER/monitor/labels/labels.csv, with the columns file and label."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Sequence

from .terminal import say

PLACE = "labels", "labels.csv"
MOST_BYTES = 2_000_000


class Reviewed:
    """Reads the file again whenever it has changed. What is not a label of a class is left, and said once a change."""

    def __init__(self, folder: Path) -> None:
        self.path = folder.joinpath(*PLACE)
        self.seen: tuple[int, int] | None = None

    def new(self, classes: Sequence[str]) -> list[tuple[str, int]]:
        """The names of frames and their true classes, where the file is new or has changed; else nothing."""
        try:
            facts = self.path.stat()
            stamp = (facts.st_mtime_ns, facts.st_size)
            if stamp == self.seen or not self.path.is_file():
                return []
            self.seen = stamp
            if facts.st_size > MOST_BYTES:
                raise ValueError(f"must have at most {MOST_BYTES:,} bytes")
            rows = csv.DictReader(io.StringIO(self.path.read_text("utf-8-sig")))
            if not {"file", "label"} <= set(rows.fieldnames or ()):
                raise ValueError("must have the columns file and label")
            at = {name: n for n, name in enumerate(classes)}
            given = [(row["file"] or "", (row["label"] or "").strip()) for row in rows]
        except FileNotFoundError:
            return []
        except (OSError, ValueError, csv.Error) as error:
            say(f"{self.path}: not read: {str(error)[:200]}")
            return []
        odd = sorted({label for _, label in given if label and label not in at})
        if odd:
            say(f"{self.path}: {odd[0][:80]!r} is not one of the classes")
        return [(name, at[label]) for name, label in given if label in at]
