"""The error that a user sees: one line, exit status 2, no traceback."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

NAMED, LONGEST = 50, 80  # of known names in an error, and characters of each


class UserError(Exception):
    """Something that the user gave cannot be used; the message says what must hold, what was got and where."""


def require(what: str, value: object, kinds: type | tuple[type, ...], words: str) -> None:
    """Raises UserError unless a program gave `value` as one of these types, which `words` name; a bool is no number."""
    if not isinstance(value, kinds) or isinstance(value, bool):
        raise UserError(f"{what} must be {words}; got {repr(value)[:LONGEST]}")


def unknown(what: str, name: str, known: Iterable[str]) -> UserError:
    """The error for a name that is not among those known, with the nearest one suggested."""
    names = sorted({n[:LONGEST] for n in known})
    near = difflib.get_close_matches(name[:LONGEST].lower(), names[:1000], n=1, cutoff=0.5)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return UserError(f"unknown {what} {name[:LONGEST]!r}{hint} (known: {', '.join(names[:NAMED]) or 'none'}{more})")
