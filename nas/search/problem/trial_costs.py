"""A search's costs and budgets as `ParetoSampler` asks for them: by code, thousands of candidates at once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nas.estimate.zero_cost import descriptors
from nas.pareto import Array
from nas.run import Settings
from nas.search.problem.feasibility import Pricer, violation
from nas.space.search_space import SearchSpace

NO_COST = 1e30  # of a candidate that the device cannot price, which is infeasible

Descriptor = Callable[[Array], Array]


@dataclass(frozen=True)
class TrialCosts:
    """What is known of candidates before they are trained. Optuna's internal values are the space's own codes.

    `better` are descriptors that take the place of the built-in ones: each takes codes (n, d) and gives (n,) finite
    numbers, of which more promises a better accuracy.
    """

    space: SearchSpace
    pricer: Pricer
    settings: Settings
    better: tuple[Descriptor, ...] = ()

    def known(self, codes: Array) -> tuple[Array, NDArray[np.bool_]]:
        """Objectives (n, m), NaN for what is learned, and which candidates meet the budgets and have a cost (n,)."""
        columns = self.pricer.columns(codes)
        unknown = np.full(len(codes), np.nan)
        values = [np.nan_to_num(columns[g.column], nan=NO_COST) if g.known else unknown for g in self.settings.goals]
        return np.stack(values, axis=1), violation(columns, self.settings) == 0

    def canonical(self, codes: Array) -> Array:
        return self.space.canonical_codes(codes)

    def described(self, codes: Array) -> Array:
        """Descriptors (n, p): `better`, or else MACs, params and the stage sum, without what is an objective."""
        if self.better:
            return np.stack([np.asarray(describe(codes), dtype=float) for describe in self.better], axis=1)
        found = descriptors.of_codes(self.space, codes, self.settings.classes)
        goals = {goal.column for goal in self.settings.goals}
        columns = [values for name, values in found.items() if name not in goals]
        return np.stack(columns, axis=1)
