"""The file format of a search space: a stage table in TOML, checked key by key, and its stages together."""

from __future__ import annotations

from itertools import product
from math import prod
from typing import Annotated, Self

from pydantic import AfterValidator, Field, model_validator

from nas.errors import UserError
from nas.files.names import safe_name
from nas.files.toml import Table
from nas.space.block import KINDS, Row
from nas.space.hyperparameters import Hyperparameter, check_hyperparameter
from nas.space.layer import Precision
from nas.space.stage import (
    HEADS,
    MOST_BLOCKS,
    MOST_CHANNELS,
    MOST_EXPANDED,
    MOST_OPTIONS,
    PER_BLOCK,
    Op,
    Stage,
    as_options,
    check_lists,
    one_or_more,
    options,
    scaled,
    whole,
)  # fmt: skip

MOST_STAGES = 100
MOST_VARIANTS = 250_000  # different blocks at one resolution
MOST_PIXELS = 4096

Share = Annotated[float, Field(gt=0, le=1)]


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


class Proxy(Table):
    """What a proxy training may cost; the fields of `nas.estimate.fidelity.Fidelity`."""

    epochs: whole(100_000) = 5  # type: ignore[valid-type]
    data_share: Share = 1.0
    resolution_share: Share = 1.0
    full_resolution_share: Share = 0.2
    validation_share: Share = 1.0
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
        check_lists(self)
        if not (self.stage[-1].classifies or self.stage[-1].detects):
            known = " or ".join(name for name in HEADS if KINDS[name].classifies or KINDS[name].anchors)
            raise ValueError(f"the last stage must be {known}; it is {self.stage[-1].block!r}")
        self._check_taps()
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

    def _check_taps(self) -> None:
        """Raises ValueError where a detector's heads find no tap to read, or taps are read by nobody."""
        taps = sum(stage.tap for stage in self.stage)
        if not self.stage[-1].detects:
            if taps:
                raise ValueError(f"only a detector's heads read taps; the last stage is {self.stage[-1].block!r}")
            return
        if not self.stage[-2].tap:
            raise ValueError("the last stage before a detector's heads must have tap = true: nothing else reads it")
        if not 1 <= self.stage[-1].deepest <= taps:
            raise ValueError(f"depth of the heads must be 1 to {taps}, the taps; got {self.stage[-1].depth}")
        if self.stage[-1].deepest < taps:
            raise ValueError(
                f"every tap must be read: depth of the heads must reach {taps}; got {self.stage[-1].depth}"
            )

    def _check_stage(self, number: int, stage: Stage, pooled: bool) -> None:
        if missing := [op for op in stage.op or [] if op not in self.ops]:
            raise ValueError(f"op {missing[0][:80]!r} is not in [ops] (known: {', '.join(self.ops)[:200]})")
        lists = isinstance(stage.depth, list) or isinstance(stage.channels, list)
        if lists and any(self.ops[op].block == "skip" for op in stage.op or []):
            raise ValueError("a stage whose ops can skip must have one depth and one width")
        if not stage.body and not number:
            raise ValueError(f"a {stage.block} stage must come after a stage with channels")
        if (stage.classifies or stage.detects) and number < len(self.stage) - 1:
            raise ValueError(f"only the last stage can be {stage.block}")
        if stage.pools and pooled:
            raise ValueError(f"only one stage can pool; {stage.block} is the second")
        if stage.detects and pooled:
            raise ValueError(f"a {stage.block} stage must not come after a stage that pools")
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
