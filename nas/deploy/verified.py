"""What verifications of a version found, kept beside it in verified.json."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from nas.deploy.accuracy import Accuracy
from nas.deploy.card import Measured, Predicted
from nas.deploy.detected import Detected
from nas.files.atomic import write_atomic
from nas.files.json import read_json_table
from nas.files.plain import MB
from nas.files.toml import Table
from nas.run.pictures import MOST_PICTURES, Found, Picture
from nas.runtimes.runtime import Form

VERIFIED = "verified.json"
MOST_JSON = 4 * MB
Verdict = Literal["feasible", "violates", "not known", "no budgets"]


class VerifiedModel(Table):
    """One file as it was found on one machine, beside what its card says."""

    file: str
    megabytes: float
    accuracy: Accuracy
    of_card: Accuracy | None  # on the test images, when the version was made
    less_fp32: Accuracy | None  # the accuracy less that of `base`, on the same images; None: of this itself
    detected: Detected | None = None  # of a detector
    boxes: Annotated[Found, Field(max_length=MOST_PICTURES)] = []  # in each of the samples
    measured: Measured
    relative: tuple[float, float, float] | None  # to its time in the same round: median, and its 95% interval
    predicted: Predicted | None
    verdict: Verdict  # on the run's budgets, by what was measured
    verdict_words: str
    at_50: Accuracy | None = None  # of a detector, whose accuracy is mAP: AP50
    at_50_less_fp32: Accuracy | None = None
    slower: list[str]  # why it is slower than `base`, where it is


class Verified(Table):
    """One verification of a version, with those that were measured together with it."""

    at: str
    where: str
    board: str  # "": this machine
    images: str
    count: int
    total: int
    threads: int
    same_device: bool  # whether it is the device that was predicted for
    pictures: int  # files whose pixels were equal to the bit there
    base: str = "fp32"  # what models are compared with
    together: list[int] = []  # the versions
    classes: list[str] = []  # of detectors, where they are not too many
    samples: Annotated[list[Picture], Field(max_length=MOST_PICTURES)] = []  # some images, of the last verification
    notes: list[str]
    models: dict[Form, VerifiedModel]


class _File(Table):
    format: Literal[1] = 1
    verified: Annotated[list[Verified], Field(max_length=1000)] = []


def read_verified(place: Path) -> list[Verified]:
    """What earlier verifications of a version found. Raises UserError for what nas verify would not have written."""
    file = place / VERIFIED
    return list(read_json_table(file, _File, MOST_JSON).verified) if file.exists() else []


def keep(place: Path, found: Verified) -> None:
    """In verified.json; what was measured before in the same way is no longer there."""
    before = [_without_samples(v) for v in read_verified(place) if (v.where, v.images, v.together) != (
        found.where, found.images, found.together)]  # fmt: skip
    write_atomic(place / VERIFIED, (_File(verified=[*before, found]).model_dump_json(indent=1) + "\n").encode())


def _without_samples(found: Verified) -> Verified:
    models = {form: model.model_copy(update={"boxes": []}) for form, model in found.models.items()}
    return found.model_copy(update={"samples": [], "models": models})
