"""What was measured before: one line a measurement."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from .machine import condition
from .terminal import Refused

FIGURES = ("median_ms", "p90_ms", "p99_ms", "relative", "reference_ms")
ENTRIES = {  # the numbers that the lines of the journal have
    "visit": ("at", "runs", *FIGURES), "window": ("start", "end", "runs"), "idle": ("start", "end"),
    "pattern": ("start", "end"),
}  # fmt: skip


class Journal:
    """measurements.jsonl: one line a measurement, on the disk before the next begins. The first says how it is done.

    Raises Refused when the file is something else, was begun with another setting, or cannot be written.
    """

    def __init__(self, path: str | Path, setting: Mapping[str, Any]) -> None:
        self.path = Path(path)
        self.entries: list[dict[str, Any]] = []
        content = self.path.read_bytes() if self.path.exists() else b""
        whole = content[: content.rfind(b"\n") + 1]  # a line cut off by a kill or a full disk is dropped
        try:
            lines = [json.loads(line) for line in whole.decode("utf-8").splitlines()]
        except (ValueError, RecursionError):
            lines = [None]
        if not all(isinstance(line, dict) for line in lines):
            raise Refused(f"{self.path}: is no file of measurements; move it away")
        if len(whole) < len(content):
            os.truncate(self.path, len(whole))
        if lines:
            self.first, self.entries = lines[0], lines[1:]
            self._check(setting)
        else:
            self.first = dict(setting, before=condition())
            self._append(self.first)

    def add(self, entry: dict[str, Any]) -> None:
        self._append(entry)
        self.entries.append(entry)

    def _check(self, setting: Mapping[str, Any]) -> None:
        for key, value in setting.items():
            if self.first.get(key) != value:
                was = "another plan" if key == "plan" else f"{key} {self.first.get(key)}, this is {value}"
                raise Refused(f"{self.path}: was begun with {was}; move it away to begin anew")
        whole = isinstance(self.first.get("before"), dict)
        for entry in self.entries:
            needed = ENTRIES.get(str(entry.get("kind")), ())
            whole &= all(isinstance(entry.get(key), (int, float)) for key in needed)
        if not whole:
            raise Refused(f"{self.path}: was changed by something else; move it away to begin anew")

    def _append(self, entry: dict[str, Any]) -> None:
        try:
            with self.path.open("ab") as file:
                file.write(f"{json.dumps(entry)}\n".encode())
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise Refused(
                f"{self.path}: cannot be written: {error.strerror}; what it has is kept, the same command goes on"
            ) from None


@contextlib.contextmanager
def alone(path: Path) -> Iterator[None]:
    """Keeps a second agent from measuring into the same file meanwhile, where the system has locks."""
    try:
        import fcntl
    except ImportError:  # Windows
        yield
        return
    with path.open("ab") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Refused(f"{path}: another agent is measuring into it; wait for it, or stop it") from None
        except OSError:  # a file system without locks
            pass
        yield
