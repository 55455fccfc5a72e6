"""What serving says: results on standard output, everything else on standard error."""

from __future__ import annotations

import contextlib
import sys


class Refused(Exception):
    """One line for the user. `status` is the exit status: 2 what was given is wrong, 3 something must be installed."""

    def __init__(self, message: str, status: int = 2) -> None:
        super().__init__(message)
        self.status = status


def say(text: str) -> None:
    """A line on standard error, without what could steer a terminal; a terminal that went away stops no serving."""
    shown = "".join(c if c.isprintable() else "?" for c in text)
    with contextlib.suppress(OSError, ValueError):
        print(f"serve: {shown}", file=sys.stderr, flush=True)
