"""FOLDER/monitor/log.jsonl: what happened, an object a line, in a few files of bounded size.

A line is an object with `n` (1, 2, 3, ... in one folder), `time` (UTC, ISO 8601), `kind`, `version`, `precision`, and
what that kind has. When log.jsonl is full it becomes log.1.jsonl, that one log.2.jsonl, and the oldest goes.
"""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path
from typing import Any

LOG = "log.jsonl"
MOST_BYTES = 1 << 20  # of one file
MOST_LINE = 1 << 14  # of one line
OLDER = 4  # files beside log.jsonl


class LogFile:
    """Appends lines; what a kill or a power cut left half written at the end is cut off first.

    Every method raises OSError where the disk refuses.
    """

    def __init__(self, folder: Path, most_bytes: int = MOST_BYTES) -> None:
        self.path, self.most_bytes = folder / LOG, most_bytes
        self.last = 0  # `n` of the last line that is in a file

    def open(self) -> None:
        """Finds the last whole line."""
        self.last = 0
        for number in range(OLDER + 1):  # a kill while the files were renamed leaves no log.jsonl
            path = self.file(number)
            if not path.is_file():
                continue
            whole = self._whole_part(path) if number == 0 else path.read_bytes()[: 2 * self.most_bytes]
            line = whole.rstrip(b"\n").rpartition(b"\n")[2]
            with contextlib.suppress(ValueError, KeyError, TypeError):
                self.last = int(json.loads(line.decode("utf-8"))["n"])
                return

    def _whole_part(self, path: Path) -> bytes:
        """The file's whole lines; the rest is cut off."""
        with path.open("rb+") as file:
            content = file.read(2 * self.most_bytes)
            whole = content[: content.rfind(b"\n") + 1]
            if len(whole) < os.fstat(file.fileno()).st_size:
                file.truncate(len(whole))
        return whole

    def file(self, number: int) -> Path:
        """log.jsonl for 0, else log.NUMBER.jsonl, which is older the larger its number."""
        return self.path.with_name(f"log.{number}.jsonl") if number else self.path

    def append(self, line: dict[str, Any]) -> None:
        """Writes a line whose `n` is above that of the last one; another is there already and is passed over."""
        if line["n"] <= self.last:
            return
        text = (json.dumps(line, ensure_ascii=True) + "\n").encode("ascii")
        if len(text) > MOST_LINE:
            raise ValueError(f"a line of the log must have at most {MOST_LINE} bytes; got {len(text)}")
        if self.path.exists() and self.path.stat().st_size + len(text) > self.most_bytes:
            self._rotate()
        before = self.path.stat().st_size if self.path.exists() else 0
        try:
            with self.path.open("ab") as file:
                file.write(text)
        except OSError:  # a full disk may have taken part of it
            with contextlib.suppress(OSError):
                os.truncate(str(self.path), before)
            raise
        self.last = line["n"]

    def _rotate(self) -> None:
        for number in range(OLDER, 0, -1):
            older, newer = self.file(number), self.file(number - 1)
            if newer.exists():
                newer.replace(older)
