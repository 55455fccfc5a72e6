"""The error that a user sees: one line, exit status 2, no traceback."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class UserError(Exception):
    """Something that the user gave cannot be used; the message says what must hold, what was got and where."""


def unknown(what: str, name: str, known: Iterable[str]) -> UserError:
    """The error for a name that is not among those known, with the nearest one suggested."""
    names = sorted(known)
    near = difflib.get_close_matches(name[:80].lower(), names, n=1, cutoff=0.5)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    return UserError(f"unknown {what} {name[:80]!r}{hint} (known: {', '.join(names) or 'none'})")
