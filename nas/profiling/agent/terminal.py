"""What the agent says: on standard error, in lines or as a bar."""

from __future__ import annotations

import contextlib
import math
import sys
import time


class Refused(Exception):
    """One line for the user. `status` is the exit status: 2 what was given is wrong, 3 something must be installed."""

    def __init__(self, message: str, status: int = 2) -> None:
        super().__init__(message)
        self.status = status


def say(text: str, end: str = "\n") -> None:
    """Writes on standard error, without what could steer a terminal. A terminal that went away stops no measurement."""
    shown = "".join(c if c.isprintable() or c == "\r" else "?" for c in text)
    with contextlib.suppress(OSError, ValueError):
        print(shown, end=end, file=sys.stderr, flush=True)


class Progress:
    """A bar (the default on a terminal), else a line every ten seconds."""

    def __init__(self, what: str, bar: bool | None = None) -> None:
        self.what, self.bar = what, sys.stderr.isatty() if bar is None else bar
        self.start, self.said, self.first = time.monotonic(), -math.inf, -1

    def show(self, done: int, total: int, last: bool = False) -> None:
        self.first = done - 1 if self.first < 0 else self.first
        now = time.monotonic()
        if not last and now - self.said < (0.2 if self.bar else 10):
            return
        self.said = now
        left = int((now - self.start) / max(done - self.first, 1) * (total - done))
        text = f"{self.what} {done}/{total}, {minutes(left)} left"
        if self.bar:
            filled = 20 * done // max(total, 1)
            say(f"\r[{'#' * filled}{'-' * (20 - filled)}] {text:<52}", end="\n" if last else "")
        else:
            say(text)


def minutes(seconds: float) -> str:
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"
