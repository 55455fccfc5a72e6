"""FOLDER/monitor/state.json, and how a state and the log's lines come to the disk together.

The state holds the lines that may not be in the log yet. It is written first, whole or not at all; then the lines are
appended. After a kill at any moment the lines of the state that the log lacks are appended, and each one stands there
once. A full disk stops no serving: what could not be written is written later.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
from datetime import datetime, timezone
from pathlib import Path
from typing import IO, Any

from .log import MOST_LINE, LogFile
from .terminal import Refused, say

STATE, LOCK = "state.json", ".lock"
FORMAT = 1
MOST_BYTES = 1 << 21
MOST_WAITING = 200  # lines that could not be written yet


def write_atomic(path: Path, content: bytes) -> None:
    """The whole file or nothing, also after a power cut. Raises OSError."""
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with part.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except OSError:
        with contextlib.suppress(OSError):
            part.unlink()
        raise


def now() -> str:
    """UTC, as the log has it."""
    return datetime.now(timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def dumped(value: Any) -> str:
    """JSON; a number that is not finite becomes null, as JSON has no other word for it."""
    try:
        return json.dumps(value, allow_nan=False)
    except ValueError:
        return json.dumps(_finite(value), allow_nan=False)


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


class Journal:
    """The state and the log of one folder; one process at a time. Raises Refused where another one holds them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.log = LogFile(folder)
        self.n = 0  # of the last line
        self.waiting: list[dict[str, Any]] = []
        self.failed = ""  # why the disk refused the last time
        try:
            folder.mkdir(exist_ok=True)
            self.lock = locked(folder / LOCK)
            for left in folder.glob(f".{STATE}.*.part"):
                left.unlink()
            self.log.open()
        except OSError as error:
            raise Refused(f"{folder}: cannot be written: {error.strerror or error}") from None

    def read(self) -> dict[str, Any]:
        """The state that an earlier serving left, empty where there is none; its lines come into the log."""
        path = self.folder / STATE
        state: dict[str, Any] = {}
        try:
            with path.open("rb") as file:
                content = file.read(MOST_BYTES + 1)
            state = json.loads(content.decode("utf-8"))
            if len(content) > MOST_BYTES or not isinstance(state, dict) or state.get("format") != FORMAT:
                raise ValueError("it is not a state of this serve.pyz")
            self.waiting = [line for line in state.pop("lines") if line["n"] > self.log.last]
            self.n = int(state.pop("n"))
        except FileNotFoundError:
            pass
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            say(f"{path}: {str(error)[:200]}; serving begins without it")
            state, self.waiting = {}, []
        self.n = max(self.n, self.log.last)
        self._append()
        return state

    def record(self, kind: str, version: int, precision: str, **facts: Any) -> None:
        """A line for the log; `save` writes it."""
        self.n += 1
        line = dict({"n": self.n, "time": now(), "kind": kind, "version": version, "precision": precision}, **facts)
        text = dumped(line)
        line = json.loads(text)
        if len(text) >= MOST_LINE:
            line = {key: line[key] for key in ("n", "time", "kind", "version", "precision")}
        self.waiting = [*self.waiting, line][-MOST_WAITING:]

    def save(self, state: dict[str, Any]) -> None:
        """Writes the state, then the lines that wait."""
        content = self._content(state)
        if len(content) > MOST_BYTES:  # what watches begins again after a restart: better than no state
            content = self._content({key: value for key, value in state.items() if key != "watch"})
        try:
            write_atomic(self.folder / STATE, content)
        except OSError as error:
            self._refused(error)
            return
        self._append()

    def _content(self, state: dict[str, Any]) -> bytes:
        return dumped(dict(state, format=FORMAT, n=self.n, lines=self.waiting)).encode("ascii")

    def _append(self) -> None:
        try:
            while self.waiting:
                self.log.append(self.waiting[0])
                del self.waiting[0]
            self.failed = ""
        except OSError as error:
            self._refused(error)

    def _refused(self, error: OSError) -> None:
        reason = error.strerror or str(error)
        if reason != self.failed:
            say(f"{self.folder}: cannot be written: {reason}; serving goes on, and what it notes is written later")
        self.failed = reason

    def close(self) -> None:
        """Frees the folder for another process."""
        if self.lock:
            self.lock.close()


def locked(path: Path) -> IO[bytes] | None:
    """An open file that keeps a second process out until it is closed; None where the system has no such locks."""
    try:
        import fcntl
    except ImportError:
        return None
    file = path.open("ab")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.close()
        raise Refused(f"{path.parent.parent}: another process serves this folder") from None
    return file
