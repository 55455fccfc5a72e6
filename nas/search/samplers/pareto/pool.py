"""Candidates for a proposal: canonical, feasible, never tried, each with its known objectives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from nas.pareto import Array
from nas.search.samplers.pareto.descriptors import Describer
from nas.search.samplers.pareto.history import Mask
from nas.search.samplers.pareto.known_objectives import Caller
from nas.search.samplers.pareto.space import Decisions, keys

POOL = 384  # random candidates, and twice as many near the parents
WHOLE = 4096  # spaces up to this size are taken whole
SEARCHED = 200_000  # spaces up to this size are searched whole before nothing is said to be left
ROUNDS = 16  # of steps towards what is cheaper, where no candidate is feasible


@dataclass(frozen=True)
class Points:
    """Candidates by rows: codes (n, d), objectives (n, m), minimised, NaN where they must be learned."""

    codes: Array
    values: Array

    def __len__(self) -> int:
        return len(self.codes)

    def __add__(self, other: Points) -> Points:
        return Points(np.concatenate([self.codes, other.codes]), np.concatenate([self.values, other.values]))

    def rows(self, chosen: NDArray[np.intp]) -> Points:
        return Points(self.codes[chosen], self.values[chosen])


class Candidates:
    """Makes and prices candidates of a study's decisions. `signs` (m,) are -1 where the study maximises."""

    def __init__(
        self, decisions: Decisions, caller: Caller, describer: Describer, signs: Array, inferred: bool
    ) -> None:  # fmt: skip
        self.decisions, self.caller, self.describer = decisions, caller, describer
        self.signs, self.inferred = signs, inferred
        self.taken: frozenset[bytes] = frozenset()
        self.unheard: list[Array] = []  # codes (d,) that stand for all that differ where these have NaN

    def canonical(self, codes: Array) -> Array:
        """The codes (n, d) of the candidates that the caller takes for the same."""
        return self.caller.canonical(codes, self.decisions, self.inferred) if len(codes) else codes

    def price(self, codes: Array) -> tuple[Array, Mask]:
        """Objectives (n, m), minimised, and which candidates are feasible (n,)."""
        if not len(codes):
            return np.zeros((0, len(self.signs))), np.zeros(0, dtype=bool)
        values, feasible = self.caller.known(codes, self.decisions, len(self.signs), self.inferred)
        return values * self.signs, feasible

    def describe(self, codes: Array) -> Array:
        """Descriptors (n, p), of which more promises better; p is 0 where the caller has none."""
        if not len(codes):
            return np.zeros((0, self.descriptors))
        return self.describer.described(codes, self.decisions, self.inferred)

    @cached_property
    def descriptors(self) -> int:
        """How many descriptors a candidate has."""
        one = self.canonical(self.decisions.sample(1, np.random.default_rng(0)))
        return int(self.describe(one).shape[1])

    def fresh(self, codes: Array) -> Points:
        """Those of the codes that are feasible and new, each once, in canonical form."""
        codes = self._untried(codes)
        values, feasible = self.price(codes)
        return Points(codes[feasible], values[feasible])

    def pool(self, parents: Array, rng: np.random.Generator, feasible: Array | None = None) -> Points:
        """Random candidates and neighbours of the parents (n, d); every candidate of a small space.

        Where none is feasible, the cheapest are changed step by step, for budgets are upper limits, and so is what is
        known to be `feasible` (m, d). Empty: nothing is left, or was found.
        """
        if self.decisions.size <= WHOLE:
            return self.fresh(self.decisions.grid())
        codes = self.decisions.sample(POOL, rng)
        if len(parents):
            codes = np.concatenate([codes, self.decisions.mutate(parents, 2 * POOL, rng)])
        points = self.fresh(codes)
        if not len(points) and self.decisions.size <= SEARCHED:
            return self.fresh(self.decisions.grid())
        for _ in range(ROUNDS):
            if len(points):
                break
            codes = self._untried(codes)
            values = self.price(codes)[0]
            codes = codes if np.isnan(values).all() else codes[ends(values, 16, (1.0,))]
            codes = codes if feasible is None else np.concatenate([codes, feasible])
            codes = np.concatenate([codes, self.decisions.mutate(codes, 2 * POOL, rng) if len(codes) else codes])
            points = self.fresh(codes)
        return points

    def unpriced(self, rng: np.random.Generator) -> Array | None:
        """The code (d,) of a new candidate that cannot be priced yet, if any: to try it shows what it consists of."""
        codes = self._untried(self.decisions.sample(64, rng))
        self.price(codes)
        return next((code for code, open_ in zip(codes, self.caller.unpriced(codes), strict=True) if open_), None)

    def _untried(self, codes: Array) -> Array:
        codes = self.canonical(codes)
        for pattern in self.unheard:
            codes = codes[~(np.isnan(pattern) | (codes == pattern)).all(axis=1)]
        first: dict[bytes, int] = {}
        for i, key in enumerate(keys(codes)):
            if key not in self.taken:
                first.setdefault(key, i)
        return codes[list(first.values())]


def ends(values: Array, n: int, senses: Sequence[float] = (1.0, -1.0)) -> Array:
    """Rows with the n least, and the n greatest, of each known objective (rows, m)."""
    known = np.flatnonzero(~np.isnan(values).all(axis=0))
    found = [np.argsort(sense * values[:, j], kind="stable")[:n] for j in known for sense in senses]
    return np.concatenate(found) if found else np.zeros(0, dtype=int)
