"""The networks of a search space as strings of blocks: how many there are, and which choices come first to make one.

Different choices can make the same blocks: identities, ratios that are rounded to the same channels, neighbouring
stages of equal blocks. Read as a nondeterministic automaton whose letters are blocks, a stage table accepts each of its
networks once, however many candidates make it (subset construction: Rabin and Scott, IBM Journal, 1959).
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import product
from typing import TYPE_CHECKING, NamedTuple

from nas.errors import UserError
from nas.space.block import Block
from nas.space.candidate import Value
from nas.space.layer import Shape
from nas.space.parts import strided
from nas.space.stage import PER_BLOCK, Stage, as_options, scaled

if TYPE_CHECKING:
    from nas.space.search_space import SearchSpace

MOST_STATES = 50_000  # of the automaton: seconds; the shipped spaces need at most a few hundred


class State(NamedTuple):
    """`place` positions of stage `stage` are done; the next block reads `shape`, and the stage gives `channels`."""

    width: int  # number of the option
    stage: int
    place: int
    channels: int
    shape: Shape
    combination: int  # with per = "stage", which one the stage has chosen; -1: none yet


Maker = tuple[tuple[Block | None, ...], Mapping[Block | None, int]]  # each combination's block; each block's first


@dataclass(frozen=True, eq=False)
class Language:
    """The strings of blocks that a space makes of images of `resolution` pixels."""

    space: SearchSpace
    resolution: int
    _makers: dict[tuple[int, bool, Shape, int], Maker] = field(default_factory=dict)
    _taps: dict[int, tuple[Shape, ...]] = field(default_factory=dict)

    @cached_property
    def widths(self) -> tuple[float, ...]:
        return tuple(float(width) for width in as_options(self.space.table.width))

    def taps(self, width: int) -> tuple[Shape, ...]:
        """What a detector's heads read, in their order, with that option of the width."""
        if width not in self._taps:
            option = as_options(self.space.table.width)[width]
            get = self.space.getter({"resolution": self.resolution, "width": option})
            self._taps[width] = self.space.tap_shapes(get)
        return self._taps[width]

    @cached_property
    def count(self) -> int:
        """How many different strings there are. Raises UserError where that takes too long to count."""
        total, work = 0, 0
        start = (state for width in range(len(self.widths)) for state in self._enter(width, 0, self._image))
        level = Counter({self._closure(start): 1})
        while level:
            if (work := work + sum(map(len, level))) > MOST_STATES:
                raise UserError(
                    f"the networks of {self.space.name} cannot be counted: too many of its stages can make the same "
                    f"blocks; give neighbouring stages different channels or strides"
                )
            longer: Counter[frozenset[State]] = Counter()
            for states, ways in level.items():
                if any(state.stage == len(self.space.stages) for state in states):
                    total += ways
                for after, times in self._steps(states).items():
                    longer[after] += ways * times
            level = longer
        return total

    def first(self, blocks: tuple[Block, ...]) -> dict[str, Value]:
        """The first choices of the architecture, in the order of the table, that make these blocks.

        Raises ValueError where none does.
        """
        for width, option in enumerate(as_options(self.space.table.width)):
            found = self._parse(blocks, width, 0, 0, self._image, set())
            if found is not None:
                return {"width": option, **found}
        raise ValueError("no candidate of the space makes these blocks")

    # --- what a stage can make ------------------------------------------------------------------------------------

    @property
    def _image(self) -> Shape:
        return (3, self.resolution, self.resolution)

    def channels(self, i: int, width: float) -> dict[int, Value]:
        """The channels that stage i can give, each with the first option that makes them; {0: 0} for a head's."""
        stage = self.space.stages[i]
        found: dict[int, Value] = {}
        for option in as_options(stage.channels) or (0,):
            found.setdefault(scaled(stage, int(option), width), option)
        return found

    def after(self, i: int, j: int, shape: Shape, channels: int) -> Shape:
        """The shape that position j of stage i gives of `shape`, where a block or an identity stands there."""
        stage = self.space.stages[i]
        if not stage.body:
            return shape if stage.detects else (shape[0], 1, 1)
        return strided(shape, channels, stage.stride if j == 0 else 1)

    def maker(self, i: int, j: int, shape: Shape, channels: int) -> Maker:
        """The blocks that position j of stage i can be, by number of the combination of its own choices."""
        key = (i, j == 0, shape, channels)
        if key not in self._makers:
            blocks = tuple(
                self.space.made(i, j, shape, channels, own, self.space.table.classes)
                for own in combinations(self.space.stages[i])
            )
            first: dict[Block | None, int] = {}
            for number, block in enumerate(blocks):
                first.setdefault(block, number)
            self._makers[key] = blocks, first
        return self._makers[key]

    # --- the automaton --------------------------------------------------------------------------------------------

    def _enter(self, width: int, i: int, shape: Shape) -> Iterator[State]:
        if i == len(self.space.stages):
            yield State(0, i, 0, 0, shape, -1)
            return
        for channels in self.channels(i, self.widths[width]):
            yield State(width, i, 0, channels, shape, -1)

    def _moves(self, state: State) -> Iterator[tuple[Block | None, State]]:
        """From a state by a block, or by None, an identity."""
        stage = self.space.stages[state.stage]
        if state.place == stage.deepest:
            return
        shape = self.after(state.stage, state.place, state.shape, state.channels)
        read = self.taps(state.width)[state.place] if stage.detects else state.shape
        blocks, first = self.maker(state.stage, state.place, read, state.channels)
        moved = state._replace(place=state.place + 1, shape=shape)
        if stage.per == "block":
            yield from ((block, moved) for block in first)
        elif state.combination >= 0:
            yield blocks[state.combination], moved
        else:
            yield from ((block, moved._replace(combination=number)) for number, block in enumerate(blocks))

    def _free(self, state: State) -> Iterator[State]:
        """From a state without a block: to the next stage, or by an identity.

        Where each block may be an identity, only strings with identities behind the other blocks are followed.
        """
        stage = self.space.stages[state.stage]
        skips = stage.block == "ops" and any(block is None for block, _ in self._moves(state))
        behind = skips and stage.per == "block" and (state.place > 0 or stage.stride == 1)
        if behind or state.place in as_options(stage.depth):
            yield from self._enter(state.width, state.stage + 1, state.shape)
        if skips and not behind:
            yield from (after for block, after in self._moves(state) if block is None)

    def _closure(self, states: Iterable[State]) -> frozenset[State]:
        """The states, and those that can be reached from them without a block."""
        found = set(states)
        open_ = list(found)
        while open_:
            state = open_.pop()
            if state.stage == len(self.space.stages):
                continue
            for after in self._free(state):
                if after not in found:
                    found.add(after)
                    open_.append(after)
        return frozenset(found)

    def _steps(self, states: frozenset[State]) -> Counter[frozenset[State]]:
        """Where one more block leads, and by how many different blocks."""
        reached: dict[Block, set[State]] = defaultdict(set)
        for state in states:
            if state.stage == len(self.space.stages):
                continue
            for block, after in self._moves(state):
                if block is not None:
                    reached[block].add(after)
        steps: Counter[frozenset[State]] = Counter()
        for together, ways in Counter(map(frozenset, reached.values())).items():
            steps[self._closure(together)] += ways
        return steps

    # --- the way back ---------------------------------------------------------------------------------------------

    def _parse(
        self, blocks: tuple[Block, ...], width: int, i: int, start: int, shape: Shape,
        dead: set[tuple[int, int, Shape]],
    ) -> dict[str, Value] | None:  # fmt: skip
        """The choices of stages i and later that make the blocks from `start` on; None where there are none."""
        if i == len(self.space.stages):
            return {} if start == len(blocks) else None
        if (i, start, shape) in dead:
            return None
        stage = self.space.stages[i]
        for channels, option in self.channels(i, self.widths[width]).items():
            out = self.after(i, 0, shape, channels)
            for depth in as_options(stage.depth):
                for end, chosen in self._fits(blocks, width, i, start, shape, channels, int(depth)):
                    rest = self._parse(blocks, width, i + 1, end, out, dead)
                    if rest is not None:
                        own = {f"{stage.name}.depth": depth, **named(stage, chosen)}
                        return ({f"{stage.name}.channels": option} if stage.body else {}) | own | rest
        dead.add((i, start, shape))
        return None

    def _fits(
        self, blocks: tuple[Block, ...], width: int, i: int, start: int, shape: Shape, channels: int, depth: int
    ) -> Iterator[tuple[int, list[int]]]:
        """Ways for stage i to make blocks from `start` on: where they end, and the combination at each position."""
        stage = self.space.stages[i]
        if stage.detects:
            rows = [self.maker(i, j, tap, channels)[0] for j, tap in enumerate(self.taps(width)[:depth])]
            for number, heads_of in enumerate(zip(*rows, strict=True)):
                if blocks[start : start + depth] == heads_of:
                    yield start + depth, [number]
            return
        made, first = self.maker(i, 0, shape, channels)
        made_later, later = self.maker(i, 1, self.after(i, 0, shape, channels), channels)
        if stage.per == "stage":
            for number, (one, other) in enumerate(zip(made, made_later, strict=True)):
                wanted = [block for block in [one, *[other] * (depth - 1)] if block is not None]
                if list(blocks[start : start + len(wanted)]) == wanted:
                    yield start + len(wanted), [number]
            return
        heads: list[tuple[int, list[int]]] = []
        if start < len(blocks) and blocks[start] in first:
            heads.append((start + 1, [first[blocks[start]]]))
        if None in first:
            heads.append((start, [first[None]]))
        for at, chosen in heads:
            if at == start and None in later and stage.stride == 1:  # identities stand behind: all are
                yield at, [later[None]] * depth
                continue
            least = 0 if None in later else depth - 1
            most = 0
            while most < depth - 1 and at + most < len(blocks) and blocks[at + most] in later:
                most += 1
            for taken in range(most, least - 1, -1):
                numbers = [later[block] for block in blocks[at : at + taken]]
                yield at + taken, [*chosen, *numbers, *[later[None]] * (depth - 1 - taken)] if None in later else [
                    *chosen, *numbers
                ]  # fmt: skip


