"""The licence of a dataset, where its folder or its file of annotations names one."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nas.errors import UserError
from nas.files.plain import MB, printable, read_text

MOST_BYTES = MB
LONGEST = 200  # characters that are kept
MOST_NAMES = 5
_NAME = re.compile(r"(licen[cs]es?|copying)(\.(txt|md|rst))?", re.IGNORECASE)


def licence_in(root: Path) -> str:
    """The first line of a file LICENSE, LICENCE or COPYING of a folder, and the file's name; "" where there is none."""
    for path in sorted(root.iterdir()) if root.is_dir() else ():
        if _NAME.fullmatch(path.name) and path.is_file():
            try:
                lines = (one_line(line.strip(" \t#*=-")) for line in read_text(path, MOST_BYTES).splitlines())
            except UserError:
                return f"see {path.name}, which cannot be read as text"
            return f"{next((line for line in lines if line), 'empty')} ({path.name})"
    return ""


def licence_of_coco(table: Mapping[str, Any]) -> str:
    """The names of the licences that the pictures of a COCO file name, of all where they name none; "" without any."""
    rows = table.get("licenses")
    known = [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []
    named = [image.get("license") for image in table["images"]]
    used = [row for row in known if row.get("id") in named] or known
    names = [one_line(name) for row in used if isinstance(name := row.get("name") or row.get("url"), str)]
    names = list(dict.fromkeys(filter(None, names)))
    more = f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
    return one_line("; ".join(names[:MOST_NAMES]) + more)


def one_line(text: str) -> str:
    """A text of a stranger's in one printable line of bounded length."""
    line = printable(" ".join(text.split()))
    return line if len(line) <= LONGEST else f"{line[: LONGEST - 3]}..."
