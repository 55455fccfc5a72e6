"""What a network's structure tells before anything is trained, as the features that a surrogate learns from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from nas.pareto import Array
from nas.space.block import KINDS, Block
from nas.space.block_table import BlockTable, block_table
from nas.space.candidate import Candidate, Value
from nas.space.choice import Choice
from nas.space.network import Network
from nas.space.search_space import SearchSpace
from nas.space.stage import HEADS

DRAWN = 1000  # random candidates that tell which features vary
ALIKE = 0.98  # correlation above which one of two features is left out
MOST_NUMBERS = 4_000_000  # at a time: 32 MB
WIDE = 8.0  # positive numbers that differ by more than this factor are taken in logarithm
OF_BLOCK = ("works", "expand", "kernel", "se", "groups", *sorted(KINDS))
SUMMED = 4  # of these, the first, which are added up over blocks


@dataclass(frozen=True, eq=False)
class Structure:
    """Features of the candidates of a space, (n, k): equal for candidates that build the same network.

    Of the whole network: log MACs, log params, resolution, depth, the stage sum, the sums of expansion ratios, kernels
    and squeeze-excite ratios. Of each stage: its depth, its sum of expansion ratios, its output channels. Of each
    block: whether it is there, its expansion ratio, kernel, squeeze-excite ratio, groups and kind; 0 for an identity.
    Then hyperparameters and precision: numbers as they are or in logarithm, words as a column each.
    Features that do not vary in the space, or that repeat an earlier one, are left out: `names` says which are there.
    """

    space: SearchSpace
    classes: int | None = None  # of the networks; None: the space's own

    def of_codes(self, codes: Array) -> Array:
        """Features (n, k) of codes (n, d), which need not be canonical."""
        return self._rows(block_table(self.space, codes, self.classes), codes)

    def of_candidates(self, candidates: Sequence[Candidate]) -> Array:
        """Features (n, k). Raises UserError for a candidate that is not of the space."""
        return self.of_codes(np.array([self.space.encode(c) for c in candidates]).reshape(-1, len(self.space.choices)))

    def of_networks(self, networks: Sequence[Network], values: Sequence[Mapping[str, Value]] | None = None) -> Array:
        """Features (n, k) of networks of the space; `values` holds their hyperparameters and precisions.

        One that is missing is taken as the first option or the middle of the range. Raises ValueError for a network
        that is not of the space.
        """
        numbers: dict[Block, int] = {}
        index = np.full((self._begins[-1], len(networks)), -1, dtype=np.int32)
        for n, network in enumerate(networks):
            begins, ends = self._begins[:-1].copy(), self._begins[1:]
            for block, stage in zip(network.blocks, network.stages, strict=True):
                if stage >= len(begins) or begins[stage] >= ends[stage]:
                    raise ValueError(f"a network of {self.space.name} has no further block in stage {stage}")
                index[begins[stage], n] = numbers.setdefault(block, len(numbers))
                begins[stage] += 1
        codes = np.zeros((len(networks), len(self.space.choices)))
        for c, choice in enumerate(self.space.choices):
            if choice in self._trained:
                codes[:, c] = [_code(choice, v) for v in values or [{}] * len(networks)]
        return self._rows(BlockTable(tuple(numbers), index), codes)

    @property
    def names(self) -> tuple[str, ...]:
        """What each feature is, (k,)."""
        return tuple(name for name, kept in zip(self._names, self._kept, strict=True) if kept)

    @cached_property
    def of_network(self) -> np.ndarray:
        """Which features are of the network, and not of its training or precision, (k,)."""
        trained = {name for choice in self._trained for name in _training_names(choice)}
        return np.array([name not in trained for name in self.names], dtype=bool)

    @cached_property
    def _begins(self) -> np.ndarray:
        """The first position of each stage's blocks, and the end, (stages + 1,)."""
        return np.cumsum([0, *(stage.deepest for stage in self.space.stages)])

    @cached_property
    def _trained(self) -> tuple[Choice, ...]:
        names = {*self.space.table.hyperparameters, "precision"}
        return tuple(choice for choice in self.space.choices if choice.name in names)

    @cached_property
    def _kept(self) -> np.ndarray:
        """Which of all features vary in the space and repeat no other, (all,)."""
        codes = self.space.sample_codes(DRAWN, np.random.default_rng(0))
        return distinct(self._all(block_table(self.space, codes, self.classes), codes))

    @cached_property
    def _names(self) -> tuple[str, ...]:
        whole = ("log_macs", "log_params", "resolution", "depth", "stage_sum", "expand_sum", "kernel_sum", "se_sum")
        stages = [stage.name for stage in self.space.stages]
        of_stages = [f"{stage}.{what}" for what in ("depth", "expand_sum", "log_channels") for stage in stages]
        blocks = [f"{s.name}.block{j + 1}" for s in self.space.stages for j in range(s.deepest)]
        of_blocks = [f"{block}.{what}" for what in OF_BLOCK for block in blocks]
        return (*whole, *of_stages, *of_blocks, *(name for c in self._trained for name in _training_names(c)))

    def _rows(self, table: BlockTable, codes: Array) -> Array:
        """The features kept, (n, k), a part of the candidates at a time, so that memory stays small."""
        parts = -(-codes.shape[0] * len(self._names) // MOST_NUMBERS)
        rows = np.array_split(np.arange(len(codes)), max(1, parts))
        return np.concatenate([self._all(table.of(part), codes[part])[:, self._kept] for part in rows])

    def _all(self, table: BlockTable, codes: Array) -> Array:
        """Every feature, (n, all)."""
        begins = self._begins[:-1]
        stages = np.split(table.index, begins[1:])  # identities move behind the other blocks of their stage
        index = np.concatenate([np.take_along_axis(s, np.argsort(s < 0, axis=0, kind="stable"), 0) for s in stages])
        identity = np.zeros((1, len(OF_BLOCK)))
        of_blocks = np.concatenate([[_of_block(block) for block in table.blocks], identity])[index]
        of_stages = np.add.reduceat(of_blocks[..., :SUMMED], begins, axis=0)  # (stages, n, SUMMED)
        depth, expand = of_stages[..., 0], of_stages[..., 1]
        counted = np.array([_counted(block) for block in table.blocks])
        macs, params = np.log(np.maximum(BlockTable(table.blocks, index).total(counted), 1)).T
        resolution = table.largest(np.array([float(block.in_shape[1]) for block in table.blocks]))
        channels = np.array([*(np.log(block.out_shape[0]) for block in table.blocks), 0.0])[index]
        columns = [macs, params, resolution, depth.sum(0), np.log1p(depth).sum(0), *of_stages[..., 1:].sum(0).T]
        columns += [*depth, *expand, *np.maximum.reduceat(channels, begins, axis=0)]
        columns += [*np.moveaxis(of_blocks, -1, 0).reshape(-1, len(codes))]
        for c, choice in enumerate(self.space.choices):
            if choice in self._trained:
                columns += _training_columns(choice, codes[:, c])
        return np.stack(columns, axis=1)


def works(block: Block) -> bool:
    """Not a convolution of kernel 1, which stands for an identity where the shape changes."""
    return not (block.kind == "conv" and block.kernel == 1)


def distinct(features: Array) -> np.ndarray:
    """Which columns of features (n, k) vary and correlate with no earlier such column by more than ALIKE, (k,)."""
    deviation = features.std(axis=0)
    varying = np.flatnonzero(deviation > 1e-9 * np.maximum(1.0, np.abs(features).max(axis=0)))
    standard = (features[:, varying] - features[:, varying].mean(0)) / deviation[varying]
    alike = np.abs(standard.T @ standard) > ALIKE * len(features)
    kept: list[int] = []
    for i in range(len(varying)):
        if not alike[i, kept].any():
            kept.append(i)
    found = np.zeros(features.shape[1], dtype=bool)
    found[varying[kept]] = True
    return found


def plain_features(columns: Mapping[str, Array]) -> Array:
    """Features (n, k) of networks without a space, from numbers that are known of them, each (n,).

    Positive numbers that differ by a large factor, as MACs and parameters do, are taken in logarithm.
    """
    return np.stack([np.log(x) if x.min() > 0 and x.max() > WIDE * x.min() else x for x in columns.values()], axis=1)


def _of_block(block: Block) -> tuple[float, ...]:
    if not works(block) or block.kind in HEADS:
        return (0.0,) * len(OF_BLOCK)
    inside = block.in_shape[0]
    expanded = block.mid or inside
    numbers = 1.0, expanded / inside, float(block.kernel), block.se / expanded, float(block.groups > 1)
    return (*numbers, *(float(block.kind == kind) for kind in sorted(KINDS)))


def _counted(block: Block) -> tuple[float, float]:
    """MACs and parameters."""
    return float(sum(x.macs for x in block.layers)), float(sum(x.params for x in block.layers))


def _code(choice: Choice, values: Mapping[str, Value]) -> float:
    if choice.name in values:
        return choice.code(values[choice.name])
    if choice.options:
        return 0.0
    return float(np.sqrt(choice.low * choice.high)) if choice.log else (choice.low + choice.high) / 2


def _training_names(choice: Choice) -> list[str]:
    return [f"{choice.name}={option}" for option in choice.options] if _words(choice) else [choice.name]


def _training_columns(choice: Choice, codes: Array) -> list[Array]:
    if _words(choice):
        return [(codes == i).astype(float) for i in range(len(choice.options))]
    values = np.array(choice.options, dtype=float)[codes.astype(int)] if choice.options else codes
    ends = [float(option) for option in choice.options] or [choice.low, choice.high]
    logarithm = choice.log or (min(ends) > 0 and max(ends) > WIDE * min(ends))
    return [np.log(values) if logarithm else values]


def _words(choice: Choice) -> bool:
    return any(isinstance(option, str) for option in choice.options)
