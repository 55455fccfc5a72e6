"""What a study decides, as vectors: codes to search over, features to learn from. A choice that is not there is NaN."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
    distribution_to_json,
)

from nas.pareto import Array

Params = dict[str, Any]
FEW = 12  # values of a number, at most, that are like categories


@dataclass(frozen=True)
class Presence:
    """A choice that exists only where another one, its parent, has certain codes."""

    parent: int
    absent: tuple[float, ...]  # codes of the parent at which the choice was not there; NaN: the parent was not either
    above: float | None = None  # numeric parent: there from this code on
    below: float | None = None  # numeric parent: there up to this code

    def holds(self, codes: Array) -> np.ndarray:
        """Where the choice is there, (n,), by the parent's codes (n,)."""
        if self.above is not None:
            return codes >= self.above
        if self.below is not None:
            return codes <= self.below
        gone = np.isin(codes, [a for a in self.absent if a == a])
        return ~(gone | np.isnan(codes) if any(a != a for a in self.absent) else gone)


@dataclass(frozen=True)
class Decisions:
    """Named distributions; a code is Optuna's internal value of each: an index for categories, else the number."""

    space: Mapping[str, BaseDistribution]
    presence: Mapping[int, Presence]  # by the place of the choice, parents before children
    given: Mapping[str, Any] = field(default_factory=dict)  # values that every code made here has

    @property
    def size(self) -> float:
        """How many codes there are, presence ignored; inf with a continuous choice."""
        return prod(float(levels(d)) for d in self.space.values())

    def sample(self, n: int, rng: np.random.Generator) -> Array:
        """n random codes (n, d)."""
        return self._blank(np.stack([draw(d, n, rng) for d in self.space.values()], axis=1))

    def grid(self) -> Array:
        """Every code (size, d) of a finite space."""
        axes = [grid(d) for d in self.space.values()]
        return self._blank(np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, len(axes)))

    def mutate(self, codes: Array, n: int, rng: np.random.Generator) -> Array:
        """n codes: each a crossing of two of `codes`, or one of them, with about one or two choices drawn anew."""
        fresh = np.stack([draw(d, n, rng) for d in self.space.values()], axis=1)
        first, second = codes[rng.integers(len(codes), size=(2, n))]
        crossed = np.where((rng.random(n) < 0.5)[:, None] & (rng.random(fresh.shape) < 0.5), second, first)
        redrawn = rng.random(fresh.shape) < rng.choice([1.0, 2.0, 4.0], size=(n, 1)) / fresh.shape[1]
        near = self._near(crossed, rng)
        redrawn[np.arange(n), rng.integers(fresh.shape[1], size=n)] = True
        changed = np.where(redrawn, np.where(rng.random(fresh.shape) < 0.5, near, fresh), crossed)
        return self._blank(np.where(np.isnan(changed), fresh, changed))

    def neighbours(self, code: Array, rng: np.random.Generator) -> Array:
        """Every code (k, d) that differs in one choice: all categories, both next numbers of a numeric choice."""
        fresh = np.array([draw(d, 1, rng)[0] for d in self.space.values()])
        code = np.where(np.isnan(code), fresh, code)
        rows = []
        for j, distribution in enumerate(self.space.values()):
            if isinstance(distribution, CategoricalDistribution) or levels(distribution) <= 8:
                values = grid(distribution)
            else:
                values = self._near(np.repeat(code[None], 4, axis=0), rng)[:, j]
            for value in values[values != code[j]]:
                row = code.copy()
                row[j] = value
                rows.append(row)
        return self._blank(np.array(rows).reshape(-1, len(code)))

    def code(self, params: Mapping[str, Any]) -> Array:
        numbers = self._numbers
        return np.array([numbers[name](params[name]) if name in params else np.nan for name in self.space])

    @cached_property
    def _numbers(self) -> dict[str, Callable[[Any], float]]:
        """How each choice's value becomes its code; Optuna itself searches a list of categories, for texts too."""
        found: dict[str, Callable[[Any], float]] = {}
        for name, d in self.space.items():
            found[name] = d.to_internal_repr if isinstance(d, CategoricalDistribution) else float
            if isinstance(d, CategoricalDistribution) and all(isinstance(c, str) for c in d.choices):
                found[name] = {str(c): i for i, c in enumerate(d.choices)}.__getitem__
        return found

    def params(self, codes: Array) -> list[Params]:
        """What the codes (n, d) stand for, by name; a choice that does not exist is left out."""
        columns: list[list[Any]] = []
        for j, distribution in enumerate(self.space.values()):
            numbers = np.where(np.isnan(codes[:, j]), 0, codes[:, j])
            if isinstance(distribution, CategoricalDistribution):
                columns.append([distribution.choices[i] for i in numbers.astype(int).tolist()])
            else:
                columns.append((np.rint(numbers).astype(int) if _whole(distribution) else numbers).tolist())
        found = [dict(zip(self.space, row, strict=True)) for row in zip(*columns, strict=True)]
        names = list(self.space)
        for i, j in zip(*np.nonzero(np.isnan(codes)), strict=True):
            del found[i][names[j]]
        return found

    def features(self, codes: Array) -> Array:
        """Features (n, k) from 0 to 1: one per category, one per number, one more for a choice that may be absent."""
        columns = []
        for j, distribution in enumerate(self.space.values()):
            column, there = codes[:, j], ~np.isnan(codes[:, j])
            if isinstance(distribution, CategoricalDistribution):
                if len(distribution.choices) > 1:
                    columns += [column == level for level in range(len(distribution.choices))]
            elif not distribution.single():
                columns.append(np.where(there, _unit(distribution, column), 0.5))
            if j in self.presence:
                columns.append(there)
        for places in self._alike:
            kind = list(self.space.values())[places[0]]
            if isinstance(kind, CategoricalDistribution):
                columns += [(codes[:, places] == level).mean(axis=1) for level in range(len(kind.choices))]
            else:
                units = np.stack([_unit(kind, codes[:, j]) for j in places], axis=1)
                columns.append(np.nansum(units, axis=1) / len(places))
        return np.stack([np.asarray(c, dtype=float) for c in columns], axis=1) if columns else np.zeros((len(codes), 1))

    @cached_property
    def bends(self) -> NDArray[np.bool_]:
        """Which features (k,) are of a number with many values: its best may lie anywhere between."""
        found: list[bool] = []
        for j, d in enumerate(self.space.values()):
            if isinstance(d, CategoricalDistribution):
                found += [False] * len(d.choices) if len(d.choices) > 1 else []
            elif not d.single():
                found.append(levels(d) > FEW)
            found += [False] * (j in self.presence)
        return np.array(
            found + [False] * (len(self.features(self.sample(1, np.random.default_rng(0)))[0]) - len(found))
        )

    @cached_property
    def _alike(self) -> list[list[int]]:
        """Places of choices that are alike, three or more, as those of a network's blocks: how many are what counts."""
        found: dict[str, list[int]] = {}
        for j, d in enumerate(self.space.values()):
            if not d.single():
                found.setdefault(distribution_to_json(d), []).append(j)
        return [places for places in found.values() if len(places) >= 3]

    def _near(self, codes: Array, rng: np.random.Generator) -> Array:
        """Codes whose numbers are moved a little; categories as they are."""
        moved = codes.copy()
        for j, d in enumerate(self.space.values()):
            if not isinstance(d, CategoricalDistribution):
                width = max(0.1, 1.0 / max(levels(d) - 1, 1))
                unit = _unit(d, codes[:, j]) + width * rng.standard_normal(len(codes))
                moved[:, j] = _number(d, np.clip(1 - np.abs(1 - np.abs(unit)), 0, 1))  # mirrored: no heap at the ends
        return moved

    def _blank(self, codes: Array) -> Array:
        """The codes with what is given, and NaN where the choice does not exist."""
        for name, value in self.given.items():
            codes[:, list(self.space).index(name)] = self._numbers[name](value)
        for j, rule in self.presence.items():
            codes[~rule.holds(codes[:, rule.parent]), j] = np.nan
        return codes


