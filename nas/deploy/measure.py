"""The models of a deployment run on its images and timed, here or on a board over ssh, by the profiling agent."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from nas.deploy.facts import MOST_MODEL, Facts, facts_text
from nas.deploy.folder import programs
from nas.deploy.images import Seen
from nas.errors import UserError
from nas.files.plain import read_bytes, read_text
from nas.profiling.agent.deployed import DEPLOYMENT, IMAGES, PICTURES
from nas.profiling.agent.plan import FORMAT
from nas.profiling.boards.local import Stopped, run_board
from nas.profiling.plan.bundle import AGENT, packed_agent, written_bundle
from nas.profiling.results.machine import Identity
from nas.profiling.results.results import LARGEST, Condition, Finite, Positive, Text
from nas.runtimes.board.run import FACTS, SUMS
from nas.runtimes.runtime import Form

SETTINGS = {"window_s": 3.0, "windows": 3, "seconds": 10.0, "least_rounds": 100, "most_rounds": 1000, "starts": 5}
README = """Verifies a deployment on this board. Nothing is installed, nothing leaves the board.
1. pip install numpy pillow onnxruntime        (or ai-edge-litert, for models of LiteRT)
2. python3 agent.pyz verify        (--help: threads, energy meter)
3. Take results.json home: nas verify FOLDER --results results.json
Leave the board alone meanwhile.
"""


Share = Annotated[float, Field(ge=0, le=1)]
Found = tuple[Annotated[int, Field(ge=0)], Share, Share, Share, Share, Share]  # class, probability, box


class _Part(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)  # a later agent may say more


class Machine(_Part):
    system: Text
    machine: Text
    processor: Text
    board: Text | None = None
    python: Text
    runtime: Text
    threads: Annotated[int, Field(gt=0)]
    before: Condition
    after: Condition
    throttled: list[Text] = []
    instructions: list[Text] = []
    energy: Text | None = None  # what the meter's readings include

    @property
    def identity(self) -> Identity:
        return Identity(self.processor, self.board, self.system, self.machine)


class Timed(_Part):
    """One model: the class that it gave each image, and what an inference took; see `nas.profiling.agent.deployed`."""

    answers: list[Annotated[int, Field(ge=0)]] | list[list[Found]]  # a class, or the objects that were found
    runs: Annotated[int, Field(gt=0)]
    p50_ms: Positive
    p90_ms: Positive
    p99_ms: Positive
    cpu_ms: Annotated[float, Field(ge=0, le=1e9)]
    relative: Positive  # to the first version's fp32 of the same runtime, or to the first model
    relative_low: Positive
    relative_high: Positive
    load_ms: Positive
    first_ms: Positive
    memory_mb: Annotated[float, Field(ge=0, le=1e9)] | None = None
    boxes_ms: Annotated[float, Field(ge=0, le=1e9)] | None = None  # of a detector: what sorting its boxes out takes
    energy_mj: Finite | None = None  # with the idle power; None: no meter
    energy_net_mj: Finite | None = None  # without


class OfVersion(_Part):
    """What was found of a version's models, and the SHA-256 of what became of each picture's file."""

    models: dict[Form, Timed]
    missing: dict[Form, Text] = {}  # models that did not run, since their runtime is not there
    pictures: dict[Text, Text]


class Results(_Part):
    """results.json of `agent.pyz verify`."""

    format: int
    plan: Text  # SHA-256 of the plan.json that was carried out
    machine: Machine
    versions: Annotated[dict[Text, OfVersion], Field(min_length=1)]

    @model_validator(mode="after")
    def _of_one_bundle(self) -> Results:
        answers = {len(model.answers) for version in self.versions.values() for model in version.models.values()}
        if self.format != FORMAT or len(answers) != 1:
            raise ValueError("every model must have an answer for each image")
        return self


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """A version to measure: its facts, its models' files, and the images as its networks see them."""

    facts: Facts
    models: Mapping[Form, Path]
    images: Seen


Parts = Mapping[str, Part]  # by the version's number; the first one's fp32 is what all are compared with


def measure_models(
    parts: Parts, *, threads: int, ssh: str | None = None, python: str = "python3", meter: str = "none",
    settings: Mapping[str, float] | None = None,
) -> Results:  # fmt: skip
    """Runs the models of versions on their images with so many threads, here or on the board `ssh`.

    Nothing is left there. Raises UserError where the board cannot be reached or its Python lacks something, and as
    `checked`; Stopped where the agent here ended before it was done.
    """
    with TemporaryDirectory(prefix="nas-verify-") as scratch:
        bundle, results = Path(scratch) / "bundle", Path(scratch) / "results.json"
        write_bundle(bundle, parts, threads, settings)
        arguments = ["verify", "--meter", meter]
        if ssh:
            run_board(ssh, bundle, results, arguments, python=python)
        else:
            status = subprocess.run([sys.executable, str(bundle / AGENT), *arguments], check=False).returncode
            if status:
                raise Stopped(status)
            (bundle / "results.json").rename(results)
        return checked(results, bundle, parts, ssh or "this machine")


