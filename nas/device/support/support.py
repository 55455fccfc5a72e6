"""What the compiler of an accelerator maps, as data: NAME.toml in this folder, or in the user's own."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, field_validator

from nas.catalog import find, names
from nas.files.names import safe_name
from nas.files.plain import read_text
from nas.files.toml import MOST_BYTES, Table, parse_toml
from nas.space.layer import Kind, Precision

FOLDER = "device/support"
Function = Literal[
    "relu", "relu6", "hswish", "swish", "hsigmoid", "sigmoid", "leaky_relu", "prelu", "elu", "gelu", "tanh", "mish",
    "selu", "celu", "softplus", "softsign", "thresholded_relu",
]  # fmt: skip
Size = Annotated[int, Field(gt=0, le=1_000_000)]


class Support(Table):
    """The file. Of kernels, the larger side counts; a kind without a limit has none that the sources name."""

    name: str
    title: str
    precisions: Annotated[list[Precision], Field(min_length=1)]
    operators: Annotated[list[Kind], Field(min_length=1)]  # of layers other than activations
    activations: list[Function]
    max_kernel: dict[Kind, Size] = {}
    max_stride: dict[Kind, Size] = {}
    resize_factors: list[Size] = []  # by which a resize may enlarge; empty: by any
    first_unsupported_ends: bool  # what follows the first layer that is not mapped stays on the CPU too
    longest_run_only: bool = False  # of the runs of mapped layers, only the longest leaves the CPU
    on_chip_kib: Size | None = None  # for weights; what is beyond it streams in at each inference
    note: str = ""  # what the keys cannot say
    source: Annotated[list[str], Field(min_length=1)]
    date: str  # when the sources were read

    @field_validator("name")
    @classmethod
    def _safe(cls, name: str) -> str:
        return safe_name(name)

    @field_validator("operators")
    @classmethod
    def _layers(cls, operators: list[Kind]) -> list[Kind]:
        if "activation" in operators:
            raise ValueError("activations are named one by one, under activations; got 'activation'")
        return operators

    @field_validator("date")
    @classmethod
    def _day(cls, date: str) -> str:
        from datetime import date as day

        try:
            day.fromisoformat(date)
        except ValueError:
            raise ValueError(f"must be a day, e.g. 2026-11-26; got {date[:80]!r}") from None
        return date


@dataclass(frozen=True)
class SupportFile:
    """A target's rules and the sha256 of the file that they stand in."""

    rules: Support
    sha256: str


def targets() -> tuple[str, ...]:
    """The names of the targets that are known, the user's own among them."""
    return tuple(names(FOLDER, ".toml"))


def load_support(name: str) -> SupportFile:
    """A target by its name, or by the path of its TOML file. Raises UserError naming the file and the key.

    nas.device.support.support.load_support("edge-tpu").rules.activations
    """
    path = Path(find("target", FOLDER, name, ".toml"))
    text = read_text(path, MOST_BYTES, "TOML")
    return SupportFile(parse_toml(text, path, Support), sha256(text.encode()).hexdigest())
