"""The file format of a search space: a stage table in TOML, checked key by key.

Sizes are bounded far above what anyone builds, so that no file makes the program run out of memory or time.
"""

from __future__ import annotations

from itertools import product
from math import prod
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from nas.errors import UserError
from nas.files.names import safe_name
from nas.files.toml import Table
from nas.space.block import KINDS, Row, make_divisible
from nas.space.hyperparameters import Hyperparameter, check_hyperparameter
from nas.space.layer import Precision

MOST_STAGES, MOST_BLOCKS = 100, 1000  # of a table; of all its stages together
MOST_OPTIONS = 100  # of one choice
MOST_VARIANTS = 250_000  # different blocks at one resolution
MOST_CHANNELS, MOST_EXPANDED = 16_384, 131_072  # after the width multiplier; of them, after the expansion
MOST_PIXELS, MOST_KERNEL = 4096, 63

PER_BLOCK = ("kernel", "expand", "se", "op")  # what each block may choose for itself
BODY = tuple(name for name, kind in KINDS.items() if kind.in_tables and "channels" in kind.uses)
HEADS = tuple(name for name, kind in KINDS.items() if kind.in_tables and "channels" not in kind.uses)


def _one_of(*names: str) -> AfterValidator:
    def check(name: str) -> str:
        if name not in names:
            raise ValueError(f"must be one of {', '.join(names)}; got {name[:80]!r}")
        return name

    return AfterValidator(check)


def _odd(kernel: int) -> int:
    if kernel % 2 == 0:
        raise ValueError(f"a kernel must be odd, so that the padding is the same on both sides; got {kernel}")
    return kernel


def _label(name: str) -> str:
    """A stage's name, which stands before a dot in the names of its choices."""
    if name and ("." in name or safe_name(name) != name):
        raise ValueError(f"must have no dot; got {name!r}")
    return name


def options(kind: Any) -> Any:
    """A list of at least one value of this kind."""
    return Annotated[list[kind], Field(min_length=1)]


def one_or_more(kind: Any) -> Any:
    """A value, or a list of at least one value of this kind."""
    return kind | options(kind)


def whole(most: int, least: int = 1) -> Any:
    return Annotated[int, Field(ge=least, le=most)]


Kernel = Annotated[int, Field(ge=1, le=MOST_KERNEL), AfterValidator(_odd)]
Expand = Annotated[int | float, Field(gt=0, le=64)]
Squeeze = Annotated[int | float, Field(ge=0, le=1)]
Share = Annotated[float, Field(gt=0, le=1)]
Activation = Literal["", "relu", "relu6", "hswish", "swish"]


class Span(Table):
    """A hyperparameter drawn from a range, uniformly or uniformly in its logarithm."""

    low: float
    high: float
    log: bool = False
    integer: bool = False

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if not self.low < self.high or (self.log and self.low <= 0):
            raise ValueError(f"low must be below high, and above 0 with log; got low={self.low}, high={self.high}")
        if self.integer and not (self.low.is_integer() and self.high.is_integer()):
            raise ValueError(f"with integer, low and high must be whole; got low={self.low}, high={self.high}")
        return self


class Op(Table):
    """One of the operations that a block may be. A skip is the identity, or a 1x1 convolution where shapes change."""

    block: Annotated[str, _one_of(*BODY, "skip")]
    kernel: Kernel = 3
    expand: Expand = 1.0
    groups: whole(MOST_EXPANDED) = 1  # type: ignore[valid-type]
    activation: Activation | None = None

    @model_validator(mode="after")
    def _used(self) -> Self:
        _refuse_unused(self, {"activation"} if self.block == "skip" else KINDS[self.block].uses, self.block)
        return self


