"""A compression that is killed: `python -m tests.deploy.compress_kills FOLDER MOMENTS`."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from nas.compress import finetune
from nas.compress.step import Given, with_step
from nas.deploy.compress import compress
from nas.deploy.source import Source
from nas.models.builder import build
from nas.models.trained import Preprocessing, TrainedModel
from tests.kills import killed
from tests.train.lessons import few_digits, small_network

ROOT = Path(sys.argv[1])
DIGITS = few_digits(64, 16)
MODEL = TrainedModel(
    small_network(), build(small_network()).state_dict(), "classification", DIGITS.classes, Preprocessing(8),
    recipe={"optimizer": "adamw"},
)  # fmt: skip


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


def compressed(folder: Path) -> None:
    compress(Digits(Path("model"), MODEL, "digits", 0), [Tune(), Half()], folder)


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def wrong(folder: Path, go_on: Callable[[], int]) -> str:
    if status := go_on():
        return f"exit status {status}"
    if beside := sorted(p.name for p in folder.parent.iterdir() if p != folder):
        return f"left: {beside}"
    return "" if files(folder) == files(ROOT / "whole/out") else "other files"


if __name__ == "__main__":
    finetune.SAVE_SECONDS = 0.0  # type: ignore[attr-defined]
    print(killed(ROOT, sys.argv[2], compressed, wrong))
