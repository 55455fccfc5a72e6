"""Which candidates meet the budgets: checked for thousands at once, before anything is trained."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from nas.errors import UserError
from nas.pareto import Array
from nas.run import BUDGETS, UNITS, Costs, Settings
from nas.space.candidate import Candidate
from nas.space.network import Network
from nas.space.search_space import SearchSpace

POOL = 8192  # random candidates that are priced before the search
ENOUGH = 256  # feasible ones that are wanted among them
NAMES = {objective.column: objective.words for objective in BUDGETS.values()}


class Pricer(Protocol):
    """A device's prices for a search space."""

    def columns(self, codes: Array) -> Mapping[str, Array]:
        """Costs (n,) of the candidates with these codes (n, d), by column; NaN where there is no price."""
        ...

    def costs(self, candidate: Candidate, network: Network) -> Costs:
        """One candidate's costs with their intervals; `latency_ms` is NaN where there is no price."""
        ...


@dataclass(frozen=True)
class Pool:
    """Feasible candidates: codes (n, d), and their costs (n,) by column."""

    codes: Array
    columns: Mapping[str, Array]


def misses(columns: Mapping[str, Array], settings: Settings) -> dict[str, Array]:
    """By how much candidates (n,) miss each budget, as a share of it; 0 or less: met.

    `cost` is 1 where a cost is missing that the search needs, or that has a budget; what is missing misses its budget.
    This is the one definition of feasible: nothing here is above 0.
    """
    lacking = ~np.all([np.isfinite(columns[c]) for c in {*settings.needed, *settings.limits}], axis=0)
    missed = {name: columns[BUDGETS[name].column] / limit - 1 for name, limit in settings.budgets.items()}
    return {name: np.where(np.isfinite(by), by, 1.0) for name, by in missed.items()} | {"cost": lacking.astype(float)}


def violation(columns: Mapping[str, Array], settings: Settings) -> Array:
    """By how much candidates (n,) miss the budgets together: shares of them, added; 0: feasible; inf: no cost."""
    missed = misses(columns, settings)
    lacking = missed.pop("cost") > 0
    total = np.sum([np.maximum(by, 0) for by in missed.values()], axis=0) if missed else np.zeros(len(lacking))
    return np.where(lacking, np.inf, total)


def feasible_pool(space: SearchSpace, pricer: Pricer, settings: Settings) -> Pool:
    """Feasible candidates, the cheapest found among them first.

    Random candidates; where too few of them are feasible, the neighbours of the nearest, step by step. Raises UserError
    when nothing is feasible, with the smallest value of each budget that can be reached.
    """
    rng = np.random.default_rng([settings.seed, POOL])
    codes = space.sample_codes(POOL, rng)
    columns = pricer.columns(codes)
    _check_prices(columns, settings)
    missed = violation(columns, settings)
    feasible = codes[missed == 0]
    if len(feasible) < ENOUGH:
        nearest = codes[np.argsort(missed, kind="stable")[:4]]
        found = [descend(space, lambda c: violation(pricer.columns(c), settings), start) for start in nearest]
        feasible = np.concatenate([feasible, *(code[None] for code, left in found if left == 0)])
        if not len(feasible):
            raise UserError(_unreachable(space, pricer, settings, codes, columns))
    by = settings.first_cost

    def price(at: Array) -> Array:
        priced = pricer.columns(at)
        return np.where(violation(priced, settings) == 0, priced[by], np.inf)

    cheapest = descend(space, price, feasible[np.argmin(price(feasible))])[0]
    feasible = np.concatenate([cheapest[None], feasible])
    for _ in range(8):
        if len(feasible) >= ENOUGH:
            break
        near = space.neighbors(feasible, POOL // 8, rng)
        feasible = np.concatenate([feasible, near[violation(pricer.columns(near), settings) == 0]])
    return Pool(feasible, pricer.columns(feasible))


def descend(space: SearchSpace, cost: Callable[[Array], Array], start: Array) -> tuple[Array, float]:
    """The code and cost where no change of a single choice costs less; each step takes the best change."""
    levels = [(j, level) for j, choice in enumerate(space.choices) for level in range(len(choice.options))]
    code, best = start, float(cost(start[None])[0])
    while True:
        around = np.repeat(code[None], len(levels), axis=0)
        around[np.arange(len(levels)), [j for j, _ in levels]] = [level for _, level in levels]
        costs = cost(around)
        if not costs.min(initial=np.inf) < best:
            return code, best
        code, best = around[costs.argmin()], float(costs.min())


def spread(pool: Pool, settings: Settings, n: int) -> Array:
    """Up to n codes of the pool (n, d) whose first cost is spread evenly, on a log scale, from least to most.

    Random candidates crowd around the middle; a search that starts there takes long to see both ends of the front.
    """
    cost = pool.columns[settings.first_cost]
    order = np.argsort(cost, kind="stable")
    targets = np.geomspace(max(cost[order[0]], 1e-12), max(cost[order[-1]], 1e-12), n)
    places = np.unique(np.searchsorted(cost[order], targets).clip(0, len(order) - 1))
    return np.asarray(pool.codes[order[np.random.default_rng(settings.seed).permutation(places)]])


def _check_prices(columns: Mapping[str, Array], settings: Settings) -> None:
    for column in sorted({*settings.costs, *settings.limits}):
        if column not in columns or np.isnan(columns[column]).all():
            raise UserError(f"device {settings.device_name} has no {NAMES[column]} for space {settings.space_name}")


def _unreachable(
    space: SearchSpace, pricer: Pricer, settings: Settings, codes: Array, pool: Mapping[str, Array]
) -> str:
    parts, alone = [], True
    for column, limit in settings.limits.items():

        def price(at: Array, column: str = column) -> Array:
            return np.nan_to_num(pricer.columns(at)[column], nan=np.inf)

        starts = codes[np.argsort(np.nan_to_num(pool[column], nan=np.inf), kind="stable")[:3]]
        least = min(descend(space, price, start)[1] for start in starts)
        alone &= least <= limit
        unit = f" {UNITS[column]}" if column in UNITS else ""
        parts.append(f"{NAMES[column]} {least:.4g}{unit} (budget {limit:g}{unit})")
    together = " (each can be reached, but not all by one candidate)" if alone else ""
    return (
        f"no candidate of {settings.space_name} on {settings.device_name} meets the budgets; "
        f"the smallest values reachable are {', '.join(parts)}{together}"
    )
