"""The canonical candidate: one that stands for all that build the same network with the same hyperparameters."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import TYPE_CHECKING

from nas.space.block import Block
from nas.space.candidate import Candidate
from nas.space.language import Language, Maker, sizes
from nas.space.stage import PER_BLOCK, Stage, as_options

if TYPE_CHECKING:
    import numpy as np

    from nas.space.search_space import SearchSpace

Numbers = tuple[int, ...]
Flags = tuple[bool, ...]
Pattern = tuple[Numbers, Numbers, Numbers, Flags, Flags]  # as in StageForm


@dataclass(frozen=True)
class StageForm:
    """What of a stage's choices is the same, whatever the shapes.

    Combinations of a block's own choices are numbered, and stand for the first that makes the same block.
    """

    stage: Stage
    first: Numbers  # for each combination at the first position, the one that stands for it
    later: Numbers
    both: Numbers  # the same where one combination is chosen for the whole stage, of several blocks
    skips_first: Flags  # the combinations that are identities there
    skips_later: Flags

    @property
    def movable(self) -> int:
        """The first position from which identities move behind the other blocks."""
        return 0 if any(self.skips_first) and self.stage.stride == 1 else 1

    @property
    def plain(self) -> bool:
        """Whether no two combinations are the same, and none is an identity."""
        every = tuple(range(len(self.first)))
        return self.first == self.later == self.both == every and not any(self.skips_later)

    @property
    def fixed(self) -> bool:
        """Whether all that the stage chooses for itself is in canonical form as it is."""
        lone = self.stage.per == "stage" or not isinstance(self.stage.depth, list)
        return not self.stage.chosen or (self.plain and lone)

    @property
    def count(self) -> int:
        """How many canonical forms the stage's blocks have, channels not counted."""
        depths = [int(depth) for depth in as_options(self.stage.depth)]
        if self.stage.per == "stage":
            return sum(len(set(self.first if depth == 1 else self.both)) for depth in depths)
        first, later = len(set(self.first)), len({n for n in self.later if not self.skips_later[n]})
        if not any(self.skips_later):
            return first * sum(int(later ** (depth - 1)) for depth in depths)
        tails = [int(later**n) for n in range(max(depths) + 1)]
        return sum(tails) if self.movable == 0 else first * sum(tails[:-1])


@dataclass(frozen=True, eq=False)
class StageColumns:
    """A stage's form and its columns in codes."""

    form: StageForm
    depth: int | None  # the column of its depth
    depths: np.ndarray  # the options of that column
    own: np.ndarray  # (positions, fields): the columns of what each block, or the whole stage, chooses for itself
    counts: tuple[int, ...]  # of options, (fields,)

    @classmethod
    def of(cls, form: StageForm, column: Mapping[str, int]) -> StageColumns:
        import numpy as np

        stage = form.stage
        fields = stage.chosen
        places = [""] if stage.per == "stage" else [f"block{j}." for j in range(1, stage.deepest + 1)]
        own = np.array([[column[f"{stage.name}.{place}{name}"] for name in fields] for place in places])
        counts = tuple(len(as_options(getattr(stage, name))) for name in fields)
        return cls(form, column.get(f"{stage.name}.depth"), np.array(as_options(stage.depth)), own, counts)

    def bring(self, codes: np.ndarray) -> None:
        """Brings the stage's columns of codes (n, d) to its form, in place."""
        import numpy as np

        form = self.form
        depth = self.depths[codes[:, self.depth].astype(int)] if self.depth is not None else self.depths[:1]
        own = codes[:, self.own]  # (n, positions, fields)
        if not form.plain:
            numbers = np.ravel_multi_index(tuple(np.moveaxis(own, 2, 0).astype(int)), self.counts)
            own = np.stack(np.unravel_index(self._numbers(numbers, depth), self.counts), axis=2)
        if form.stage.per == "block":
            own[np.broadcast_to(np.arange(len(self.own)) >= depth[:, None], own.shape[:2])] = 0
        codes[:, self.own] = own

    def _numbers(self, numbers: np.ndarray, depth: np.ndarray) -> np.ndarray:
        """The combinations (n, positions) that stand for those given; identities last."""
        import numpy as np

        form = self.form
        if form.stage.per == "stage":
            several = np.array(form.both)[numbers]
            return np.asarray(np.where(depth[:, None] == 1, np.array(form.first)[numbers], several))
        found = np.concatenate([np.array(form.first)[numbers[:, :1]], np.array(form.later)[numbers[:, 1:]]], axis=1)
        if any(form.skips_later):
            moved = found[:, form.movable :]
            order = np.argsort(np.array(form.skips_later)[moved], axis=1, kind="stable")
            found[:, form.movable :] = np.take_along_axis(moved, order, axis=1)
        return found


