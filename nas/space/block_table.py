"""The blocks of many candidates at once: each distinct block expanded once, candidates as rows of indices."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from math import prod
from typing import TYPE_CHECKING

import numpy as np

from nas.errors import UserError
from nas.space.block import Block
from nas.space.candidate import Value

if TYPE_CHECKING:
    from nas.space.search_space import SearchSpace

MOST_MADE = 1_000_000


@dataclass(frozen=True)
class BlockTable:
    """The distinct blocks of n candidates, and `index` (positions, n) into them; -1: no block at that position."""

    blocks: tuple[Block, ...]
    index: np.ndarray

    def of(self, rows: np.ndarray) -> BlockTable:
        """The table of some of the candidates, chosen as numpy chooses rows."""
        return BlockTable(self.blocks, self.index[:, rows])

    def total(self, per_block: np.ndarray) -> np.ndarray:
        """The sum over each candidate's blocks, (n, ...), of figures per distinct block, (blocks, ...)."""
        padded = np.concatenate([per_block, np.zeros((1, *per_block.shape[1:]))])
        total = np.zeros((self.index.shape[1], *per_block.shape[1:]))
        found = np.empty_like(total)
        for position in self.index:
            np.take(padded, position, axis=0, mode="wrap", out=found)
            total += found
        return total

    def largest(self, per_block: np.ndarray) -> np.ndarray:
        """The largest of each candidate's blocks, (n,), of figures per distinct block, (blocks,), none below 0."""
        padded = np.append(per_block, 0)
        largest = np.zeros(self.index.shape[1])
        for position in self.index:
            np.maximum(largest, np.take(padded, position, mode="wrap"), out=largest)
        return largest

    def bound(self, per_block: np.ndarray) -> np.ndarray:
        """What no candidate's `total` exceeds, (...): the sum over positions of the largest block found there."""
        padded = np.concatenate([per_block, np.zeros((1, *per_block.shape[1:]))])
        bound = np.zeros(per_block.shape[1:])
        for position in self.index:
            present = np.zeros(len(padded), dtype=bool)
            present[position] = True
            bound += padded[present].max(axis=0)
        return bound


def block_table(space: SearchSpace, codes: np.ndarray, classes: int | None = None) -> BlockTable:
    """The blocks of candidates given as codes (n, d), for so many classes (default: the space's own).

    A block depends on few choices; each combination of them that occurs is expanded once.
    """
    column_of = {choice.name: c for c, choice in enumerate(space.choices)}
    columns = {c: codes[:, c].astype(np.int32) for c, choice in enumerate(space.choices) if choice.options}
    numbers: dict[Block, int] = {}
    index = []
    for i, stage in enumerate(space.stages):
        for j in range(stage.deepest):
            used = [column_of[name] for name in space.depends_on(i, j) if name in column_of]
            first, inverse = _distinct(
                [columns[c] for c in used], [len(space.choices[c].options) for c in used], len(codes)
            )
            found = []
            for row in first:
                options = {c: int(columns[c][row]) for c in used}
                block = space.block_of(i, j, options, classes or space.table.classes)
                found.append(-1 if block is None else numbers.setdefault(block, len(numbers)))
            position = np.array(found, dtype=np.int32)[inverse]
            depth = column_of.get(f"{stage.name}.depth")
            if depth is not None:
                active = np.array([int(depth_option) > j for depth_option in space.choices[depth].options])
                position = np.where(active[columns[depth]], position, -1)
            index.append(position)
    return BlockTable(tuple(numbers), np.stack(index))


def _distinct(keys: list[np.ndarray], sizes: list[int], rows: int) -> tuple[np.ndarray, np.ndarray]:
    """The first row of each distinct combination of the columns `keys`, each (n,), and for each row its number."""
    flat = np.zeros(rows, dtype=np.int64)
    for column, size in zip(keys, sizes, strict=True):
        flat = flat * size + column
    total = int(np.prod(sizes))
    if total > 10 * rows + 100_000:  # too many combinations for a table of them
        _, first, inverse = np.unique(flat, return_index=True, return_inverse=True)
        return first, inverse
    first_of = np.full(total, -1)
    first_of[flat[::-1]] = np.arange(len(flat))[::-1]
    present = np.flatnonzero(first_of >= 0)
    number = np.zeros(total, dtype=np.int64)
    number[present] = np.arange(len(present))
    return first_of[present], number[flat]


def all_blocks(space: SearchSpace, classes: int | None = None, resolution: int | None = None) -> tuple[Block, ...]:
    """Every distinct block of the space, at one resolution if given: what a lookup table must hold.

    Raises UserError where the choices make more than a million combinations.
    """
    found: dict[Block, None] = {}
    work = 0
    for i, stage in enumerate(space.stages):
        for j in range(stage.own_blocks):
            names, options = _choices_of(space, i, j, resolution)
            work += prod(map(len, options))
            if work > MOST_MADE:
                raise UserError(
                    f"{space.name} has too many blocks for a lookup table: more than {MOST_MADE:,} combinations of "
                    f"choices; give one resolution, or a space of fewer choices"
                )
            for block in _made(space, i, j, names, options, classes):
                if block is not None:
                    found[block] = None
    return tuple(found)


def blocks_at(
    space: SearchSpace, classes: int | None = None, resolution: int | None = None
) -> dict[tuple[int, int], tuple[Block, ...]]:
    """The distinct blocks that each position of a network may hold, at one resolution if given.

    A position is the stage and the number of the block among those of the stage that are there: identities are not
    counted. Raises UserError as `all_blocks` does.
    """
    all_blocks(space, classes, resolution)  # refuses a space of too many
    found: dict[tuple[int, int], tuple[Block, ...]] = {}
    for i, stage in enumerate(space.stages):
        made = [
            tuple(dict.fromkeys(_made(space, i, j, *_choices_of(space, i, j, resolution), classes)))
            for j in range(stage.own_blocks)
        ]
        for j in range(stage.deepest):
            # the first block may be an identity where shapes stay; then a later one is the first that is there
            later = made[min(j, len(made) - 1)]
            here = later if j else made[0] if None not in made[0] else made[0] + made[-1]
            found[i, j] = tuple(dict.fromkeys(block for block in here if block is not None))
    return {position: blocks for position, blocks in found.items() if blocks}


def _choices_of(
    space: SearchSpace, i: int, j: int, resolution: int | None
) -> tuple[tuple[str, ...], list[tuple[Value, ...]]]:
    """The names of the choices that block j of stage i is made from, and the options of each."""
    chosen = [choice for choice in space.choices if choice.name in space.depends_on(i, j)]
    options = [(resolution,) if c.name == "resolution" and resolution else c.options for c in chosen]
    return tuple(choice.name for choice in chosen), options


def _made(
    space: SearchSpace, i: int, j: int, names: tuple[str, ...], options: list[tuple[Value, ...]], classes: int | None
) -> Iterator[Block | None]:  # fmt: skip
    for values in product(*options):
        get = space.getter(dict(zip(names, values, strict=True)))
        yield space.block(i, j, get, classes or space.table.classes)