class Stage(Table):
    """A row of the stage table: `depth` blocks, the first with `stride`. A list makes a choice of it.

    `per` says whether kernel, expand, se and op are chosen for each block or once for the stage. `se` is squeeze-
    excite's ratio, of the expanded channels or of the block's input. `scale` says whether the width multiplier
    changes the channels: always, never, or only up (MobileNetV2's head).
    """

    name: Annotated[str, AfterValidator(_label)] = ""
    block: Annotated[str, _one_of(*BODY, "ops", *HEADS)]
    depth: one_or_more(whole(MOST_BLOCKS)) = 1  # type: ignore[valid-type]
    channels: one_or_more(whole(MOST_CHANNELS)) | None = None  # type: ignore[valid-type]
    kernel: one_or_more(Kernel) = 1  # type: ignore[valid-type]
    expand: one_or_more(Expand) = 1  # type: ignore[valid-type]
    se: one_or_more(Squeeze) = 0  # type: ignore[valid-type]
    op: options(str) | None = None  # type: ignore[valid-type]
    se_of: Literal["expanded", "input"] = "expanded"
    gate: Literal["sigmoid", "hsigmoid"] = "sigmoid"
    groups: whole(MOST_EXPANDED) = 1  # type: ignore[valid-type]
    stride: Literal[1, 2] = 1
    activation: Activation = ""
    norm: bool = True
    scale: Literal["always", "never", "up"] = "always"
    per: Literal["block", "stage"] = "block"

    @property
    def deepest(self) -> int:
        """The most blocks that the stage can have."""
        return max(self.depth) if isinstance(self.depth, list) else int(self.depth)

    @property
    def chosen(self) -> tuple[str, ...]:
        """What its blocks, or the stage for all of them, choose for themselves."""
        return tuple(name for name in PER_BLOCK if len(as_options(getattr(self, name))) > 1)

    @property
    def body(self) -> bool:
        """Whether it is of the body: a stage with channels, that may have several blocks."""
        return self.block not in HEADS

    @property
    def pools(self) -> bool:
        """Whether it averages over the whole image."""
        return self.block in HEADS and KINDS[self.block].pools

    @property
    def classifies(self) -> bool:
        """Whether it ends the network, with one output a class."""
        return self.block in HEADS and KINDS[self.block].classifies

    @model_validator(mode="after")
    def _complete(self) -> Self:
        _check_lists(self)
        if (self.channels is None) == self.body:
            raise ValueError(
                f"channels must be given for every block but {' and '.join(HEADS)}; block is {self.block!r}"
            )
        if (self.op is not None) != (self.block == "ops"):
            raise ValueError(f"op is given for block 'ops' and for no other; block is {self.block!r}")
        used = {"op", "channels", "stride", "activation"} if self.block == "ops" else KINDS[self.block].uses
        _refuse_unused(self, used | ({"depth", "scale", "per"} if self.body else set()), self.block)
        return self


class Proxy(Table):
    """The proxy's budget: epochs, share of the training images, share of the candidate's resolution, batch size."""

    epochs: whole(100_000) = 5  # type: ignore[valid-type]
    data_share: Share = 1.0
    resolution_share: Share = 1.0
    batch_size: whole(65_536, least=2) = 128  # type: ignore[valid-type]


