"""How much of the true front samplers find within a number of trainings, where every answer is known beforehand."""

from __future__ import annotations

import importlib
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.study import StudyDirection
from optuna.trial import TrialState

from nas.errors import UserError, unknown
from nas.pareto import Array, hypervolume, non_dominated
from nas.search.samplers.pareto.sampler import ParetoSampler

Params = dict[str, Any]
Walk = Callable[[int], list[Params]]
WALK = "walk"  # the baseline that learns nothing
ASKS = 20  # proposals for each evaluation, at most: a sampler may repeat itself


@dataclass(frozen=True)
class Task:
    """A search whose every accuracy is known: the objectives are accuracy, maximised, then k costs, minimised."""

    space: Mapping[str, BaseDistribution]
    costs: Callable[[list[Params]], Array]  # (n, k)
    mean: Callable[[list[Params]], Array]  # accuracy that scores a front, (n,)
    seen: Callable[[Params, int], float]  # the accuracy that a search with this seed sees
    canonical: Callable[[Params], Params]  # of all that are the same network, one
    reference: Array  # (1 + k,) of what is missing to an accuracy of 1, and the costs
    truth: float  # hypervolume of the true front
    feasible: Callable[[Params], bool] = lambda params: True
    networks: float = math.inf  # how many distinct ones there are
    describe: Callable[[list[Params]], Array] | None = None  # (n, p): what may tell something of accuracy
    walk: Walk | None = None  # so many networks spread along the front of MACs and the first cost; None: no MACs


@dataclass(frozen=True)
class Searched:
    """Distinct networks in the order of their evaluation, with the accuracies seen, and seconds of each suggestion."""

    params: list[Params]
    accuracies: list[float]
    seconds: list[float]


def _pareto(task: Task, seed: int) -> BaseSampler:
    describe = task.describe
    return ParetoSampler(
        known_many=lambda many: [[None, *row] for row in task.costs(many).tolist()],
        describe_many=None if describe is None else lambda many: describe(many).tolist(),
        feasible=task.feasible, canonical=task.canonical, space=task.space, seed=seed,
    )  # fmt: skip


SAMPLERS: dict[str, Callable[[Task, int], BaseSampler]] = {
    "pareto": _pareto,
    "tpe": lambda task, seed: optuna.samplers.TPESampler(multivariate=True, seed=seed),
    "nsga2": lambda task, seed: optuna.samplers.NSGAIISampler(seed=seed),
    "gp": lambda task, seed: optuna.samplers.GPSampler(seed=seed),
    "random": lambda task, seed: optuna.samplers.RandomSampler(seed=seed),
}


def bench_sampler(name: str, task: Task, seed: int) -> BaseSampler:
    """A sampler by its name here, or `module:Class`, made with `seed=seed`. Raises UserError where there is none."""
    if name in SAMPLERS:
        return SAMPLERS[name](task, seed)
    module, colon, attribute = name.partition(":")
    if not colon:
        raise unknown("sampler", name, SAMPLERS)
    try:
        found = getattr(importlib.import_module(module), attribute)(seed=seed)
    except (ImportError, AttributeError) as error:
        raise UserError(f"sampler {name}: {error}") from None
    except TypeError as error:
        raise UserError(f"sampler {name} cannot be made with a seed: {error}") from None
    if not isinstance(found, BaseSampler):
        raise UserError(f"sampler {name} is not an optuna.samplers.BaseSampler")
    return found


def bench(task: Task, name: str, seed: int, evaluations: int) -> Searched:
    """One search until so many distinct networks are evaluated, or the sampler finds no more.

    A network that was evaluated before is told its accuracy and costs no evaluation, in every sampler; what is
    infeasible fails and costs none either.
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    directions = [StudyDirection.MAXIMIZE] + [StudyDirection.MINIMIZE] * (len(task.reference) - 1)
    study = optuna.create_study(directions=directions, sampler=bench_sampler(name, task, seed))
    found: dict[tuple[Any, ...], tuple[Params, float]] = {}
    seconds = []
    for _ in range(ASKS * evaluations):
        if len(found) >= min(evaluations, task.networks):
            break
        begun = time.perf_counter()
        trial = study.ask(dict(task.space))
        seconds.append(time.perf_counter() - begun)
        if not task.feasible(trial.params):
            study.tell(trial, state=TrialState.FAIL)
            continue
        params = task.canonical(trial.params)
        key = tuple(params[name] for name in task.space if name in params)
        if key not in found:
            found[key] = params, task.seen(params, seed)
        study.tell(trial, [found[key][1], *task.costs([trial.params])[0]])
    return Searched([p for p, _ in found.values()], [a for _, a in found.values()], seconds)


def shares(task: Task, searched: Searched, *, last: bool = False) -> Array:
    """After each evaluation (n,), or after the last (1,): the share of the true front's hypervolume.

    The front is chosen by what was seen, and scored by the mean accuracies.
    """
    costs, mean = task.costs(searched.params), task.mean(searched.params)
    seen = np.concatenate([1 - np.array(searched.accuracies)[:, None], costs], axis=1)
    points = np.concatenate([1 - mean[:, None], costs], axis=1)
    after = [len(seen)] if last else range(1, len(seen) + 1)
    return np.array([
        hypervolume(points[:n][non_dominated(seen[:n])], task.reference) / task.truth for n in after
    ])  # fmt: skip


def along(front: list[Params], n: int) -> list[Params]:
    """n of a front's networks, the cheapest first, spread evenly; all where there are no more."""
    return [front[i] for i in np.unique(np.linspace(0, len(front) - 1, n).round().astype(int))]


def walk_shares(walk: Walk, task: Task, seed: int, evaluations: int) -> Array:
    """After each of `evaluations`: the share of the true front that a walk of as many networks finds.

    A walk of another length has other networks: each length is a search of its own, which sees what this seed sees.
    """
    walks = [walk(n) for n in range(1, evaluations + 1)]
    found = [Searched(params, [task.seen(p, seed) for p in params], []) for params in walks]
    return np.concatenate([shares(task, searched, last=True) for searched in found])
