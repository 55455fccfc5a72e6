"""A compression that is killed before each EVERYth file operation: `python -m tests.deploy.compress_kills PATH EVERY`.

Each kill is a real one (SIGKILL) of a process of its own; then the same call goes on in another. Prints a JSON object:
how many moments there were, and at which of them the second did not end with the same files.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from nas.compress import finetune
from nas.compress.step import Given, with_step
from nas.deploy.compress import compress
from nas.deploy.source import Source
from nas.models.builder import build
from nas.models.trained import Preprocessing, TrainedModel
from tests.train.lessons import few_digits, small_network

ROOT, EVERY = Path(sys.argv[1]), int(sys.argv[2])
FILES = ("open", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.truncate")
DIGITS = few_digits(64, 16)
MODEL = TrainedModel(
    small_network(), build(small_network()).state_dict(), "classification", DIGITS.classes, Preprocessing(8),
    recipe={"optimizer": "adamw"},
)  # fmt: skip
left = -1  # file operations until this process is killed; below 0: it is not


@dataclass(frozen=True)
class Tune:
    """A step of fine-tuning alone."""

    name: str = field(default="tune", init=False)

    def apply(self, model: TrainedModel, given: Given) -> TrainedModel:
        return with_step(finetune.fine_tuned(model, model, given, 1).model, self.name)


@dataclass(frozen=True)
class Half:
    name: str = field(default="half", init=False)

    def apply(self, model: TrainedModel, given: Given) -> TrainedModel:
        return with_step(replace(model, precision="fp16"), self.name)


class Digits(Source):
    def dataset(self) -> Any:
        return DIGITS


def hook(event: str, arguments: tuple[Any, ...]) -> None:
    global left
    if left >= 0 and event in FILES and str(arguments[0]).startswith(str(ROOT)):
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        left -= 1


def compressed(folder: Path, operations: int = -1) -> int:
    """Compresses in a process of its own, which is killed before so many file operations; its exit status."""
    global left
    child = os.fork()
    if child == 0:
        left = operations
        compress(Digits(Path("model"), MODEL, "digits", 0), [Tune(), Half()], folder)
        left = -1
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def wrong(folder: Path, status: int) -> str:
    if status:
        return f"exit status {status}"
    beside = sorted(p.name for p in folder.parent.iterdir() if p != folder)
    files = {path.name: path.read_bytes() for path in folder.iterdir()}
    return f"left: {beside}" if beside else "" if files == WHOLE else "other files"


if __name__ == "__main__":
    finetune.SAVE_SECONDS = 0.0  # type: ignore[attr-defined]
    sys.addaudithook(hook)
    (ROOT / "whole").mkdir()
    assert compressed(ROOT / "whole" / "out") == 0
    WHOLE = {path.name: path.read_bytes() for path in (ROOT / "whole" / "out").iterdir()}
    found: dict[int, str] = {}
    moment = 0
    while True:
        place = ROOT / str(moment) / "out"
        place.parent.mkdir()
        if compressed(place, moment) == 0:
            break
        if said := wrong(place, compressed(place)):
            found[moment] = said
        shutil.rmtree(place.parent, ignore_errors=True)
        moment += EVERY
    print(json.dumps({"moments": moment // EVERY, "wrong": found}))