@dataclass(frozen=True, eq=False)
class CanonicalForm:
    """Candidates and codes of a space to their canonical form.

    In most spaces each stage has its own form, and codes are brought to it column by column. Where the forms of
    stages hang together (widths that round to the same channels, neighbouring stages of equal blocks), there are more
    of them than networks; then each network is read back into its first candidate.
    """

    space: SearchSpace

    @cached_property
    def forms(self) -> tuple[StageForm, ...] | None:
        """Each stage's form, if that is all there is to it."""
        forms = []
        for i, stage in enumerate(self.space.stages):
            patterns = set()
            for pattern in self._patterns(i):
                patterns.add(pattern)
                if len(patterns) > 1:
                    return None
            forms.append(StageForm(stage, *patterns.pop()))
        table = self.space.table
        channels = prod(max(1, len(as_options(stage.channels))) for stage in self.space.stages)
        several = prod(len(as_options(value)) for value in (table.resolution, table.width)) * channels
        return tuple(forms) if several * prod(form.count for form in forms) == self.space.size else None

    def _patterns(self, i: int) -> Iterator[Pattern]:
        """The forms of stage i with each width, each option of channels before and in it, and each kind of size."""
        before = next((k for k in range(i - 1, -1, -1) if self.space.stages[k].body), None)
        languages = {
            min(size, 2): Language(self.space, int(resolution))
            for resolution in as_options(self.space.table.resolution)
            for k, size in enumerate(sizes(self.space, int(resolution)))
            if k == i
        }
        for size, language in languages.items():
            for number, width in enumerate(language.widths):
                if self.space.stages[i].detects:
                    taps = language.taps(number)[: self.space.stages[i].deepest]
                    yield _pattern([language.maker(i, j, shape, 0) for j, shape in enumerate(taps)])
                    continue
                into = (3,) if before is None else language.channels(before, width)
                for channels in language.channels(i, width):
                    for shape in ((n, size, size) for n in into):
                        out = language.after(i, 0, shape, channels)
                        yield _pattern([language.maker(i, 0, shape, channels), language.maker(i, 1, out, channels)])

    def of(self, candidate: Candidate) -> Candidate:
        """The canonical candidate. Its resolution may be one that the space does not have."""
        import numpy as np

        values = candidate.as_dict()
        if self.forms is None:
            resolution = int(self.space.getter(values)("resolution"))
            language = self._languages.setdefault(resolution, Language(self.space, resolution))
            first = language.first(self.space.network(candidate).blocks)
            names = {choice.name for choice in self.space.choices}
            return Candidate.of(values | {name: value for name, value in first.items() if name in names})
        own = {c: choice for c, choice in enumerate(self.space.choices) if c in self._columns}
        code = np.zeros((1, len(self.space.choices)))
        for c, choice in own.items():
            code[0, c] = choice.code(values[choice.name]) if choice.name in values else 0
        code = self.of_codes(code)
        return Candidate.of(values | {choice.name: choice.value(code[0, c]) for c, choice in own.items()})

    def of_codes(self, codes: np.ndarray) -> np.ndarray:
        """The canonical codes (n, d) of codes (n, d)."""
        import numpy as np

        whole = [bool(choice.options) or choice.integer for choice in self.space.choices]
        found = np.where(whole, np.trunc(codes), codes)
        if self.forms is None:
            for row in range(len(found)):
                found[row] = self.space.encode(self.of(self.space.decode(found[row])))
            return found
        for columns in self._columns_of:
            columns.bring(found)
        return found

    @cached_property
    def _columns_of(self) -> tuple[StageColumns, ...]:
        column = {choice.name: c for c, choice in enumerate(self.space.choices)}
        return tuple(StageColumns.of(form, column) for form in self.forms or () if not form.fixed)

    @cached_property
    def _columns(self) -> frozenset[int]:
        """The columns of what stages choose: depths, and what blocks or stages choose for themselves."""
        names = {f"{stage.name}.depth" for stage in self.space.stages}
        return frozenset(
            c for c, choice in enumerate(self.space.choices)
            if choice.name in names or choice.name.rpartition(".")[2] in PER_BLOCK
        )  # fmt: skip

    @cached_property
    def _languages(self) -> dict[int, Language]:
        return {}


def _pattern(makers: Sequence[Maker]) -> Pattern:
    """The pattern of a stage whose blocks differ as these positions do: the first, and the later ones."""
    (made, first), (made_later, later) = makers[0], makers[min(1, len(makers) - 1)]
    both: dict[tuple[Block | None, ...], int] = {}
    together = zip(*(blocks for blocks, _ in makers), strict=True)
    return (
        tuple(first[block] for block in made), tuple(later[block] for block in made_later),
        tuple(both.setdefault(blocks, number) for number, blocks in enumerate(together)),
        tuple(block is None for block in made), tuple(block is None for block in made_later),
    )  # fmt: skip
