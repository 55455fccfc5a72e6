"""Estimators by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from nas.data.dataset import Dataset
from nas.errors import unknown
from nas.estimate.estimator import Estimator
from nas.estimate.proxy import Fidelity, ProxyTraining


def _proxy(dataset: Dataset, fidelity: Mapping[str, Any], seed: int) -> Estimator:
    return ProxyTraining(dataset, Fidelity(**fidelity), seed)


ESTIMATORS: dict[str, Callable[[Dataset, Mapping[str, Any], int], Estimator]] = {"proxy": _proxy}


def make_estimator(name: str, dataset: Dataset, fidelity: Mapping[str, Any], seed: int) -> Estimator:
    """The estimator called `name`. `fidelity` is what a training may cost (the fields of `Fidelity`).

    Raises UserError for an unknown name.
    """
    if name not in ESTIMATORS:
        raise unknown("estimator", name, ESTIMATORS)
    return ESTIMATORS[name](dataset, fidelity, seed)
