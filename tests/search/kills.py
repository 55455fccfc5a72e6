"""A search that dies or meets a full disk at a file operation: `python -m tests.search.kills FOLDER MOMENTS`.

Prints JSON objects: how many operations there were, how many of them were tried, and at which of these the same command
did not go on to the same end. With `confirm` as last word, of a search whose accuracies are noisy and which trains two
networks again; kills only.
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
from tests.kills import changes, chosen
from tests.search.small_tasks import CountingPricer, FormulaEvaluator, settings_for, small_space

feasibility.POOL = 256  # candidates whose costs are predicted before the search: here it begins a hundred times
ROOT = Path(sys.argv[1])
SPACE = small_space(ROOT)
MOMENTS = sys.argv[2]
CONFIRM = sys.argv[3:] == ["confirm"]
SETTINGS = settings_for(
    SPACE, sampler="random", trials=3, confirm=0.7 * CONFIRM, validation_images=100 * CONFIRM
)  # fmt: skip
SIZES = (0, 1, 100, 500, 700, 1000, 2000, 4096, 6000, 8192, 12_000)
at_operation: Callable[[str, tuple[Any, ...]], None] | None = None


def hook(event: str, arguments: tuple[Any, ...]) -> None:
    global at_operation
    if at_operation and changes(event, arguments, str(ROOT / "run")):
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


def printed(operations: int, found: dict[int, str]) -> None:
    wrong = {moment: said for moment, said in found.items() if said}
    print(json.dumps({"operations": operations, "moments": len(found), "wrong": wrong}))


def killed() -> None:
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
    printed(len(snapshots), {i: outcome(snapshots[i]) for i in chosen(len(snapshots), MOMENTS)})


def full(first: int) -> tuple[str, int]:
    """The disk is full from this operation on: what the search said, and how many operations end with a writing one."""
    global at_operation
    shutil.rmtree(ROOT / "run")
    seen, last, said = 0, 0, ""

    def refuse(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal seen, last
        seen += 1
        if event in ("os.remove", "os.rmdir"):
            return
        last = seen
        if seen > first:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(arguments[0]))

    at_operation = refuse
    try:
        run(ROOT / "run")
    except UserError as error:
        said = str(error)
    finally:
        at_operation = None
    return said, last


def gone_on_after(said: str) -> str:
    """What is wrong with the run's folder once there is room again, or with what the search said; "": nothing."""
    (ROOT / "run").mkdir(exist_ok=True)
    return outcome(ROOT / "run") or ("" if "\n" not in said and "cannot write" in said else said or "it went on")


def full_files(size: int) -> str:
    """No file may grow beyond so many bytes."""
    shutil.rmtree(ROOT / "run")
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
    said = ""
    try:
        run(ROOT / "run")
    except UserError as error:
        said = str(error)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    return gone_on_after(said)


if __name__ == "__main__":
    os.fsync = lambda descriptor: None  # what is written outlives a process without it
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    WHOLE = run(ROOT / "whole")
    sys.addaudithook(hook)
    killed()
    if not CONFIRM:
        operations = full(1 << 40)[1]
        printed(operations, {i: gone_on_after(full(i)[0]) for i in chosen(operations, MOMENTS)})
        printed(len(SIZES), {size: full_files(size) for size in SIZES})
