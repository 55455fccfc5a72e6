"""Serving and switching that are killed: `python -m tests.monitor.serve.kills FOLDER MOMENTS`.

Killed is a process that serves, puts version 2 into use and goes back. After each kill the folder must name a whole
version, its log must be readable, and another process must serve on with every line that was there, each once.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from nas.errors import UserError
from nas.monitor.log import read_log, read_state
from nas.monitor.serve import versions
from nas.monitor.serve.frames import of_arrays
from nas.monitor.serve.loop import Serving
from nas.monitor.serve.options import Options
from tests.kills import killed
from tests.monitor.serve.fakes import FakeModel, Healthy

ROOT = Path(sys.argv[1])
RED = np.full((4, 4, 3), (200, 0, 0), np.uint8)
versions.POLL_S = 0.0


def serving_of(folder: Path) -> Serving:
    def load(version: int) -> Any:
        versions.check(folder, version)
        return [FakeModel(folder, version)]

    serving = Serving(folder, Options(every=True, quiet=True, window=3), loader=load, health=Healthy())
    serving.journal.log.most_bytes = 1500  # so that it is rotated
    return serving


def frames(folder: Path, serving: Serving) -> Iterator[np.ndarray]:
    for _ in range(2):
        yield from [RED] * 5
        versions.use(folder, 2)
        yield from until(serving, 2)
        versions.back(folder)
        yield from until(serving, 1)


def until(serving: Serving, version: int) -> Iterator[np.ndarray]:
    for _ in range(1000):
        yield RED
        if serving.model.version == version:
            return
        time.sleep(0.002)


def serve(folder: Path) -> int:
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    serving = serving_of(folder)
    return serving.run(of_arrays(frames(folder, serving)))


def lines_of(folder: Path) -> dict[int, str]:
    """The whole lines of the log by their numbers."""
    found: dict[int, str] = {}
    for path in (folder / "monitor").glob("log*.jsonl"):
        for line in path.read_text().splitlines(keepends=True):
            if line.endswith("\n"):
                number = json.loads(line)["n"]
                if number in found:
                    raise ValueError(f"line {number} twice")
                found[number] = line
    return found


def wrong(folder: Path, go_on: Callable[[], int]) -> str:
    """What is wrong after a kill, and after serving went on; empty: nothing."""
    try:
        return found_wrong(folder, go_on)
    except (UserError, versions.Refused, ValueError, OSError) as error:
        return f"{type(error).__name__}: {error}"


def found_wrong(folder: Path, go_on: Callable[[], int]) -> str:
    current = versions.current_of(folder)
    if current not in (1, 2):
        return f"current names {current}"
    versions.check(folder, current)
    before = lines_of(folder) if (folder / "monitor").is_dir() else {}
    state = read_state(folder) or {"n": 0, "lines": []}
    promised = before | {
        line["n"]: "" for line in state["lines"] if line["n"] not in before
    }  # of the state: they must come into the log
    if before:
        read_log(folder)
    if status := go_on():
        return f"it does not serve on: exit status {status}"
    read_log(folder)
    after = lines_of(folder)
    numbers = sorted(after)
    if numbers != list(range(numbers[0], numbers[-1] + 1)):
        return f"lines are missing: {numbers}"
    if lost := [n for n in promised if n >= numbers[0] and (n not in after or promised[n] not in ("", after[n]))]:
        return f"lines {lost} were lost"
    if numbers[-1] <= max(promised, default=0):
        return "nothing was noted after it"
    while versions.current_of(folder) != 1 or versions.previous_of(folder):
        versions.back(folder)
    if odd := [path.name for path in (folder / "monitor").iterdir() if path.name.endswith(".part")]:
        return f"{odd} were left"
    return ""


def begin(folder: Path) -> None:
    """Two versions, the first in use."""
    for number in (1, 2):
        place = folder / "versions" / str(number)
        place.mkdir(parents=True)
        (place / "model-fp32.onnx").write_text(f"model {number}")
        digest = hashlib.sha256((place / "model-fp32.onnx").read_bytes()).hexdigest()
        (place / "SHA256SUMS").write_text(f"{digest}  model-fp32.onnx\n")
    (folder / "current").write_text("1\n")


if __name__ == "__main__":
    print(killed(ROOT, sys.argv[2], serve, wrong, begin))
