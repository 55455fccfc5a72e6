"""Names that files and users give, from which the names of files and folders are made."""

from __future__ import annotations

import re

LONGEST_NAME = 64


def safe_name(name: str) -> str:
    """The name, if a file or folder may be called by it. Raises ValueError otherwise."""
    if not re.fullmatch(rf"[A-Za-z0-9][A-Za-z0-9._-]{{0,{LONGEST_NAME - 1}}}", name):
        raise ValueError(
            f"must have 1 to {LONGEST_NAME} letters, digits, '.', '_' or '-', and begin with a letter or a digit; "
            f"got {name[:80]!r}"
        )
    return name
