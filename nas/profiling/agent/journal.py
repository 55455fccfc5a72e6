"""What was measured before: one line a measurement."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from .machine import condition
from .terminal import Refused

LARGEST_JOURNAL = 256 << 20  # bytes
LARGEST_NUMBER = 1e12  # of seconds since 1970, milliseconds, joules, runs
FIGURES = ("median_ms", "p90_ms", "p99_ms", "relative", "reference_ms")
ENTRIES = {  # the numbers that the lines of the journal have
    "visit": ("at", "runs", *FIGURES), "window": ("start", "end", "runs"), "idle": ("start", "end"),
    "pattern": ("start", "end"),
}  # fmt: skip


class Journal:
    """measurements.jsonl: one line a measurement, on the disk before the next begins. The first says how it is done.

    `ids` are the items that may have been measured. Raises Refused when the file is something else, was begun with
    another setting, or cannot be written; it is then as it was before.
    """

    def __init__(self, path: str | Path, setting: Mapping[str, Any], ids: Collection[str]) -> None:
        self.path, self.ids = Path(path), frozenset(ids)
        self.entries: list[dict[str, Any]] = []
        content = self._read()
        whole = content[: content.rfind(b"\n") + 1]  # a line cut off by a kill or a full disk is dropped
        try:
            lines = [json.loads(line, parse_constant=no_number) for line in whole.decode("utf-8").splitlines()]
        except (ValueError, RecursionError):
            lines = [None]
        if not all(isinstance(line, dict) for line in lines):
            raise Refused(f"{self.path}: is not a file of measurements; move it away")
        if lines:
            self.first, self.entries = lines[0], lines[1:]
            self._check(setting)
        if len(whole) < len(content):
            os.truncate(self.path, len(whole))
        if not lines:
            self.first = dict(setting, before=condition())
            self._append(self.first)

    def _read(self) -> bytes:
        if not self.path.exists():
            return b""
        if not self.path.is_file() or self.path.stat().st_size > LARGEST_JOURNAL:  # opening a pipe would wait for ever
            raise Refused(f"{self.path}: must be a file of at most {LARGEST_JOURNAL >> 20} MB; move it away")
        return self.path.read_bytes()

    def add(self, entry: dict[str, Any]) -> None:
        self._append(entry)
        self.entries.append(entry)

    def _check(self, setting: Mapping[str, Any]) -> None:
        for key, value in setting.items():
            if self.first.get(key) != value:
                was = "another plan" if key == "plan" else f"{key} {self.first.get(key)}, this is {value}"
                raise Refused(f"{self.path}: was begun with {was}; move it away to start again")
        if not isinstance(self.first.get("before"), dict):
            raise Refused(f"{self.path}: line 1 was changed by something else; move it away to start again")
        for number, entry in enumerate(self.entries, 2):
            if not self._is_measurement(entry):
                raise Refused(f"{self.path}: line {number} is not a measurement of this plan; move the file away")

    def _is_measurement(self, entry: Mapping[str, Any]) -> bool:
        kind = entry.get("kind")
        if not isinstance(kind, str) or kind not in ENTRIES:
            return False
        if kind in ("visit", "window") and not (isinstance(entry.get("id"), str) and entry["id"] in self.ids):
            return False
        joules = [entry["joules"]] if entry.get("joules") is not None else []
        values = [entry.get(key) for key in ENTRIES[kind]] + joules
        above_0 = [key for key in ("runs", *FIGURES) if key in ENTRIES[kind]]
        return all(is_number(value) for value in values) and all(entry[key] > 0 for key in above_0)

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


def no_number(name: str) -> float:
    """Raises ValueError: JSON has no NaN and no Infinity, but Python reads and writes them."""
    raise ValueError(f"numbers must be finite; got {name}")


def is_number(value: Any) -> bool:
    """Whether it is a number of a measurement: 0 or more, and finite."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value < LARGEST_NUMBER


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
