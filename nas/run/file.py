"""Files that are written whole or not at all, and the lock on a run folder."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from nas.errors import UserError


def write_atomic(path: Path, data: bytes) -> None:
    """The whole file or nothing, also when the disk is full or the process dies. Raises UserError."""
    part = path.with_name(f".{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with part.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise UserError(f"cannot write {path}: {error.strerror}") from None


def make_folder(path: Path) -> None:
    """The folder, with those above it, where it is not there yet. Raises UserError."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"cannot make the folder {path}: {error.strerror}") from None


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Keeps a second search out of the folder; the system frees the lock when the process dies. Raises UserError."""
    if path.exists() and not path.is_dir():
        raise UserError(f"{path} exists and is no run folder; choose another folder by --out")
    try:
        path.mkdir(parents=True, exist_ok=True)
        file = (path / ".lock").open("ab")
    except OSError as error:
        raise UserError(f"cannot write in {path}: {error.strerror}") from None
    with file:
        try:
            if sys.platform == "win32":
                import msvcrt

                msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
            else:
                import fcntl

                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise UserError(f"another search is running in {path}; wait for it, or choose another folder") from None
        yield
