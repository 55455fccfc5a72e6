"""How the verbs print: tables that fit 80 columns, or JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from typing import Any


def print_json(value: Any) -> None:
    """Plain JSON on standard output; a number that is not finite becomes null, as JSON has no other word for it."""
    print(json.dumps(_plain(value), indent=1, ensure_ascii=False, allow_nan=False))


def print_table(columns: Sequence[str], rows: Iterable[Sequence[object]], *, right: Sequence[str] = ()) -> None:
    """A table without lines but one under the heading; cells wrap where the terminal is narrow."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1))
    for column in columns:
        first = column == columns[0]
        table.add_column(column, justify="right" if column in right else "left", overflow="fold", no_wrap=first)
    for row in rows:
        table.add_row(*(cell if isinstance(cell, Text) else Text(printable(str(cell))) for cell in row))
    Console().print(table)


def printable(text: str) -> str:
    """The text as a terminal may have it: a name from a file must not move the cursor or change colours."""
    return "".join(c if c.isprintable() or c == "\n" else ascii(c)[1:-1] for c in text)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def clock(seconds: float) -> str:
    """A duration as h:mm:ss, or m:ss below an hour."""
    whole = round(seconds)
    hours, minutes = divmod(whole // 60, 60)
    return f"{hours}:{minutes:02d}:{whole % 60:02d}" if hours else f"{minutes}:{whole % 60:02d}"
