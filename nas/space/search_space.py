"""A search space: the choices of a stage table, and what a candidate of them builds."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from nas.catalog import find
from nas.errors import UserError
from nas.files.plain import read_text
from nas.files.toml import MOST_BYTES, parse_toml
from nas.space.block import KINDS, Block, Row
from nas.space.candidate import Candidate, Value
from nas.space.canonical import CanonicalForm
from nas.space.choice import Choice
from nas.space.language import count_networks
from nas.space.layer import Precision, Shape
from nas.space.network import Network
from nas.space.parts import strided
from nas.space.stage import PER_BLOCK, Stage, as_options, scaled
from nas.space.stage_table import Proxy, Span, StageTable

Get = Callable[[str], Value]

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True, eq=False)
class SearchSpace:
    """All that a candidate may be. Made by `load_space`."""

    table: StageTable
    fingerprint: str  # sha256 of the file
    text: str = ""  # the file itself
    decided: frozenset[str] = frozenset()  # choices that are kept where one option is left of them

    @property
    def name(self) -> str:
        return self.table.name

    @property
    def title(self) -> str:
        return self.table.title

    @property
    def source(self) -> str:
        return self.table.source

    @property
    def task(self) -> str:
        """What its networks are for, by its name in nas.tasks."""
        return "detection" if self.stages[-1].detects else "classification"

    @property
    def proxy(self) -> Proxy:
        return self.table.proxy

    def only(self, precisions: tuple[Precision, ...]) -> SearchSpace:
        """The space with just those of its precisions. Raises UserError when none is left."""
        kept = [p for p in self.table.precision if p in precisions]
        if not kept:
            has = ", ".join(self.table.precision)
            raise UserError(f"space {self.name} needs one of its precisions ({has}); got {', '.join(precisions)}")
        table = self.table.model_copy(update={"precision": kept})
        return SearchSpace(table, self.fingerprint, self.text, self.decided)

    def without(self, options: Iterable[tuple[int | None, str, Value]]) -> SearchSpace:
        """The space without these options: the number of the stage (None: the space itself), the choice, the option.

        Its choices keep their names, also where one option is left, so that its candidates are candidates of the whole
        space too. At least one option of each choice must be left.
        """
        gone: dict[int | None, dict[str, set[Value]]] = {}
        for i, name, option in options:
            gone.setdefault(i, {}).setdefault(name, set()).add(option)

        def left(row: Stage | StageTable, names: Mapping[str, set[Value]]) -> dict[str, list[Value]]:
            return {name: [o for o in as_options(getattr(row, name)) if o not in odd] for name, odd in names.items()}

        stages = [
            stage.model_copy(update=left(stage, gone[i])) if i in gone else stage
            for i, stage in enumerate(self.table.stage)
        ]
        table = self.table.model_copy(update={"stage": stages} | left(self.table, gone.get(None, {})))
        decided = self.decided | {choice.name for choice in self.choices}
        return SearchSpace(table, self.fingerprint, self.text, decided)

    @cached_property
    def stages(self) -> tuple[Stage, ...]:
        """The stage table with a name for every stage."""
        return tuple(s.model_copy(update={"name": s.name or f"stage{i}"}) for i, s in enumerate(self.table.stage))

    @cached_property
    def choices(self) -> tuple[Choice, ...]:
        """Every decision, architecture first, then hyperparameters and precision; single options are no decision."""
        return tuple(self._choices())

    def _choices(self) -> Iterator[Choice]:
        for name, options in (("resolution", self.table.resolution), ("width", self.table.width)):
            if len(as_options(options)) > 1 or name in self.decided:
                yield Choice(name, as_options(options))
        for stage in self.stages:
            for field in ("depth", "channels", *PER_BLOCK):
                options = as_options(getattr(stage, field))
                each = field in PER_BLOCK and stage.per == "block"
                places = [f"{stage.name}.block{j}.{field}" for j in range(1, stage.deepest + 1)]
                for place in places if each else [f"{stage.name}.{field}"]:
                    if len(options) > 1 or place in self.decided:
                        yield Choice(place, options)
        for name, given in self.table.hyperparameters.items():
            if isinstance(given, Span):
                yield Choice(name, low=given.low, high=given.high, log=given.log, integer=given.integer)
            else:
                yield Choice(name, tuple(given))
        yield Choice("precision", tuple(self.table.precision))

    @cached_property
    def size(self) -> int:
        """How many distinct networks the space has."""
        return count_networks(self)

    # --- candidates and codes -------------------------------------------------------------------------------------

    def sample_codes(self, n: int, rng: np.random.Generator) -> np.ndarray:
        """n random codes (n, d), each choice drawn on its own; not canonical."""
        import numpy as np  # late: listing the spaces needs none

        return np.stack([choice.draw(n, rng) for choice in self.choices], axis=1)

    def sample(self, rng: np.random.Generator) -> Candidate:
        """A random candidate, canonical."""
        return self.canonical(self.decode(self.sample_codes(1, rng)[0]))

    def encode(self, candidate: Candidate) -> np.ndarray:
        """The candidate as a vector (d,): the index of each option, the value of each range.

        Raises UserError for a choice that is missing, unknown, or out of its options.
        """
        import numpy as np

        values = candidate.as_dict()
        if values.keys() != {c.name for c in self.choices}:
            odd = sorted(values.keys() ^ {c.name for c in self.choices})
            raise UserError(f"a candidate of {self.name} must name each choice once; missing or unknown: {odd[0]}")
        return np.array([choice.code(values[choice.name]) for choice in self.choices])

    def decode(self, code: np.ndarray) -> Candidate:
        return Candidate(tuple((c.name, c.value(x)) for c, x in zip(self.choices, code, strict=True)))

    def neighbors(self, codes: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
        """n codes (n, d), each one of `codes` (m, d) with about two choices drawn anew; not canonical."""
        import numpy as np

        drawn = self.sample_codes(n, rng)
        changed = rng.random(drawn.shape) < 2 / drawn.shape[1]
        return np.where(changed, drawn, codes[rng.integers(len(codes), size=n)])

    def canonical(self, candidate: Candidate) -> Candidate:
        """The one candidate that stands for all that build the same network with the same hyperparameters.

        Choices of blocks beyond the depth take their first option; identities move behind the other blocks; of options
        that make the same blocks (a ratio rounded to the same channels) the first is taken.
        """
        return self.canonical_form.of(candidate)

    def canonical_codes(self, codes: np.ndarray) -> np.ndarray:
        """The codes (n, d) of the canonical candidates of `codes` (n, d), row by row."""
        return self.canonical_form.of_codes(codes)

    @cached_property
    def canonical_form(self) -> CanonicalForm:
        return CanonicalForm(self)

    # --- networks -------------------------------------------------------------------------------------------------

    def network(self, candidate: Candidate, classes: int | None = None) -> Network:
        """The network that the candidate builds, for so many classes (default: the space's own)."""
        get = self.getter(candidate.as_dict())
        found = [
            (block, i)
            for i, stage in enumerate(self.stages)
            for j in range(int(get(f"{stage.name}.depth")))
            if (block := self.block(i, j, get, classes or self.table.classes))
        ]
        blocks, stages = tuple(b for b, _ in found), tuple(i for _, i in found)
        if not self.stages[-1].detects:
            return Network(blocks, stages)
        heads = tuple(number for number, i in enumerate(stages) if i == len(self.stages) - 1)
        last = {i: number for number, i in enumerate(stages)}  # a stage of identities alone gives what it reads
        taps = [max(last[k] for k in last if k <= i) for i in self.taps]
        return Network(blocks, stages, tuple(taps[: len(heads)]), heads)

    @cached_property
    def taps(self) -> tuple[int, ...]:
        """The stages that a detector's heads read, the last one first."""
        return tuple(i for i in reversed(range(len(self.stages))) if self.stages[i].tap)

    def getter(self, values: dict[str, Value]) -> Get:
        """The value of a choice by its name; a name that is no choice has the one option that the table gives."""

        def get(name: str) -> Value:
            return values[name] if name in values else self._fixed[name]

        return get

    @cached_property
    def _fixed(self) -> dict[str, Value]:
        fixed: dict[str, Value] = {
            "resolution": as_options(self.table.resolution)[0],
            "width": as_options(self.table.width)[0],
        }
        for stage in self.stages:
            for field in ("depth", "channels", *PER_BLOCK):
                for value in as_options(getattr(stage, field))[:1]:
                    fixed[f"{stage.name}.{field}"] = value
                    fixed |= {f"{stage.name}.block{j}.{field}": value for j in range(1, stage.deepest + 1)}
        return fixed

    @cached_property
    def _made(self) -> dict[tuple[int, ...], Block | None]:
        return {}

    def block_of(self, i: int, j: int, options: Mapping[int, int], classes: int) -> Block | None:
        """Block j (from 0) of stage i by the options of the choices that it depends on, both by number; remembered."""
        key = (i, min(j, self.stages[i].own_blocks - 1), classes, *options.values())  # the later ones are alike
        if key not in self._made:
            values = {self.choices[c].name: self.choices[c].options[option] for c, option in options.items()}
            self._made[key] = self.block(i, j, self.getter(values), classes)
        return self._made[key]

    def depends_on(self, i: int, j: int) -> tuple[str, ...]:
        """The names that block j of stage i is made from, choices or not; whether it is there, the depth decides."""
        stage = self.stages[i]
        own = [f"{stage.name}.{field}" for field in ("channels", *PER_BLOCK)]
        if stage.detects:
            return ("resolution", "width", *own)  # what has a tap has one width
        if stage.per == "block":
            own += [f"{stage.name}.block{j + 1}.{field}" for field in PER_BLOCK]
        before = [f"{self.stages[k].name}.channels" for k in [self._channels_stage(i - 1)] if k >= 0]
        return ("resolution", "width", *own, *before)

    def block(self, i: int, j: int, get: Get, classes: int) -> Block | None:
        """Block j (from 0) of stage i, or None where it is an identity."""
        stage = self.stages[i]
        place = f"{stage.name}.block{j + 1}" if stage.per == "block" else stage.name
        own = {field: get(f"{place}.{field}") for field in PER_BLOCK if (field == "op") == (stage.block == "ops")}
        return self.made(i, j, self._shape(i, j, get), self._channels(i, get), own, classes)

    def made(self, i: int, j: int, shape: Shape, channels: int, own: Mapping[str, Value], classes: int) -> Block | None:
        """Block j (from 0) of stage i that reads `shape`, of what it chose for itself; None where it is an identity."""
        stage = self.stages[i]
        stride = stage.stride if j == 0 else 1
        if stage.block != "ops":
            kernel, expand, se = int(own["kernel"]), float(own["expand"]), float(own["se"])
            row = Row(
                channels, classes, kernel, stride, expand, se, stage.se_of, stage.gate, stage.groups, stage.activation,
                stage.norm,
            )  # fmt: skip
            return KINDS[stage.block].block(shape, row)
        op = self.table.ops[str(own["op"])]
        activation = stage.activation if op.activation is None else op.activation
        if op.block != "skip":
            row = Row(channels, classes, op.kernel, stride, op.expand, groups=op.groups, activation=activation)
            return KINDS[op.block].block(shape, row)
        if strided(shape, channels, stride) == shape:
            return None
        return KINDS["conv"].block(shape, Row(channels, stride=stride, activation=activation))

    def _shape(self, i: int, j: int, get: Get) -> Shape:
        """The shape that block j of stage i reads."""
        if self.stages[i].detects:
            return self.tap_shapes(get)[j]
        size = int(get("resolution"))
        for stage in self.stages[:i] if j == 0 else self.stages[: i + 1]:
            size = 1 if stage.pools else -(-size // stage.stride)
        before = self._channels_stage(i - 1 if j == 0 else i)
        return (self._channels(before, get) if before >= 0 else 3, size, size)

    def tap_shapes(self, get: Get) -> tuple[Shape, ...]:
        """What a detector's heads read, in their order."""
        return tuple(self._shape(i, 1, get) for i in self.taps)  # as a later block of the stage with the tap does

    def _channels_stage(self, i: int) -> int:
        """The last stage up to i that sets the channels; -1: the image itself."""
        return next((k for k in range(i, -1, -1) if self.stages[k].channels is not None), -1)

    def _channels(self, i: int, get: Get) -> int:
        """The channels that stage i gives; 0 where it takes those that it is given."""
        stage = self.stages[i]
        if not stage.body:
            return 0
        return scaled(stage, int(get(f"{stage.name}.channels")), float(get("width")))


def load_space(name: str) -> SearchSpace:
    """A shipped search space by its name, or one by the path of its TOML file. Raises UserError.

    nas.load_space("mobilenet-v3").size
    """
    path = Path(find("search space", "search_spaces", name, ".toml"))
    return parse_space(read_text(path, MOST_BYTES, "TOML"), path)


def parse_space(text: str, path: Path) -> SearchSpace:
    """The search space of a TOML text; `path` names it in errors. Raises UserError."""
    return SearchSpace(parse_toml(text, path, StageTable), hashlib.sha256(text.encode()).hexdigest(), text)
