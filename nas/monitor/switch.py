"""nas switch: another version of a deployment folder put into use, and back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from nas.errors import UserError
from nas.monitor.serve import versions
from nas.monitor.serve.terminal import Refused


@dataclass(frozen=True, slots=True)
class Version:
    """A version of a folder. `wrong`: the first file that is not as SHA256SUMS says, in words; empty: it is whole."""

    number: int
    in_use: bool
    wrong: str


def use(folder: Path, version: int) -> int | None:
    """Puts a whole version into use: `current` is replaced at once. Gives the version that was in use before.

    Raises UserError where there is no such version, or a file of it is not the one that SHA256SUMS names.
    """
    with _as_user_errors(folder):
        before = versions.current_of(folder)
        versions.use(folder, version)
    return before


def back(folder: Path) -> int:
    """Puts the version into use that was in use before the present one, and gives it; again: the one before that.

    Raises UserError where there is none, or it is not whole.
    """
    with _as_user_errors(folder):
        return versions.back(folder)


def versions_in(folder: Path) -> list[Version]:
    """The versions of a folder. Raises UserError for another folder."""
    with _as_user_errors(folder):
        current = versions.current_of(folder)
        return [Version(number, number == current, _wrong(folder, number)) for number in versions.versions_of(folder)]


def _wrong(folder: Path, number: int) -> str:
    try:
        versions.check(folder, number)
    except Refused as refused:
        return str(refused)
    return ""


@contextmanager
def _as_user_errors(folder: Path) -> Iterator[None]:
    if not (folder / versions.VERSIONS).is_dir():
        raise UserError(f"{folder} is not a deployment folder: it has no {versions.VERSIONS}")
    try:
        yield
    except Refused as refused:
        raise UserError(str(refused)) from None