def measured_elsewhere(
    results: Path, parts: Parts, threads: int, settings: Mapping[str, float] | None = None
) -> Results:
    """What a board's agent found with the bundle of these parts. Raises UserError as `checked`."""
    with TemporaryDirectory(prefix="nas-verify-") as scratch:
        bundle = Path(scratch) / "bundle"
        write_bundle(bundle, parts, threads, settings)
        return checked(results, bundle, parts, str(results))


def checked(path: Path, bundle: Path, parts: Parts, where: str) -> Results:
    """The results of a bundle.

    Raises UserError for results that no agent wrote, or with another bundle, and where a picture's file becomes other
    pixels there than in training.
    """
    found = read_results(path)
    if found.plan != _digest(bundle / "plan.json"):
        raise UserError(
            f"{where}: the results are of another bundle: other versions, images, threads or another nas; make the "
            "bundle again"
        )
    there = {v: {*one.models, *one.missing} for v, one in found.versions.items()}
    if there != {v: set(part.models) for v, part in parts.items()} or any(
        len(model.answers) != len(parts[v].images.labels)
        for v, one in found.versions.items() for model in one.models.values()
    ):  # fmt: skip
        raise UserError(f"{where}: the results must have every model's answers to the images that were sent")
    for version, part in parts.items():
        shown = part.images.pictures
        wanted = {n: hashlib.sha256(part.images.pixels[i].tobytes()).hexdigest() for n, (_, i) in shown.items()}
        got = found.versions[version].pictures
        if odd := [name for name, digest in wanted.items() if got.get(name) != digest]:
            raise UserError(
                f"{where}: {len(odd)} of {len(wanted)} pictures become other pixels there than in training; its Pillow "
                "decodes or scales differently: install another version of it"
            )
    return found


def write_bundle(
    folder: Path, parts: Parts, threads: int, settings: Mapping[str, float] | None = None
) -> None:  # fmt: skip
    """What `agent.pyz verify` reads. Equal things make equal bundles, so that a board goes on with what it has."""
    for version, part in parts.items():
        place, pictures = folder / DEPLOYMENT / version, folder / PICTURES / version
        place.mkdir(parents=True)
        pictures.mkdir(parents=True)
        (folder / IMAGES).mkdir(exist_ok=True)
        for form, path in part.models.items():
            (place / part.facts.models[form]).write_bytes(read_bytes(path, MOST_MODEL, "model"))
        (place / FACTS).write_text(facts_text(part.facts), "utf-8")
        names = [FACTS, *part.facts.models.values()]
        (place / SUMS).write_text("".join(f"{_digest(place / name)}  {name}\n" for name in names), "utf-8")
        for name, text in programs().items():
            (place / name).write_text(text, "utf-8")
        np.save(folder / IMAGES / f"{version}.npy", part.images.pixels)
        for name, (content, _) in part.images.pictures.items():
            (pictures / name).write_bytes(content)
    sums = {path.relative_to(folder).as_posix(): _digest(path) for path in sorted(folder.rglob("*")) if path.is_file()}
    plan = {"versions": list(parts), "threads": threads, "settings": dict(settings or SETTINGS), "sums": sums}
    (folder / "plan.json").write_text(json.dumps({"format": FORMAT, "deployed": plan}, indent=1), "utf-8")
    (folder / AGENT).write_bytes(packed_agent())


def pack(target: Path, parts: Parts, threads: int) -> None:
    """Writes the bundle as a zip file, or a new folder. Raises UserError as `written_bundle`."""

    def fill(folder: Path, scratch: Path) -> None:
        write_bundle(folder, parts, threads)
        (folder / "README.txt").write_text(README, "utf-8")

    written_bundle(target, fill)


def read_results(path: Path) -> Results:
    """What the agent found. Raises UserError naming the key that is wrong."""
    try:
        return Results.model_validate_json(read_text(path, LARGEST, "results"))
    except ValidationError as error:
        problem = error.errors(include_url=False, include_input=False)[0]
        key = ".".join(map(str, problem["loc"])) or "the file"
        raise UserError(f"{path.name}: is not written by the agent: {key[:120]}: {problem['msg'][:200]}") from None


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
