"""The lock on a folder that one process at a time may write in."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from nas.errors import UserError


@contextmanager
def locked(
    path: Path, busy: str = "another process is writing in {path}; wait for it", *, own: bool = False
) -> Iterator[None]:  # fmt: skip
    """Keeps a second process out of the folder, which is made if it is not there; `busy` is said to the second one.

    The system frees the lock when the process dies; its file `.lock` is removed at the end, and so are folders that
    were made for it and are still empty; with `own` also one that a process that died has left empty. Raises UserError.
    """
    if path.exists() and not path.is_dir():
        raise UserError(f"{path} exists and is not a folder; choose another one")
    made = [folder for folder in (path, *path.parents) if not folder.exists()]
    try:
        path.mkdir(parents=True, exist_ok=True)
        lock = FileLock(path / ".lock", timeout=0)
        lock.acquire()
    except Timeout:
        raise UserError(busy.format(path=path)) from None
    except OSError as error:
        _remove_empty(made)
        raise UserError(f"cannot write in {path}: {error.strerror}") from None
    try:
        yield
    finally:
        (path / ".lock").unlink(missing_ok=True)
        lock.release()
        _remove_empty(made or [path] * own)


def _remove_empty(folders: Iterable[Path]) -> None:
    """Removes the folders, the innermost first, up to the first that holds something."""
    with suppress(OSError):
        for folder in folders:
            folder.rmdir()
