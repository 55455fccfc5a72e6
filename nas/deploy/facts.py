"""preprocess.json: how a picture becomes the input, the classes, and which file is the model of a precision.

One object: the program on the board reads it, and so does nas verify.
"""

from __future__ import annotations

import hashlib
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from nas.deploy.card import Card
from nas.errors import UserError
from nas.files.json import read_json_table
from nas.files.plain import MB, file_in, read_bytes, read_text
from nas.files.toml import Table
from nas.models.trained import LARGEST_SIDE, Resize, TrainedModel
from nas.profiling.agent.plan import READS_FILES
from nas.runtimes.board.run import FACTS, SUMS
from nas.runtimes.runtime import Form, parts_of
from nas.tasks.detection import heads_of

MOST_MODEL = 1000 * MB
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,100}$")]
Channels = tuple[float, float, float]
Pixels = Annotated[int, Field(gt=0, le=LARGEST_SIDE)]
Side = Annotated[int, Field(ge=0, le=LARGEST_SIDE)]


class Heads(Table):
    """A detector's: their kind, and height and width of the maps that they read, as of `nas.data.boxes.priors`."""

    kind: Literal["ssdlite", "anchor_free"]
    maps: Annotated[tuple[tuple[Pixels, Pixels], ...], Field(min_length=1)]


class Facts(Table):
    """preprocess.json. `models`: the files by their names, the one that is used unless another is asked for first.

    `accuracy`: of each on the validation images, as a fraction, where it was measured.
    """

    format: Literal[1] = 1
    task: str
    resolution: Annotated[int, Field(gt=0, le=LARGEST_SIDE)]
    side: Side
    resize: Resize
    color: Literal["RGB"]
    mean: Channels
    std: Channels
    threads: Annotated[int, Field(gt=0, le=1024)]
    models: Annotated[dict[Form, Name], Field(min_length=1)]
    classes: Annotated[tuple[str, ...], Field(min_length=1)]
    heads: Heads | None = None  # None: it is a classifier
    accuracy: dict[Form, Annotated[float, Field(ge=0, le=1)]] = {}


def facts_of(model: TrainedModel, card: Card) -> Facts:
    """The facts of a model that is deployed as the card says."""

    def place(form: Form) -> tuple[bool, bool, Form]:
        precision, runtime = parts_of(form)
        return runtime != card.runtime, precision != card.precision, form

    ordered = sorted(card.models, key=place)
    return Facts(
        task=model.task, **asdict(model.preprocessing), threads=card.threads,
        models={form: card.models[form].file for form in ordered}, classes=model.classes,
        heads=_heads(model),
        accuracy={form: found.value for form in ordered if (found := card.models[form].validation)},
    )  # fmt: skip


def _heads(model: TrainedModel) -> Heads | None:
    if not model.network.detects:
        return None
    kind, maps = heads_of(model.network)
    return Heads(kind=kind, maps=tuple(maps))  # type: ignore[arg-type]  # checked there


def facts_text(facts: Facts) -> str:
    """The text of preprocess.json."""
    return facts.model_dump_json(indent=1) + "\n"


def read_facts(version: Path) -> Facts:
    """preprocess.json of a version that is whole.

    Raises UserError for a file that is not the one that SHA256SUMS names: the first of them; and for a model that would
    read other files.
    """
    for line in read_text(version / SUMS, MB // 10).splitlines():
        digest, _, name = line.partition("  ")
        path = file_in(version, name) if name and "/" not in name and name not in (".", "..") else None
        if path is None or digest_of(path) != digest:
            raise UserError(f"{version / name[:200]}: is not the file that {SUMS} names; copy the folder again")
    facts = read_json_table(version / FACTS, Facts, 10 * MB)
    for name in facts.models.values():
        if any(key in read_bytes(version / name, MOST_MODEL, "model") for key in READS_FILES):
            raise UserError(f"{version / name}: a model must hold its weights itself")
    return facts


def fault_in(version: Path) -> str:
    """Why `read_facts` refuses a version, in words; nothing where it is whole."""
    try:
        read_facts(version)
    except UserError as error:
        return str(error)
    return ""


def digest_of(path: Path) -> str:
    """The SHA-256 of a file."""
    return hashlib.sha256(read_bytes(path, MOST_MODEL)).hexdigest()
