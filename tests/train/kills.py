"""A full training that is killed before each EVERYth file operation: `python -m tests.train.kills FOLDER EVERY`.

Each kill is a real one (SIGKILL) of a process of its own; then the same call goes on in another. Prints a JSON object:
how many moments there were, and at which of them the second did not end with the same files.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
from pathlib import Path
from typing import Any

from nas.train.full import train_full
from tests.train.lessons import CPU, few_digits, short_recipe, small_network

ROOT, EVERY = Path(sys.argv[1]), int(sys.argv[2])
FILES = ("open", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.truncate")
DIGITS = few_digits(64)
RECIPE = short_recipe(images=64, epochs=2, mixup=0.2, hyperparameters={"optimizer": "adamw"})
NETWORK = small_network()
left = -1  # file operations until this process is killed; below 0: it is not


def hook(event: str, arguments: tuple[Any, ...]) -> None:
    global left
    if left >= 0 and event in FILES and str(arguments[0]).startswith(str(ROOT)):
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        left -= 1


def train(folder: Path, operations: int = -1) -> int:
    """Trains in a process of its own, which is killed before so many file operations; its exit status."""
    global left
    child = os.fork()
    if child == 0:
        left = operations
        train_full(NETWORK, DIGITS, RECIPE, folder, device=CPU, save_seconds=0.0, precision="int8")
        left = -1
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def files(folder: Path) -> dict[str, bytes]:
    """What does not tell the time."""
    return {name: (folder / name).read_bytes() for name in ("weights.safetensors", "model.json")}


def wrong(folder: Path, status: int) -> str:
    if status:
        return f"exit status {status}"
    beside = sorted(p.name for p in folder.parent.iterdir() if p != folder)
    inside = sorted(p.name for p in folder.iterdir())
    if beside or inside != ["curve.csv", "curve.html", "model.json", "result.json", "weights.safetensors"]:
        return f"left: {beside}, {inside}"
    return "" if files(folder) == WHOLE else "other weights"


if __name__ == "__main__":
    sys.addaudithook(hook)
    assert train(ROOT / "whole" / "17") == 0
    WHOLE = files(ROOT / "whole" / "17")
    found: dict[int, str] = {}
    moment = 0
    while True:
        place = ROOT / str(moment) / "17"
        if train(place, moment) == 0:
            break
        if said := wrong(place, train(place)):
            found[moment] = said
        shutil.rmtree(place.parent, ignore_errors=True)
        moment += EVERY
    print(json.dumps({"moments": moment // EVERY, "wrong": found}))