def count_networks(space: SearchSpace) -> int:
    """How many distinct networks the space has: of resolutions that shrink alike, one is counted for all."""
    alike: Counter[tuple[bool, ...]] = Counter()
    of: dict[tuple[bool, ...], int] = {}
    for resolution in as_options(space.table.resolution):
        shrinks = tuple(size == 1 for size in sizes(space, int(resolution)))
        alike[shrinks] += 1
        of.setdefault(shrinks, int(resolution))
    return sum(times * Language(space, of[shrinks]).count for shrinks, times in alike.items())


def sizes(space: SearchSpace, resolution: int) -> Iterator[int]:
    """Height and width in pixels of what each stage reads."""
    size = resolution
    for stage in space.stages:
        yield size
        size = 1 if stage.pools else -(-size // stage.stride)


def combinations(stage: Stage) -> Iterator[dict[str, Value]]:
    """All that a block of the stage may choose for itself, the last key's options turning fastest."""
    fields = [(name, options) for name in PER_BLOCK if (options := as_options(getattr(stage, name)))]
    for values in product(*(options for _, options in fields)):
        yield dict(zip((name for name, _ in fields), values, strict=True))


def named(stage: Stage, chosen: list[int]) -> dict[str, Value]:
    """The choices by name of the combinations at each position; blocks beyond them have the first."""
    every = list(combinations(stage))
    if stage.per == "stage":
        return {f"{stage.name}.{name}": value for name, value in every[chosen[0]].items()}
    padded = chosen + [0] * (stage.deepest - len(chosen))
    return {
        f"{stage.name}.block{j + 1}.{name}": value
        for j, number in enumerate(padded)
        for name, value in every[number].items()
    }
