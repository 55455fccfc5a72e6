"""A search that dies or meets a full disk at every file operation that it makes: `python -m tests.search.kills FOLDER`.

Prints a JSON object: how many moments there were, and at which of them the same command did not go on to the same end.
With `confirm` after the folder, of a search whose accuracies are noisy and which trains two networks again; kills only.
"""

from __future__ import annotations

import errno
import json
import os
import resource
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from nas.errors import UserError
from nas.run import has_ended, load_run
from nas.search.loop import search
from nas.search.problem import feasibility
from tests.search.small_tasks import CountingPricer, FormulaEvaluator, settings_for, small_space

feasibility.POOL = 256  # candidates whose costs are predicted before the search: here it begins a hundred times
ROOT = Path(sys.argv[1])
SPACE = small_space(ROOT)
CONFIRM = sys.argv[2:] == ["confirm"]
SETTINGS = settings_for(
    SPACE, sampler="random", trials=3, confirm=0.7 * CONFIRM, validation_images=100 * CONFIRM
)  # fmt: skip
FILES = ("open", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.truncate", "os.symlink", "os.link")
SIZES = (0, 1, 100, 500, 700, 1000, 2000, 4096, 6000, 8192, 12_000)
at_operation: Callable[[str, tuple[Any, ...]], None] | None = None


def hook(event: str, arguments: tuple[Any, ...]) -> None:
    global at_operation
    if at_operation and event in FILES and str(arguments[0]).startswith(str(ROOT / "run")):
        now, at_operation = at_operation, None  # what it does itself does not count
        try:
            now(event, arguments)
        finally:
            at_operation = now


def run(folder: Path) -> list[tuple[Any, ...]]:
    """The same command, always: the trials that it ends with."""
    search(SPACE, CountingPricer(SPACE), FormulaEvaluator(weights=True, noise=0.05 * CONFIRM), SETTINGS, folder)
    return trials(folder)


def trials(folder: Path) -> list[tuple[Any, ...]]:
    return [
        (t.trial, t.candidate, t.accuracy, t.test_accuracy, t.seed, t.trainings, t.expected_accuracy)
        for t in load_run(folder).trials
    ]  # fmt: skip


def outcome(folder: Path) -> str:
    """What is wrong with the folder once the same command has gone on in it; "": nothing."""
    try:
        found = run(folder)
    except UserError as error:
        if "holds a run already" not in str(error) or not has_ended(folder):
            return str(error)
        found = trials(folder)
    left = [p.name for p in folder.iterdir() if p.name.startswith(".") and p.name != ".lock"]
    models = {p.name for p in (folder / "models").iterdir()}
    on_front = {str(t.trial) for t in load_run(folder).front_trials}
    if found == WHOLE and (models == on_front or (CONFIRM and models > on_front)) and not left:
        return ""
    return f"other trials or files: {len(found)}, {sorted(models)}, {sorted(on_front)}, {left}"


def killed() -> list[str]:
    """A snapshot of the folder before each operation is what a kill there would have left."""
    global at_operation
    snapshots: list[Path] = []

    def keep(event: str, arguments: tuple[Any, ...]) -> None:
        snapshots.append(ROOT / f"killed-{len(snapshots)}")
        if (ROOT / "run").exists():
            shutil.copytree(ROOT / "run", snapshots[-1])

    at_operation = keep
    run(ROOT / "run")
    at_operation = None
    return [outcome(folder) for folder in snapshots]


def full_at(moment: int) -> str | None:
    """The disk is full from this operation on; None: the search had ended before."""
    global at_operation
    shutil.rmtree(ROOT / "run")
    seen = 0

    def refuse(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal seen
        writes = event != "open" or (isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR))
        seen += bool(writes)
        if writes and seen >= moment and event not in ("os.remove", "os.rmdir"):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(arguments[0]))

    at_operation = refuse
    try:
        run(ROOT / "run")
    except UserError as error:
        said = str(error)
    else:
        return None
    finally:
        at_operation = None
    (ROOT / "run").mkdir(exist_ok=True)
    return outcome(ROOT / "run") or ("" if "\n" not in said and "cannot write" in said else said)


def full_files(size: int) -> str:
    """No file may grow beyond so many bytes."""
    shutil.rmtree(ROOT / "run")
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
    try:
        run(ROOT / "run")
    except UserError as error:
        said = str(error)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    (ROOT / "run").mkdir(exist_ok=True)
    return outcome(ROOT / "run") or ("" if "cannot write" in said else said)


if __name__ == "__main__":
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    WHOLE = run(ROOT / "whole")
    sys.addaudithook(hook)
    dead = killed()
    if CONFIRM:
        print(json.dumps({"moments": len(dead), "wrong": {i: wrong for i, wrong in enumerate(dead) if wrong}}))
        sys.exit()
    full: list[str] = []
    while (found := full_at(len(full) + 1)) is not None:
        full.append(found)
    small = [full_files(size) for size in SIZES]
    for moments in (dead, full, small):
        print(json.dumps({"moments": len(moments), "wrong": {i: wrong for i, wrong in enumerate(moments) if wrong}}))
