"""Files that are written whole or not at all."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from nas.errors import UserError


def write_atomic(path: Path, data: bytes, *, mode: int | None = None) -> None:
    """The whole file or nothing, also when the disk is full or the process dies; `mode` are its permissions.

    Raises UserError.
    """
    with atomic_file(path) as part, part.open("wb") as file:
        if mode is not None:
            os.fchmod(file.fileno(), mode)
        file.write(data)


@contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """The path of a hidden file beside `path` that takes its place when the block ends without an error.

    For what writes files itself, such as an exporter. The folder is made if it is not there. The hidden file's name is
    this process's own, so a user's file is never overwritten; what is left of it after an error is removed. Raises
    UserError when the disk refuses.
    """
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with parents_of(path):
            try:
                yield part
                with part.open("rb+") as file:
                    os.fsync(file.fileno())
                part.replace(path)
            finally:
                with suppress(OSError):
                    part.unlink(missing_ok=True)
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror or error}") from None


@contextmanager
def atomic_folder(folder: Path) -> Iterator[Path]:
    """A hidden folder beside `folder` that takes its place when the block ends without an error.

    A folder that is there already is replaced whole: the old one is moved aside first and removed last, so that at
    every moment one of the two is there in full, and `recover_folder` puts the old one back after a kill in between.
    Raises UserError when the disk refuses.
    """
    part, old = _beside(folder)
    try:
        with parents_of(folder):
            try:
                shutil.rmtree(part, ignore_errors=True)
                part.mkdir()
                yield part
                for file in part.rglob("*"):
                    if file.is_file():
                        with file.open("rb+") as opened:
                            os.fsync(opened.fileno())
                if folder.exists():
                    shutil.rmtree(old, ignore_errors=True)
                    folder.replace(old)
                part.replace(folder)
                shutil.rmtree(old, ignore_errors=True)
            finally:
                shutil.rmtree(part, ignore_errors=True)
    except OSError as error:
        with suppress(OSError):
            recover_folder(folder)
        raise UserError(f"cannot write {folder}: {error.strerror or error}") from None


def recover_folder(folder: Path) -> None:
    """Puts back the folder that a killed `atomic_folder` had moved aside, where there is none in its place."""
    _, old = _beside(folder)
    if old.is_dir() and not folder.exists():
        old.replace(folder)


def remove_folder(folder: Path) -> None:
    """Removes a folder, at once for whoever looks for it: a process that dies on the way leaves no part of it there.

    What an earlier process left is removed too. Raises UserError.
    """
    gone = folder.with_name(f".{folder.name}.gone")
    shutil.rmtree(gone, ignore_errors=True)
    try:
        folder.replace(gone)
    except FileNotFoundError:
        return
    except OSError as error:
        raise UserError(f"cannot remove {folder}: {error.strerror or error}") from None
    shutil.rmtree(gone, ignore_errors=True)


@contextmanager
def parents_of(path: Path) -> Iterator[None]:
    """The folders above `path`, for the block; after an error those that were not there before are removed again."""
    made = [folder for folder in path.parents if not folder.exists()]  # the nearest first
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield
    except BaseException:
        for folder in made:
            with suppress(OSError):  # it was never made, or something else has come into it
                folder.rmdir()
        raise


def check_files(folder: Path, names: Iterable[str]) -> None:
    """Raises UserError when a file of that name cannot be written in the folder: a folder or a pipe is in its place."""
    for file in (folder / name for name in names):
        if os.path.lexists(file) and not file.is_file():
            raise UserError(f"cannot write {file}: a folder, a pipe, a device or a broken link is in its place")


def make_folder(path: Path) -> None:
    """The folder, with those above it, where it is not there yet. Raises UserError."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"cannot make the folder {path}: {error.strerror}") from None


def _beside(folder: Path) -> tuple[Path, Path]:
    return folder.with_name(f".{folder.name}.part"), folder.with_name(f".{folder.name}.old")
