"""The blocks of many candidates at once: each distinct block expanded once, candidates as rows of indices."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np

from nas.space.block import Block
from nas.space.search_space import SearchSpace, listed


@dataclass(frozen=True)
class BlockTable:
    """The distinct blocks of n candidates, and `index` (n, positions) into them; -1: no block at that position."""

    blocks: tuple[Block, ...]
    index: np.ndarray

    def total(self, per_block: np.ndarray) -> np.ndarray:
        """The sum over each candidate's blocks, (n, ...), of figures per distinct block, (blocks, ...)."""
        padded = np.concatenate([per_block, np.zeros((1, *per_block.shape[1:]))])
        total = np.zeros((len(self.index), *per_block.shape[1:]))
        for column in self.index.T:
            total += padded[column]
        return total

    def largest(self, per_block: np.ndarray) -> np.ndarray:
        """The largest of each candidate's blocks, (n,), of figures per distinct block, (blocks,), none below 0."""
        padded = np.append(per_block, 0)
        return np.max(padded[self.index], axis=1)


def block_table(space: SearchSpace, codes: np.ndarray, classes: int | None = None) -> BlockTable:
    """The blocks of candidates given as codes (n, d), for so many classes (default: the space's own).

    A block depends on few choices; each combination of them that occurs is expanded once.
    """
    column_of = {choice.name: c for c, choice in enumerate(space.choices)}
    numbers: dict[Block, int] = {}
    columns = []
    for i, stage in enumerate(space.stages):
        for j in range(max(listed(stage.depth))):
            used = [column_of[name] for name in space.depends_on(i, j) if name in column_of]
            first, inverse = _distinct(codes[:, used].astype(np.int64), [len(space.choices[c].options) for c in used])
            found = []
            for row in first:
                get = space.getter({space.choices[c].name: space.choices[c].value(codes[row, c]) for c in used})
                block = space.block(i, j, get, classes or space.table.classes)
                found.append(-1 if block is None else numbers.setdefault(block, len(numbers)))
            columns.append(np.array(found)[inverse])
    return BlockTable(tuple(numbers), np.stack(columns, axis=1))


def _distinct(keys: np.ndarray, sizes: list[int]) -> tuple[np.ndarray, np.ndarray]:
    """The first row of each distinct row of `keys` (n, k), and for each row the number of its distinct row."""
    flat = np.zeros(len(keys), dtype=np.int64)
    for column, size in zip(keys.T, sizes, strict=True):
        flat = flat * size + column
    total = int(np.prod(sizes))
    if total > 10 * len(keys) + 100_000:  # too many combinations for a table of them
        _, first, inverse = np.unique(flat, return_index=True, return_inverse=True)
        return first, inverse
    first_of = np.full(total, -1)
    first_of[flat[::-1]] = np.arange(len(flat))[::-1]
    present = np.flatnonzero(first_of >= 0)
    number = np.zeros(total, dtype=np.int64)
    number[present] = np.arange(len(present))
    return first_of[present], number[flat]


def all_blocks(space: SearchSpace, classes: int | None = None, resolution: int | None = None) -> tuple[Block, ...]:
    """Every distinct block of the space, at one resolution if given: what a lookup table must hold."""
    found: dict[Block, None] = {}
    for i, stage in enumerate(space.stages):
        for j in range(max(listed(stage.depth))):
            names = [c for c in space.choices if c.name in space.depends_on(i, j)]
            options = [(resolution,) if c.name == "resolution" and resolution else c.options for c in names]
            for values in product(*options):
                given = dict(zip((c.name for c in names), values, strict=True))
                block = space.block(i, j, space.getter(given), classes or space.table.classes)
                if block is not None:
                    found[block] = None
    return tuple(found)
