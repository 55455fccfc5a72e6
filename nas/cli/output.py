"""How the verbs print: results on standard output, as tables of 80 columns or as JSON; notes on standard error."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, redirect_stderr
from io import StringIO
from typing import TYPE_CHECKING, Annotated, Any, Protocol

import typer

from nas.files.plain import printable

if TYPE_CHECKING:
    from rich.console import Console

QUIET_HELP = "Print results only: no progress bar and no notes."

_quiet = False


def set_quiet(asked: bool) -> None:
    """Whether `note` and `stderr_console` print nothing from here on."""
    global _quiet
    _quiet = asked


def _more_quiet(asked: bool) -> bool:
    set_quiet(_quiet or asked)
    return asked


class ShowProgress(Protocol):
    def __call__(self, done: int, total: int, doing: str = ...) -> None: ...


Quiet = Annotated[bool, typer.Option("--quiet", "-q", callback=_more_quiet, help=QUIET_HELP)]


def note(text: str) -> None:
    """One line on standard error about the work, which is not its result; nothing with --quiet."""
    if not _quiet:
        print(printable(text), file=sys.stderr)


def stderr_console() -> Console:
    """Where progress bars are drawn; it prints nothing with --quiet, and `is_terminal` says whether to draw."""
    from rich.console import Console

    return Console(stderr=True, highlight=False, quiet=_quiet)


@contextmanager
def hushed() -> Iterator[None]:
    """With --quiet, shows what is written to standard error meanwhile only if the work fails."""
    if not _quiet:
        yield
        return
    held = StringIO()
    try:
        with redirect_stderr(held):
            yield
    except Exception:
        sys.stderr.write(held.getvalue())
        raise


class Interrupted(Exception):
    """Ctrl-C, with what a user should know: Typer keeps only the status of a KeyboardInterrupt."""


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


def print_lines(sentences: Iterable[str]) -> None:
    """Each as a paragraph that is as wide as the terminal; its second line is indented.

    A command in backquotes stays on one line, where it fits, so that it can be copied.
    """
    import re
    from shutil import get_terminal_size
    from textwrap import fill

    width = max(get_terminal_size().columns, 20)
    for sentence in sentences:
        whole = re.sub("`[^`]*`", lambda found: found[0].replace(" ", "\0"), printable(sentence))
        shown = fill(whole, width, subsequent_indent="  ", break_on_hyphens=False, break_long_words=False)
        print(shown.replace("\0", " "))


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


@contextmanager
def progress_bar(what: str) -> Iterator[ShowProgress]:
    """A bar on standard error with the time left; what it yields is told how many are done, and how many there are.

    A third word says what they are, where it is not `what`.
    """
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    from nas.cli.elapsed import Elapsed

    console = stderr_console()
    columns = (TextColumn("{task.description}", markup=False), BarColumn(20), MofNCompleteColumn(), Elapsed())
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task(what, total=None)
        yield lambda done, total, doing=what: progress.update(task, completed=done, total=total, description=doing)
