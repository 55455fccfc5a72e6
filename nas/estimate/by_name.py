"""Estimators by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from nas.data.dataset import Dataset
from nas.errors import UserError, unknown
from nas.estimate.estimator import Estimator
from nas.estimate.proxy import Fidelity, ProxyTraining
from nas.estimate.table import table_lookup
from nas.estimate.zero_cost.estimator import AGGREGATE, ZeroCost, shown
from nas.space.search_space import SearchSpace

POOL = 64  # random networks that zero-cost scores are ranked among
MOST_POOL = 10_000

Make = Callable[[Dataset | None, Mapping[str, Any], int, SearchSpace | None], Estimator]


def _proxy(dataset: Dataset | None, fidelity: Mapping[str, Any], seed: int, space: SearchSpace | None) -> Estimator:
    defaults = {field.name: field.default for field in fields(Fidelity)}
    return ProxyTraining(_needed(dataset, "proxy"), Fidelity(**_checked("proxy", fidelity, defaults)), seed)


def _zero_cost(dataset: Dataset | None, settings: Mapping[str, Any], seed: int, space: SearchSpace | None) -> Estimator:
    """Settings: initializations, the pool's networks, and the weight of each score."""
    if space is None:
        raise UserError("estimator zero-cost needs the search space, for a pool of networks to rank in")
    numbers = _checked("zero-cost", {k: v for k, v in settings.items() if k != "weights"}, ZERO_COST)
    weights = settings.get("weights", AGGREGATE)
    if not isinstance(weights, Mapping):
        raise UserError(f"weights must give a number for each score; got {str(weights)[:80]!r}")
    if not 2 <= numbers.get("pool", POOL) <= MOST_POOL:
        raise UserError(f"pool must be from 2 to {MOST_POOL:,} networks; got {numbers['pool']}")
    known = _needed(dataset, "zero-cost")
    rng = np.random.default_rng(seed)
    pool = tuple(space.network(space.sample(rng), len(known.classes)) for _ in range(numbers.get("pool", POOL)))
    return ZeroCost(
        shown(known.train, seed), _checked("score", weights, dict.fromkeys(weights, 1.0)), pool,
        numbers.get("initializations", 3), seed,
    )  # fmt: skip


def _table(dataset: Dataset | None, settings: Mapping[str, Any], seed: int, space: SearchSpace | None) -> Estimator:
    """Settings: path, and the columns of the accuracies, separated by commas, where they have another name."""
    for name, value in settings.items():
        if name not in TABLE:
            raise unknown("table setting", name, TABLE)
        if not isinstance(value, str):
            raise UserError(f"{name} must be a text; got {str(value)[:80]!r}")
    if space is None or not settings.get("path"):
        raise UserError("estimator table needs the search space and the path of a CSV")
    columns = tuple(filter(None, settings.get("accuracy", "").split(",")))
    return table_lookup(Path(settings["path"]), space, columns)


ZERO_COST: dict[str, Any] = {"initializations": 3, "pool": POOL}
TABLE = ("path", "accuracy")
ESTIMATORS: dict[str, Make] = {"proxy": _proxy, "zero-cost": _zero_cost, "table": _table}


def make_estimator(
    name: str, dataset: Dataset | None, settings: Mapping[str, Any], seed: int, space: SearchSpace | None = None, *,
    robust: bool = False,
) -> Estimator:  # fmt: skip
    """The estimator called `name`; `settings` are its own: what a training may cost, of `proxy`.

    `zero-cost` and `table` need the space. With `robust` its estimates have a robust accuracy too. Raises UserError for
    an unknown name, and for what that estimator cannot be asked.
    """
    if name not in ESTIMATORS:
        raise unknown("estimator", name, ESTIMATORS)
    estimator = ESTIMATORS[name](dataset, settings, seed, space)
    if not robust:
        return estimator
    if not isinstance(estimator, ProxyTraining):
        raise UserError(f"estimator {name} does not tell the robust accuracy; take proxy")
    return replace(estimator, robust=True)


def _checked(what: str, settings: Mapping[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    """The settings, whose names and types must be those of the defaults. Raises UserError."""
    for name, value in settings.items():
        if name not in defaults:
            raise unknown(f"{what} setting", name, defaults)
        whole = isinstance(defaults[name], int)
        if isinstance(value, bool) or not isinstance(value, int if whole else int | float):
            raise UserError(f"{name} must be a {'whole ' if whole else ''}number; got {str(value)[:80]!r}")
    return dict(settings)


def _needed(dataset: Dataset | None, name: str) -> Dataset:
    if dataset is None:
        raise UserError(f"estimator {name} needs a dataset")
    return dataset
