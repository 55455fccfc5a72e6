"""The models of a plan, written by several processes; and any work by processes that end with the one that started
them."""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import signal
import tempfile
import threading
from collections.abc import Callable, Generator, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from itertools import repeat
from pathlib import Path
from typing import Any, TypeVar

from nas.errors import UserError
from nas.profiling.plan.plan import Item
from nas.runtimes.by_name import runtime_of
from nas.runtimes.runtime import RuntimeName

T = TypeVar("T")

MOST_WORKERS = 8  # each holds a runtime


def write_models(
    items: Sequence[Item], paths: Sequence[Path], runtime: RuntimeName, scratch: Path
) -> Generator[str, None, None]:
    """Writes each item's model to its path and gives its sha256, in order; what else is written goes into `scratch`.

    Raises UserError where one of the processes that write was ended from outside; OSError where the disk refuses.
    """
    yield from in_workers(_write_model, items, paths, repeat(runtime), scratch=scratch, what="writes models")


def in_workers(
    function: Callable[..., T], *arguments: Iterable[Any], scratch: Path, what: str
) -> Generator[T, None, None]:
    """`map` by several processes, in order; temporary files go into `scratch`.

    Raises UserError where a process, which does `what`, was ended from outside, and what the function raises.
    """
    pool = ProcessPoolExecutor(min(os.cpu_count() or 1, MOST_WORKERS), initializer=_begin, initargs=(str(scratch),))
    try:
        yield from pool.map(function, *arguments)
    except BrokenProcessPool:
        raise UserError(f"a process that {what} was ended from outside (out of memory?)") from None
    finally:
        pool.shutdown(cancel_futures=True)


def _begin(scratch: str) -> None:
    """A worker leaves interrupts to its parent, writes temporary files where that removes them, and ends with it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    tempfile.tempdir = scratch
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """A parent that was killed tells nobody: its workers would wait for work for ever."""
    if (parent := multiprocessing.parent_process()) is not None:
        parent.join()
        os._exit(1)


def _write_model(item: Item, path: Path, runtime: RuntimeName) -> str:
    content = model(item, runtime)
    path.write_bytes(content)
    return hashlib.sha256(content).hexdigest()


def model(item: Item, runtime: RuntimeName = "onnxruntime") -> bytes:
    """The item as a serialised model. Raises UserError for a block that the runtime cannot be given."""
    return runtime_of(runtime).write_network(item.network, item.precision, whole=item.kind != "block")
