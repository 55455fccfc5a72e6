"""Estimators by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from typing import Any

from nas.data.dataset import Dataset
from nas.errors import UserError, unknown
from nas.estimate.estimator import Estimator
from nas.estimate.proxy import Fidelity, ProxyTraining


def _proxy(dataset: Dataset, fidelity: Mapping[str, Any], seed: int) -> Estimator:
    known = {field.name: type(field.default) for field in fields(Fidelity)}
    for name, value in fidelity.items():
        if name not in known:
            raise unknown("proxy setting", name, known)
        whole = known[name] is int
        if isinstance(value, bool) or not isinstance(value, int if whole else int | float):
            raise UserError(f"{name} must be a {'whole ' if whole else ''}number; got {str(value)[:80]!r}")
    return ProxyTraining(dataset, Fidelity(**fidelity), seed)


ESTIMATORS: dict[str, Callable[[Dataset, Mapping[str, Any], int], Estimator]] = {"proxy": _proxy}


def make_estimator(
    name: str, dataset: Dataset, fidelity: Mapping[str, Any], seed: int, *, robust: bool = False
) -> Estimator:
    """The estimator called `name`. `fidelity` is what a training may cost (the fields of `Fidelity`).

    With `robust` its estimates have a robust accuracy too. Raises UserError for an unknown name, and for what that
    estimator cannot be asked.
    """
    if name not in ESTIMATORS:
        raise unknown("estimator", name, ESTIMATORS)
    estimator = ESTIMATORS[name](dataset, fidelity, seed)
    if not robust:
        return estimator
    if not isinstance(estimator, ProxyTraining):
        raise UserError(f"estimator {name} does not tell the robust accuracy; take proxy")
    return replace(estimator, robust=True)
