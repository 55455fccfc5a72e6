"""The files of a full training: what it was begun with, while it runs; the curve and the result, beside the model.

FOLDER/                  model.json and weights.safetensors (nas.models.trained), curve.csv, curve.html, result.json
.FOLDER.training/        until then: training.json, what it was begun with, and training.safetensors, its state
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict
from hashlib import sha256
from pathlib import Path
from typing import Literal

from pydantic import Field

from nas.data.dataset import Dataset
from nas.errors import UserError
from nas.files.atomic import write_atomic
from nas.files.csv import csv_text
from nas.files.json import read_json_table
from nas.files.plain import MB, file_in
from nas.files.toml import Table
from nas.models.trained import TrainedModel, load_trained
from nas.space.network import Network
from nas.train.distill import Teacher
from nas.train.full_recipe import FullRecipe
from nas.train.loop import Epoch

STATE, BEGUN = "training.safetensors", "training.json"
CURVE, RESULT, PAGE = "curve.csv", "result.json", "curve.html"
COLUMNS = ("epoch", "train_loss", "validation_accuracy", "validation_loss", "seconds")
NONE = "none"  # the teacher of a training without one
RANDOM = "random weights"
FORMAT = 1  # of what a digest stands for: another training method gives other weights


class Begun(Table):
    """What a training was begun with."""

    format: Literal[1]
    digest: str  # SHA-256 of all that its weights follow from
    recipe: FullRecipe
    seed: int
    teacher: str  # as it was named, or none
    start: str = RANDOM  # where its first weights are from
    minutes: float = Field(ge=0)  # that it may take; 0: no limit

    @property
    def limit_s(self) -> float:
        return 60 * self.minutes or math.inf

    def difference(self, other: Begun) -> str:
        """The first setting in which another training differs, in words; the images or the network where none does."""
        here, there = (
            {**asdict(b.recipe), "seed": b.seed, "teacher": b.teacher, "start": b.start, "minutes": b.minutes}
            for b in (self, other)
        )
        differing = (name for name in here if here[name] != there[name])
        said = (f"its {name} is {str(here[name])[:80]}, not {str(there[name])[:80]}" for name in differing)
        return next(said, "of other images, of another network or with another teacher")


class Accuracy(Table):
    """The share of images classified correctly, in one precision, and of how many."""

    validation: float = Field(ge=0, le=1)
    validation_images: int
    test: float = Field(ge=0, le=1)
    test_images: int


class Result(Table):
    """What came of a training. Test images were looked at once, after the last step."""

    format: Literal[1]
    epochs: int
    steps: int
    seconds: float
    teacher: str  # or none
    accuracy: dict[str, Accuracy]  # by precision: fp32, and the one that it is deployed in, as `quantized` simulates it


def begun_with(
    start: Network | TrainedModel, dataset: Dataset, recipe: FullRecipe, seed: int, teacher: Teacher | None,
    minutes: float,
) -> Begun:  # fmt: skip
    """What a training with these arguments of `train_full` is begun with."""
    digest = _digest(start, dataset, recipe, seed, teacher, minutes)
    return Begun(
        format=1, digest=digest, recipe=recipe, seed=seed, teacher=teacher.name if teacher else NONE,
        start=_origin(start), minutes=minutes,
    )  # fmt: skip


def _digest(
    start: Network | TrainedModel, dataset: Dataset, recipe: FullRecipe, seed: int, teacher: Teacher | None,
    minutes: float,
) -> str:  # fmt: skip
    """The SHA-256 of all that the trained weights follow from, but the machine."""
    network = start if isinstance(start, Network) else start.network
    taught = (teacher.name, teacher.fingerprint, teacher.resolution) if teacher else ()
    parts = (
        FORMAT,
        network.blocks,
        network.stages,
        network.shared,
        dataset.fingerprint,
        sorted(asdict(recipe).items()),
        seed,
        taught,
        minutes,
    )
    made = sha256(repr(parts).encode())
    if isinstance(start, TrainedModel):
        for name, tensor in sorted(start.weights.items()):
            made.update(name.encode() + tensor.contiguous().numpy().tobytes())
    return made.hexdigest()


def _origin(start: Network | TrainedModel) -> str:
    """Where the first weights are from, in words."""
    if isinstance(start, Network):
        return RANDOM
    return start.lineage.steps[-1] if start.lineage.steps else "a model's weights"


def work_folder(folder: Path) -> Path:
    """Where a training that will end in `folder` keeps its state. Raises UserError for a folder without a name."""
    if not folder.name:  # . or /
        raise UserError(f"{folder} exists and is not a model's folder; choose another one with --out")
    return folder.with_name(f".{folder.name}.training")


def read_begun(folder: Path) -> Begun | None:
    """What the training that will end in `folder` was begun with; None where none is under way. Raises UserError."""
    work = work_folder(folder)
    file = file_in(work, BEGUN) if (work / STATE).exists() else None
    return None if file is None else read_json_table(file, Begun, MB)


def write_begun(folder: Path, begun: Begun) -> None:
    """Raises UserError when the disk is full."""
    write_atomic(work_folder(folder) / BEGUN, (begun.model_dump_json(indent=1) + "\n").encode())


def discard(folder: Path) -> None:
    """Removes what the training that was to end in `folder` kept, the state first."""
    work = work_folder(folder)
    for file in (work / STATE, work / BEGUN, *work.glob(".*.part")):
        with suppress(OSError):
            file.unlink(missing_ok=True)


def remove_work(folder: Path) -> None:
    """Removes the work folder where a training was begun and has kept no state: nothing is lost with it."""
    work = work_folder(folder)
    if not (work / STATE).exists():
        discard(folder)
        with suppress(OSError):
            work.rmdir()


def check_place(folder: Path, begun: Begun, *, force: bool = False) -> None:
    """Raises UserError unless this training may end in `folder`: nothing of another one is lost unless `force`."""
    if (other := read_begun(folder)) is not None and other.digest != begun.digest and not force:
        raise UserError(
            f"{folder}: another training was begun there, {other.difference(begun)}; nas train goes on with it with "
            "--resume, replaces it with --force, and trains elsewhere with --out"
        )
    if folder.is_symlink() and finished(folder, begun.digest) is None:
        raise UserError(f"{folder} is a link, which a folder cannot replace; choose another one with --out")
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return
    if not (folder / "model.json").is_file():
        raise UserError(f"{folder} exists and is not a model's folder; choose another one with --out")
    if not force and finished(folder, begun.digest) is None:
        raise UserError(
            f"{folder} holds the model of another training; nas train replaces it with --force, and trains elsewhere "
            "with --out; nas deploy takes it where no option of the training is given"
        )


def finished(folder: Path, digest: str) -> TrainedModel | None:
    """The model that this training has ended with; None where it has not."""
    if not (folder / "model.json").is_file():
        return None
    model = load_trained(folder)
    return model if model.lineage.hashes.get("training") == digest else None


def result_files(name: str, curve: Sequence[Epoch], result: Result) -> dict[str, bytes]:
    """The files beside the model, by their names; `name` is the page's title."""
    from nas.train.curve_page import curve_page

    rows = [(n, e.train_loss, e.validation_accuracy, e.validation_loss, e.seconds) for n, e in enumerate(curve, 1)]
    text = json.dumps(result.model_dump(), indent=1) + "\n"
    page = curve_page(name, curve, result)
    return {CURVE: csv_text(COLUMNS, rows).encode(), RESULT: text.encode(), PAGE: page.encode()}


def read_result(folder: Path) -> Result:
    """Raises UserError where there is none, and for what no training would have written."""
    file = file_in(folder, RESULT)
    if file is None:
        raise UserError(f"{folder} has no {RESULT}: it is not the folder of a network that was trained in full")
    return read_json_table(file, Result, MB)
