"""A call that is killed before file operations that change something, and then made again.

Each kill is a real one (SIGKILL) of a process of its own; the same call goes on in another. A script has the call and
prints `killed(...)`; a test starts it with `run_kills`. The moments are drawn from all of them, one from each equal
part, with one seed; `pytest --every-kill` takes them all.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import traceback
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.cli.command import ROOT

ALL = "all"
FILES = ("open", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.truncate", "os.symlink", "os.link")
WRITES = os.O_WRONLY | os.O_RDWR
UNKILLED = 1 << 40

left = -1  # operations until this process is killed; below 0: they are not counted
watched = ""  # the folder whose operations count


def changes(event: str, arguments: tuple[Any, ...], folder: str) -> bool:
    """Whether an audit event is of an operation that changes files in the folder: a kill before one that only reads
    leaves what a kill after the last change leaves."""
    if event not in FILES or (event == "open" and not (isinstance(arguments[2], int) and arguments[2] & WRITES)):
        return False
    path = str(arguments[0])
    if event in ("os.remove", "os.rmdir") and arguments[1] != -1:  # of shutil.rmtree
        path = f"{Path(f'/proc/self/fd/{arguments[1]}').readlink()}/{path}"
    return path.startswith(folder)


def hook(event: str, arguments: tuple[Any, ...]) -> None:
    global left
    if left < 0 or not changes(event, arguments, watched):
        return
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    left -= 1


def in_a_child(call: Callable[[], object], operations: int = UNKILLED) -> tuple[int, int]:
    """Calls in a process that is killed before so many operations: its exit status, and how many it came to."""
    global left
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            left = operations
            done = call()
            status = done if isinstance(done, int) else 0
            os.write(write, str(operations - left).encode())
        except BaseException:
            traceback.print_exc()
        finally:
            left = -1
            os._exit(status)
    os.close(write)
    with os.fdopen(read) as pipe:
        came_to = int(pipe.read() or operations)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), came_to


def chosen(total: int, moments: str) -> list[int]:
    """All of 0 to total - 1, or so many of them: one from each of as many equal parts."""
    if moments == ALL or int(moments) >= total:
        return list(range(total))
    ends = np.linspace(0, total, int(moments) + 1).astype(int)
    rng = np.random.default_rng(total)
    return [int(rng.integers(first, end)) for first, end in pairwise(ends)]


def killed(
    root: Path, moments: str, call: Callable[[Path], object], wrong: Callable[[Path, Callable[[], int]], str],
    begin: Callable[[Path], object] = lambda place: None, name: str = "out",
) -> str:  # fmt: skip
    """A JSON object: how many operations there are, before how many of them the call was killed, and what was wrong.

    `begin` and `call` get root/MOMENT/NAME, whose parent exists; the call returns an exit status, or nothing for 0.
    `wrong` gets the same after the kill and what makes the call again, to its status; it returns "" or what is wrong.
    """
    global watched
    os.fsync = lambda descriptor: None  # what is written outlives a process without it
    watched = str(root)
    sys.addaudithook(hook)

    def place_of(moment: str) -> Path:
        place = root / moment / name
        place.parent.mkdir()
        begin(place)
        return place

    first = place_of("whole")
    status, total = in_a_child(lambda: call(first))
    assert status == 0, f"exit status {status} without a kill"
    found: dict[int, str] = {}
    kills = 0
    for moment in chosen(total, moments):
        place = place_of(str(moment))
        status, _ = in_a_child(lambda place=place: call(place), moment)  # type: ignore[misc]
        if status == 0:  # it came to fewer operations than the first time
            continue
        kills += 1
        said = f"exit status {status} instead of a kill" if status != -signal.SIGKILL else ""
        said = said or wrong(place, lambda place=place: in_a_child(lambda: call(place))[0])  # type: ignore[misc]
        if said:
            found[moment] = said
        shutil.rmtree(place.parent)
    return json.dumps({"operations": total, "moments": kills, "wrong": found})


def moments_of(config: pytest.Config, few: int) -> str:
    """So many moments; with --every-kill all."""
    return ALL if config.getoption("--every-kill") else str(few)


def run_kills(script: str, *words: str | Path) -> list[dict[str, Any]]:
    """The objects that a script of the tests prints: `tests.search.kills FOLDER MOMENTS`, for example."""
    done = subprocess.run(
        [sys.executable, "-m", script, *map(str, words)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
