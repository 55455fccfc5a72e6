"""The file format of a search space: a stage table in TOML, checked key by key."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from nas.files.toml import Table
from nas.space.layer import Precision

Positive = Annotated[int, Field(gt=0)]
Ratio = Annotated[int | float, Field(gt=0)]
Share = Annotated[float, Field(gt=0, le=1)]
Activation = Literal["", "relu", "relu6", "hswish", "swish"]


def one_or_more(kind: Any) -> Any:
    """A value, or a list of at least one value of this kind."""
    return kind | Annotated[list[kind], Field(min_length=1)]


class Span(Table):
    """A hyperparameter drawn from a range, uniformly or uniformly in its logarithm."""

    low: float
    high: float
    log: bool = False
    integer: bool = False

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if not self.low < self.high or (self.log and self.low <= 0):
            raise ValueError(f"low must be below high, and above 0 with log; came low={self.low}, high={self.high}")
        return self


class Op(Table):
    """One of the operations that a block may be. A skip is the identity, or a 1x1 convolution where shapes change."""

    block: Literal["mbconv", "shuffle", "skip"]
    kernel: Positive = 3
    expand: Ratio = 1.0
    groups: Positive = 1
    activation: Activation | None = None


class Stage(Table):
    """A row of the stage table: `depth` blocks, the first with `stride`. A list makes a choice of it.

    `per` says whether kernel, expand, se and op are chosen for each block or once for the stage. `se` is squeeze-
    excite's ratio, of the expanded channels or of the block's input. `scale` says whether the width multiplier
    changes the channels: always, never, or only up (MobileNetV2's head).
    """

    name: str = ""
    block: Literal["conv", "ds", "mbconv", "ops", "pool", "linear", "pool_linear"]
    depth: one_or_more(Positive) = 1  # type: ignore[valid-type]
    channels: one_or_more(Positive) | None = None  # type: ignore[valid-type]
    kernel: one_or_more(Positive) = 1  # type: ignore[valid-type]
    expand: one_or_more(Ratio) = 1  # type: ignore[valid-type]
    se: one_or_more(Annotated[int | float, Field(ge=0, le=1)]) = 0  # type: ignore[valid-type]
    op: Annotated[list[str], Field(min_length=1)] | None = None
    se_of: Literal["expanded", "input"] = "expanded"
    gate: Literal["sigmoid", "hsigmoid"] = "sigmoid"
    stride: Literal[1, 2] = 1
    activation: Activation = ""
    norm: bool = True
    scale: Literal["always", "never", "up"] = "always"
    per: Literal["block", "stage"] = "block"

    @property
    def deepest(self) -> int:
        """The most blocks that the stage can have."""
        return max(self.depth) if isinstance(self.depth, list) else int(self.depth)

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if (self.channels is None) != (self.block in ("pool", "linear", "pool_linear")):
            raise ValueError(f"channels must be given for every block but pool and linear; block is {self.block!r}")
        if (self.op is not None) != (self.block == "ops"):
            raise ValueError(f"op is given for block 'ops' and for no other; block is {self.block!r}")
        return self


class Proxy(Table):
    """The proxy's budget: epochs, share of the training images, share of the candidate's resolution, batch size."""

    epochs: Positive = 5
    data_share: Share = 1.0
    resolution_share: Share = 1.0
    batch_size: Positive = 128


class StageTable(Table):
    """The whole file."""

    name: str
    title: str
    source: str
    classes: Positive = 1000
    resolution: one_or_more(Positive)  # type: ignore[valid-type]
    width: one_or_more(Ratio) = 1  # type: ignore[valid-type]
    precision: Annotated[list[Precision], Field(min_length=1)] = ["fp32"]
    ops: dict[str, Op] = {}
    stage: Annotated[list[Stage], Field(min_length=2)]
    hyperparameters: dict[
        Literal["learning_rate", "weight_decay", "label_smoothing", "optimizer", "augmentation"],
        Span | Annotated[list[str], Field(min_length=1)] | Annotated[list[float], Field(min_length=1)],
    ] = {}
    proxy: Proxy = Proxy()

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        for number, stage in enumerate(self.stage):
            if missing := [op for op in stage.op or [] if op not in self.ops]:
                raise ValueError(f"stage {number}: op {missing[0]!r} is not in [ops] (known: {', '.join(self.ops)})")
            lists = isinstance(stage.depth, list) or isinstance(stage.channels, list)
            if lists and any(self.ops[op].block == "skip" for op in stage.op or []):
                raise ValueError(f"stage {number}: a stage whose ops can skip must have one depth and one width")
        if self.stage[-1].block not in ("linear", "pool_linear"):
            raise ValueError(f"the last stage must be linear or pool_linear; it is {self.stage[-1].block!r}")
        for values in (self.resolution, self.width, self.precision):
            if isinstance(values, list) and len(set(values)) < len(values):
                raise ValueError(f"a choice must not name a value twice; came {values}")
        return self
