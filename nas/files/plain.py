"""Files that may come from strangers: read only where they are plain files, of a bounded size, and text without tricks.

A device profile is a folder that people send each other. A link in it may lead to any file, a pipe never ends, a text
may rewrite what a terminal shows (escape sequences, marks that turn the direction of writing).
"""

from __future__ import annotations

import contextlib
import os
import re
import stat
from pathlib import Path

from nas.errors import UserError

MB = 1_000_000
SHOWN = 300  # characters of a path that cannot be read in its error
# control characters but tab and line ends; invisible and direction marks; line separators
_TRICKS = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\xad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]")


def read_bytes(path: Path, most: int, kind: str = "plain") -> bytes:
    """The file's bytes. Raises UserError when it is not a plain file or has more than `most` bytes."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # opening a pipe would wait for ever
            raise UserError(f"{path}: not a readable {kind} file: it is a folder, a pipe or a device")
        with path.open("rb") as file:
            found = file.read(most + 1)
    except OSError as error:
        raise UserError(f"{str(path)[:SHOWN]}: not a readable {kind} file: {error.strerror or error}") from None
    if len(found) > most:
        raise UserError(f"{path}: must have at most {most / MB:g} MB")
    return found


def read_text(path: Path, most: int, kind: str = "text") -> str:
    """The file's UTF-8 text. Raises UserError as `read_bytes` does, and for control characters in it."""
    try:
        text = read_bytes(path, most, kind).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not a readable {kind} file: {error}") from None
    if trick := _TRICKS.search(text):
        line = text.count("\n", 0, trick.start()) + 1
        raise UserError(f"{path}: must hold no control characters; line {line} has {trick[0]!r}")
    return text


def file_in(folder: Path, name: str) -> Path | None:
    """The file of that name in a folder, None where there is none. Raises UserError for a link out of the folder."""
    path = folder / name
    if not os.path.lexists(path):
        return None
    try:
        with contextlib.suppress(FileNotFoundError):
            path.stat()  # since Python 3.13 `resolve` takes a link that leads to itself
        inside = path.resolve().is_relative_to(folder.resolve())
    except (OSError, RuntimeError):  # a link that leads to itself
        inside = False
    if not inside:
        raise UserError(f"{path}: is a link that leads out of {folder}; a profile's files must lie in its folder")
    return path


def has_tricks(text: str) -> bool:
    """Whether a text holds control characters that a terminal may act on; tabs and line ends are none."""
    return _TRICKS.search(text) is not None


def printable(text: str) -> str:
    """The text as a terminal may have it: a name from a file must not move the cursor or change colors."""
    return "".join(c if c.isprintable() or c == "\n" else ascii(c)[1:-1] for c in text)
