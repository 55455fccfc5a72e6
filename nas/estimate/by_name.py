"""Estimators by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields
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


def make_estimator(name: str, dataset: Dataset, fidelity: Mapping[str, Any], seed: int) -> Estimator:
    """The estimator called `name`. `fidelity` is what a training may cost (the fields of `Fidelity`).

    Raises UserError for an unknown name, and for what that estimator cannot be asked.
    """
    if name not in ESTIMATORS:
        raise unknown("estimator", name, ESTIMATORS)
    return ESTIMATORS[name](dataset, fidelity, seed)