def learn_decisions(
    space: Mapping[str, BaseDistribution], tried: Sequence[Mapping[str, Any]], given: Mapping[str, Any]
) -> Decisions:
    """The decisions of a space, with which choice depends on which, as far as the parameters of trials tell.

    A choice that some trials lack belongs to the choice whose values separate those that have it from those that lack
    it; of several the one with the fewest values. Where none does, it is taken to be there always.
    """
    names = list(space)
    always = {k for k in names if all(k in params for params in tried)}
    flat = Decisions(space, {})
    codes = np.array([flat.code(params) for params in tried]).reshape(-1, len(names))
    presence: dict[int, Presence] = {}
    resolved = [j for j, k in enumerate(names) if k in always]
    left = [j for j, k in enumerate(names) if k not in always]
    while left:
        found = {j: rule for j in left if (rule := _rule(codes, j, resolved, list(space.values())))}
        if not found:
            break
        presence |= found
        resolved += list(found)
        left = [j for j in left if j not in found]
    return Decisions(space, presence, given)


def _rule(codes: Array, j: int, parents: Iterable[int], distributions: Sequence[BaseDistribution]) -> Presence | None:
    there = ~np.isnan(codes[:, j])
    best: tuple[int, Presence] | None = None
    for q in parents:
        yes, no = np.unique(codes[there, q]), np.unique(codes[~there, q])
        if np.isin(yes, no, assume_unique=True).any() or (np.isnan(yes).any() and np.isnan(no).any()):
            continue
        rule, numbers = Presence(q, tuple(no)), not isinstance(distributions[q], CategoricalDistribution)
        if numbers and len(yes) and len(no) and not np.isnan([*yes, *no]).any():
            if no.max() < yes.min():
                rule = Presence(q, (), above=(no.max() + yes.min()) / 2)
            elif yes.max() < no.min():
                rule = Presence(q, (), below=(yes.max() + no.min()) / 2)
        if best is None or len(yes) + len(no) < best[0]:
            best = len(yes) + len(no), rule
    return best[1] if best else None


