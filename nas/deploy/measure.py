"""The models of a deployment run on its images and timed, here or on a board over ssh, by the profiling agent."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections.abc import Mapping
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
from nas.profiling.plan.bundle import AGENT, packed_agent
from nas.profiling.results.machine import Identity
from nas.profiling.results.results import LARGEST, Condition, Finite, Positive, Text
from nas.runtimes.board.run import FACTS, SUMS
from nas.runtimes.runtime import Form

SETTINGS = {"window_s": 3.0, "windows": 3, "seconds": 10.0, "least_rounds": 100, "most_rounds": 1000, "starts": 5}


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

    answers: list[Annotated[int, Field(ge=0)]]
    runs: Annotated[int, Field(gt=0)]
    p50_ms: Positive
    p90_ms: Positive
    p99_ms: Positive
    cpu_ms: Annotated[float, Field(ge=0, le=1e9)]
    relative: Positive  # to fp32 of the same runtime, or to the only model
    relative_low: Positive
    relative_high: Positive
    load_ms: Positive
    first_ms: Positive
    memory_mb: Annotated[float, Field(ge=0, le=1e9)] | None = None
    energy_mj: Finite | None = None  # with the idle power; None: no meter
    energy_net_mj: Finite | None = None  # without


class Results(_Part):
    """results.json of `agent.pyz verify`."""

    format: int
    machine: Machine
    models: Annotated[dict[Form, Timed], Field(min_length=1)]
    missing: dict[Form, Text] = {}  # models that did not run, since their runtime is not there
    pictures: dict[Text, Text]

    @model_validator(mode="after")
    def _of_one_bundle(self) -> Results:
        if self.format != FORMAT or len({len(model.answers) for model in self.models.values()}) > 1:
            raise ValueError("every model must have an answer for each image")
        return self


def measure_models(
    facts: Facts, models: Mapping[Form, Path], images: Seen, *, threads: int, ssh: str | None = None,
    python: str = "python3", meter: str = "none", settings: Mapping[str, float] | None = None,
) -> Results:  # fmt: skip
    """Runs `models` on `images` with so many threads, here or on the board `ssh`, where nothing is left.

    Raises UserError where the board cannot be reached or its Python lacks something, for results that no agent wrote,
    and where a picture's file becomes other pixels there; Stopped where the agent here ended before it was done.
    """
    with TemporaryDirectory(prefix="nas-verify-") as scratch:
        bundle, results = Path(scratch) / "bundle", Path(scratch) / "results.json"
        write_bundle(bundle, facts, models, images, settings or SETTINGS)
        arguments = ["verify", "--threads", str(threads), "--meter", meter]
        if ssh:
            run_board(ssh, bundle, results, arguments, python=python)
        else:
            status = subprocess.run([sys.executable, str(bundle / AGENT), *arguments], check=False).returncode
            if status:
                raise Stopped(status)
            (bundle / "results.json").rename(results)
        found = read_results(results)
    if {*found.models, *found.missing} != set(models) or any(
        len(m.answers) != len(images.labels) for m in found.models.values()
    ):
        raise UserError(
            f"{ssh or 'the agent'}: the results must have every model's answers to the images that were sent"
        )
    wanted = {name: hashlib.sha256(images.pixels[n].tobytes()).hexdigest() for name, (_, n) in images.pictures.items()}
    if odd := [name for name, digest in wanted.items() if found.pictures.get(name) != digest]:
        raise UserError(
            f"{ssh or 'this machine'}: {len(odd)} of {len(wanted)} pictures become other pixels there than in "
            "training; its Pillow decodes or scales differently: install another version of it"
        )
    return found


def write_bundle(
    folder: Path, facts: Facts, models: Mapping[Form, Path], images: Seen, settings: Mapping[str, float]
) -> None:
    """What `agent.pyz verify` reads. Equal things make equal bundles, so that a board goes on with what it has."""
    place = folder / DEPLOYMENT
    (folder / PICTURES).mkdir(parents=True)
    place.mkdir(parents=True)
    for form, path in models.items():
        (place / facts.models[form]).write_bytes(read_bytes(path, MOST_MODEL, "model"))
    (place / FACTS).write_text(facts_text(facts), "utf-8")
    names = [FACTS, *facts.models.values()]
    (place / SUMS).write_text("".join(f"{_digest(place / name)}  {name}\n" for name in names), "utf-8")
    for name, text in programs().items():
        (place / name).write_text(text, "utf-8")
    np.save(folder / IMAGES, images.pixels)
    for name, (content, _) in images.pictures.items():
        (folder / PICTURES / name).write_bytes(content)
    sums = {path.relative_to(folder).as_posix(): _digest(path) for path in sorted(folder.rglob("*")) if path.is_file()}
    plan = {"format": FORMAT, "deployed": {"settings": dict(settings), "sums": sums}}
    (folder / "plan.json").write_text(json.dumps(plan, indent=1), "utf-8")
    (folder / AGENT).write_bytes(packed_agent())


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
