"""card.toml: all that is known of a version of a deployment."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from nas.deploy.accuracy import Accuracy
from nas.deploy.detected import Detected
from nas.files.toml import Table, read_toml
from nas.run import BUDGETS
from nas.runtimes.runtime import Form, RuntimeName, form_of
from nas.space.layer import Precision

FORMAT = 1
CARD = "card.toml"
Positive = Annotated[float, Field(gt=0)]


class Predicted(Table):
    """What one inference should cost on a device: batch 1. An interval is that of 90% of held-out networks."""

    device: str
    runtime: str = ""  # that the device was measured with, as its profile says
    latency_ms: float | None = None
    latency_low_ms: float | None = None
    latency_high_ms: float | None = None
    latency_basis: str | None = None
    energy_mj: float | None = None
    weights_mb: float
    activations_mb: float  # the most that are alive at once


class Measured(Table):
    """What one inference took on a machine: batch 1, in turn with the other models of the version."""

    p50_ms: Positive
    p90_ms: Positive
    p99_ms: Positive
    cpu_ms: Annotated[float, Field(ge=0)]  # of all threads, the median
    load_ms: Positive  # from the file to a model that is ready
    first_ms: Positive  # the first inference after that
    memory_mb: float | None = None  # what the process grew by; None: the system does not tell
    runs: int
    energy_mj: float | None = None  # with the idle power or without, as the device profile's; None: no meter
    boxes_ms: float | None = None  # of a detector: decoding and suppression of its boxes, the median; not in the others


class ModelFile(Table):
    """One model file."""

    file: str
    runtime: RuntimeName
    sha256: str
    megabytes: Positive  # 10^6 bytes
    agreement: str = ""  # with the trained network, as its export found it
    notes: list[str] = []  # what its export said of it: what does not run in integers
    validation: Accuracy | None = None
    test: Accuracy | None = None
    validation_at_50: Accuracy | None = None  # of a detector, whose accuracy is mAP: AP50
    test_at_50: Accuracy | None = None
    detected: Detected | None = None  # likewise by overlap, size and class, on the test images
    predicted: Predicted | None = None
    measured: Measured | None = None  # when the version was made


class Robustness(Table):
    """Accuracy of one model file on test images under common corruptions: a mean over their kinds and severities.

    The interval of 95% is as wide as if each image had been seen once: an image in several versions tells little more.
    """

    model: Form
    value: Annotated[float, Field(ge=0, le=1)]
    low: float
    high: float
    images: int  # each in every kind and severity
    clean: Annotated[float, Field(ge=0, le=1)]  # the accuracy on the same images as they are
    kinds: dict[str, Annotated[float, Field(ge=0, le=1)]]  # by corruption, over its severities


class Card(Table):
    """card.toml."""

    format: Literal[1] = 1
    version: int
    made: str
    tool: str
    task: str
    classes: int
    resolution: int
    params: int
    macs: int
    weights: Literal["full", "proxy"]  # of a training in full, or of the search's short one
    precision: Precision  # that is used unless another is asked for
    runtime: RuntimeName = "onnxruntime"  # likewise
    run: str
    trial: int | None = None
    steps: list[str]
    hashes: dict[str, str]
    recipe: dict[str, str | int | float]
    dataset: str
    dataset_sha256: str
    dataset_seed: int
    licence: str = ""  # of the dataset; empty: nobody said
    device: str
    threads: int
    budgets: dict[str, Positive]
    measured_on: str = ""
    job: str = ""  # SHA-256 of what was asked: the same command makes no second version
    models: dict[Form, ModelFile]
    robustness: Robustness | None = None  # of the model that is used first
    no_robustness: str = ""  # why there is none

    @property
    def first(self) -> Form:
        """The model that is used unless another is asked for."""
        return form_of(self.precision, self.runtime)

    @property
    def limits(self) -> dict[str, float]:
        """The run's budgets, by the column that each one limits."""
        return {BUDGETS[name].column: limit for name, limit in self.budgets.items() if name in BUDGETS}


def read_card(folder: Path) -> Card:
    """The card of a version. Raises UserError naming the key that is wrong."""
    return read_toml(folder / CARD, Card)


def card_text(card: Card) -> str:
    """The text of card.toml."""
    import tomli_w

    return tomli_w.dumps(card.model_dump(exclude_none=True))