class StageTable(Table):
    """The whole file."""

    name: Annotated[str, AfterValidator(safe_name)]
    title: str
    source: str
    classes: whole(1_000_000) = 1000  # type: ignore[valid-type]
    resolution: one_or_more(whole(MOST_PIXELS))  # type: ignore[valid-type]
    width: one_or_more(Annotated[int | float, Field(gt=0, le=64)]) = 1  # type: ignore[valid-type]
    precision: options(Precision) = ["fp32"]  # type: ignore[valid-type]
    ops: dict[Annotated[str, AfterValidator(safe_name)], Op] = {}
    stage: Annotated[list[Stage], Field(min_length=2, max_length=MOST_STAGES)]
    hyperparameters: dict[Hyperparameter, Span | options(str) | options(float)] = {}  # type: ignore[valid-type]
    proxy: Proxy = Proxy()

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        _check_lists(self)
        if self.stage[-1].body or not self.stage[-1].classifies:
            known = " or ".join(name for name in HEADS if KINDS[name].classifies)
            raise ValueError(f"the last stage must be {known}; it is {self.stage[-1].block!r}")
        if (blocks := sum(stage.deepest for stage in self.stage)) > MOST_BLOCKS:
            raise ValueError(f"the stages must have at most {MOST_BLOCKS:,} blocks together; got {blocks:,}")
        if (variants := self._variants()) > MOST_VARIANTS:
            raise ValueError(
                f"the choices must make at most {MOST_VARIANTS:,} different blocks at one resolution; got {variants:,}"
            )
        names = [stage.name or f"stage{number}" for number, stage in enumerate(self.stage)]
        if twice := next((name for name in names if names.count(name) > 1), None):
            raise ValueError(f"every stage must have its own name; two are called {twice!r}")
        pooled = False
        for number, stage in enumerate(self.stage):
            try:
                self._check_stage(number, stage, pooled)
            except ValueError as error:
                raise ValueError(f"stage {number}: {error}") from None
            pooled |= stage.pools
        for name, given in self.hyperparameters.items():
            values = [given.low, given.high] if isinstance(given, Span) else given
            if len(set(values)) < len(values) or len(values) > MOST_OPTIONS:
                raise ValueError(f"hyperparameters.{name} must have at most {MOST_OPTIONS} options, none of them twice")
            for value in values:
                try:
                    check_hyperparameter(name, value)
                except UserError as error:
                    raise ValueError(f"hyperparameters.{error}") from None
        return self

    def _check_stage(self, number: int, stage: Stage, pooled: bool) -> None:
        if missing := [op for op in stage.op or [] if op not in self.ops]:
            raise ValueError(f"op {missing[0][:80]!r} is not in [ops] (known: {', '.join(self.ops)[:200]})")
        lists = isinstance(stage.depth, list) or isinstance(stage.channels, list)
        if lists and any(self.ops[op].block == "skip" for op in stage.op or []):
            raise ValueError("a stage whose ops can skip must have one depth and one width")
        if not stage.body and not number:
            raise ValueError(f"a {stage.block} stage must come after a stage with channels")
        if stage.classifies and number < len(self.stage) - 1:
            raise ValueError(f"only the last stage can be {stage.block}")
        if stage.pools and pooled:
            raise ValueError(f"only one stage can pool; {stage.block} is the second")
        if stage.classifies and not (stage.pools or pooled):
            raise ValueError(f"a {stage.block} stage must come after a stage that pools (pool), or be pool_linear")
        if stage.body:
            self._check_channels(number, stage)

    def _check_channels(self, number: int, stage: Stage) -> None:
        """Raises ValueError where channels get too many, or do not split into a stage's groups."""
        before = next((s for s in reversed(self.stage[:number]) if s.body), None)
        out = self._widths(stage)
        into = out | (self._widths(before) if before else {3})
        if max(out) > MOST_CHANNELS:
            raise ValueError(f"channels times width must be at most {MOST_CHANNELS:,}; got {max(out):,}")
        for op in stage.op or [None]:
            row = self.ops[op] if op else stage
            if row.block == "skip":
                continue
            name = f"op {op!r}" if op else row.block
            expands = as_options(row.expand)
            for channels, expand in product(into if row.groups > 1 else [max(into)], expands):
                made = Row(max(out), expand=float(expand), groups=row.groups)
                mid = KINDS[row.block].block((channels, 1, 1), made).mid
                if mid > MOST_EXPANDED:
                    raise ValueError(f"{name} must expand to at most {MOST_EXPANDED:,} channels; got {mid:,}")
                if odd := [n for n in (channels, mid, *out) if n % row.groups]:
                    raise ValueError(f"{name} has {row.groups} groups, into which {odd[0]} channels do not split")

    def _widths(self, stage: Stage) -> set[int]:
        """The channels that a stage of the body can have, with every width."""
        every = product(as_options(stage.channels), as_options(self.width))
        return {scaled(stage, int(channels), float(width)) for channels, width in every}

    def _variants(self) -> int:
        """At most so many different blocks at one resolution."""
        widths, found, before = len(as_options(self.width)), 0, 1
        for stage in self.stage:
            own = prod(max(1, len(as_options(getattr(stage, field)))) for field in PER_BLOCK)
            channels = max(1, len(as_options(stage.channels)))
            found += widths * own * channels * (before + channels)
            before = channels if stage.body else before
        return found


def scaled(stage: Stage, channels: int, width: float) -> int:
    """The stage's channels with the width multiplier."""
    scales = stage.scale == "always" or (stage.scale == "up" and width > 1)
    return make_divisible(channels * width) if scales and width != 1 else channels


def as_options(value: object) -> tuple[Any, ...]:
    """A choice's options: a list as it is, one value as the only option, None as none."""
    if value is None:
        return ()
    return tuple(value) if isinstance(value, list) else (value,)


def _check_lists(table: Table) -> None:
    """Raises ValueError for a choice of too many options, or of one twice."""
    for name in type(table).model_fields:
        value = getattr(table, name)
        if name == "stage" or not isinstance(value, list):
            continue
        if len(value) > MOST_OPTIONS:
            raise ValueError(f"{name} must have at most {MOST_OPTIONS} options; got {len(value):,}")
        if len(set(value)) < len(value):
            raise ValueError(f"{name} must not name a value twice; got {str(value)[:80]}")


def _refuse_unused(row: Op | Stage, used: frozenset[str] | set[str], block: str) -> None:
    """Raises ValueError for a key of the row that changes nothing: its author expects something of it."""
    for name, field in type(row).model_fields.items():
        value = getattr(row, name)
        if name not in ("name", "block", *used) and value != field.default and name in row.model_fields_set:
            raise ValueError(f"{name} means nothing to a block of kind {block!r}; got {str(value)[:80]}")
