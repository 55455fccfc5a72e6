"""A search's prices and budgets as `ParetoSampler` asks for them: by the parameters of Optuna's trials."""

from __future__ import annotations

from typing import Any

import numpy as np

from nas.run import Settings
from nas.search.problem.encoding import candidate_of, code_of, params_of
from nas.search.problem.feasibility import Pricer, violation
from nas.space.search_space import SearchSpace

Params = dict[str, Any]
NO_PRICE = 1e30  # of a candidate that the device cannot price, which is infeasible


class Prices:
    """What is known of candidates before they are trained."""

    def __init__(self, space: SearchSpace, pricer: Pricer, settings: Settings) -> None:
        self.space, self.pricer, self.settings = space, pricer, settings
        self._feasible: dict[tuple[Any, ...], bool] = {}  # of the candidates that were priced last

    def known_many(self, many: list[Params]) -> list[list[float | None]]:
        """A row of objectives for each candidate, None for what training must tell."""
        columns = self.pricer.columns(np.array([code_of(self.space, params) for params in many]))
        feasible = (violation(columns, self.settings) == 0).tolist()
        self._feasible = dict(zip(map(_name, many), feasible, strict=True))
        rows: list[list[float | None]] = [[None] * len(self.settings.columns) for _ in many]
        for j, goal in enumerate(self.settings.goals):
            if goal.known:
                for row, value in zip(rows, np.nan_to_num(columns[goal.column], nan=NO_PRICE).tolist(), strict=True):
                    row[j] = value
        return rows

    def feasible(self, params: Params) -> bool:
        """Whether a candidate meets the budgets and has a price."""
        if _name(params) not in self._feasible:
            self.known_many([params])
        return self._feasible[_name(params)]

    def canonical(self, params: Params) -> Params:
        return params_of(self.space, candidate_of(self.space, params))


def _name(params: Params) -> tuple[Any, ...]:
    return tuple(params.values())