def keys(codes: Array) -> list[bytes]:
    """What identifies each code (n, d); numbers are told apart to fourteen digits."""
    fraction, exponent = np.frexp(codes)
    rounded = np.ldexp(np.round(fraction, 14), exponent)
    rounded = np.where(np.isnan(codes), np.nan, rounded + 0.0)  # one NaN, no minus zero
    return [row.tobytes() for row in rounded]


def levels(distribution: BaseDistribution) -> float:
    """How many values a distribution has; inf: any number in a range."""
    if isinstance(distribution, CategoricalDistribution):
        return len(distribution.choices)
    assert isinstance(distribution, IntDistribution | FloatDistribution)
    if distribution.single():
        return 1
    return round((distribution.high - distribution.low) / distribution.step) + 1 if distribution.step else np.inf


def grid(distribution: BaseDistribution) -> Array:
    """Every code (levels,) of a distribution with finitely many."""
    n = int(levels(distribution))
    if isinstance(distribution, CategoricalDistribution):
        return np.arange(n, dtype=float)
    assert isinstance(distribution, IntDistribution | FloatDistribution)
    return distribution.low + (distribution.step or 1) * np.arange(n, dtype=float)


def number_at(distribution: BaseDistribution, place: float) -> float:
    """The code of the number at a place from 0 to 1 of the range, or of its logarithm."""
    return float(_number(distribution, np.array([place]))[0])


def draw(distribution: BaseDistribution, n: int, rng: np.random.Generator) -> Array:
    """n codes, uniform over the categories, the numbers, or the logarithms of the numbers."""
    if isinstance(distribution, CategoricalDistribution) or (levels(distribution) <= 64 and not _log(distribution)):
        return np.asarray(rng.choice(grid(distribution), size=n))
    return _number(distribution, rng.random(n))


def _whole(distribution: BaseDistribution) -> bool:
    return isinstance(distribution, IntDistribution)


def _log(distribution: BaseDistribution) -> bool:
    return bool(getattr(distribution, "log", False))


def _unit(distribution: BaseDistribution, codes: Array) -> Array:
    """Numbers as their place in the range, 0 to 1."""
    assert isinstance(distribution, IntDistribution | FloatDistribution)
    low, high = float(distribution.low), float(distribution.high)
    if low == high:
        return np.zeros(len(codes))
    if distribution.log:
        return np.asarray((np.log(codes) - np.log(low)) / (np.log(high) - np.log(low)))
    return (codes - low) / (high - low)


def _number(distribution: BaseDistribution, unit: Array) -> Array:
    """Places in the range, 0 to 1, as numbers that the distribution has."""
    assert isinstance(distribution, IntDistribution | FloatDistribution)
    low, high = float(distribution.low), float(distribution.high)
    codes = np.exp(np.log(low) + unit * (np.log(high) - np.log(low))) if distribution.log else low + unit * (high - low)
    if distribution.step:
        codes = low + np.round((codes - low) / distribution.step) * distribution.step
    return np.asarray(np.clip(codes, low, high))
