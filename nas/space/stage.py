"""A row of a stage table and an operation that its blocks may be, checked key by key.

Sizes are bounded far above what anyone builds, so that no file makes the program run out of memory or time.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from nas.files.names import safe_name
from nas.files.toml import Table
from nas.space.block import KINDS, make_divisible

MOST_BLOCKS = 1000  # of a stage, and of all stages together
MOST_OPTIONS = 100  # of one choice
MOST_CHANNELS, MOST_EXPANDED = 16_384, 131_072  # after the width multiplier; of them, after the expansion
MOST_KERNEL = 63

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
Activation = Literal["", "relu", "relu6", "hswish", "swish"]


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
    changes the channels: always, never, or only up (MobileNetV2's head). A detector's heads read what stages with
    `tap` give: the last stage is such a head, once for each tap, and its `depth` says how many taps from the last one.
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
    tap: bool = False

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

    @property
    def detects(self) -> bool:
        """Whether it is a detector's heads, one for each tap."""
        return self.block in HEADS and KINDS[self.block].anchors > 0

    @property
    def own_blocks(self) -> int:
        """How many of its blocks may differ in shape: of a body's stage the first and the later ones."""
        return self.deepest if self.detects else min(2, self.deepest)

    @model_validator(mode="after")
    def _complete(self) -> Self:
        check_lists(self)
        if (self.channels is None) == self.body:
            raise ValueError(
                f"channels must be given for every block but {' and '.join(HEADS)}; block is {self.block!r}"
            )
        if (self.op is not None) != (self.block == "ops"):
            raise ValueError(f"op is given for block 'ops' and for no other; block is {self.block!r}")
        used = {"op", "channels", "stride", "activation"} if self.block == "ops" else KINDS[self.block].uses
        more = {"depth", "scale", "per", "tap"} if self.body else {"depth", "per"} if self.detects else set()
        _refuse_unused(self, used | more, self.block)
        if self.detects and self.per == "block" and self.chosen:
            raise ValueError(f"the heads of a detector must be alike: {self.chosen[0]} needs per = 'stage'")
        if self.tap and len(as_options(self.channels)) > 1:
            raise ValueError(f"a stage with a tap must have one width; got channels {self.channels}")
        return self


def scaled(stage: Stage, channels: int, width: float) -> int:
    """The stage's channels with the width multiplier."""
    scales = stage.scale == "always" or (stage.scale == "up" and width > 1)
    return make_divisible(channels * width) if scales and width != 1 else channels


def as_options(value: object) -> tuple[Any, ...]:
    """A choice's options: a list as it is, one value as the only option, None as none."""
    if value is None:
        return ()
    return tuple(value) if isinstance(value, list) else (value,)


def check_lists(table: Table) -> None:
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
