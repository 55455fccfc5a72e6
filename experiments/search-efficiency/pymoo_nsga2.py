"""pymoo's NSGA-II as an Optuna sampler: `--samplers pymoo_nsga2:PymooNSGA2` of nas bench search."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.samplers import BaseSampler, RandomSampler
from optuna.search_space import IntersectionSearchSpace
from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial, TrialState
from pymoo.algorithms.moo.nsga2 import NSGA2
from pymoo.core.evaluator import Evaluator
from pymoo.core.mutation import Mutation
from pymoo.core.problem import Problem
from pymoo.operators.crossover.ux import UX
from pymoo.operators.sampling.rnd import IntegerRandomSampling
from pymoo.problems.static import StaticProblem

Values = Callable[[list[dict[str, Any]]], np.ndarray]
STEPS = 1000  # of a continuous choice
BAD = 1e9  # objectives of a failed trial


class Redraw(Mutation):  # type: ignore[misc]
    """Each variable is drawn anew with probability 1/d."""

    def _do(self, problem: Any, x: np.ndarray, *args: Any, random_state: Any = None, **kwargs: Any) -> np.ndarray:
        rng = random_state if random_state is not None else np.random
        fresh = np.floor(rng.random(x.shape) * (problem.xu - problem.xl + 1)) + problem.xl
        return np.where(rng.random(x.shape) < 1 / x.shape[1], fresh.astype(int), x)


def nsga2(population: int) -> NSGA2:
    return NSGA2(
        pop_size=population, sampling=IntegerRandomSampling(), crossover=UX(), mutation=Redraw(),
        eliminate_duplicates=True,
    )  # fmt: skip


class SpaceProblem(Problem):  # type: ignore[misc]
    """The space as whole numbers; `values` gives the objectives (n, m) of candidates, minimised."""

    def __init__(self, space: dict[str, BaseDistribution], objectives: int, values: Values | None = None) -> None:
        self.space, self.values = space, values
        top = np.array([_levels(d) - 1 for d in space.values()])
        super().__init__(n_var=len(top), n_obj=objectives, xl=np.zeros(len(top)), xu=top, vtype=int)

    def _evaluate(self, x: np.ndarray, out: dict[str, Any], *args: Any, **kwargs: Any) -> None:
        assert self.values is not None
        out["F"] = self.values([params(self.space, row) for row in x])


def params(space: dict[str, BaseDistribution], row: np.ndarray) -> dict[str, Any]:
    return {name: _value(d, int(x)) for (name, d), x in zip(space.items(), row, strict=True)}


class PymooNSGA2(BaseSampler):
    """Asks pymoo for a population and tells it the values once all of it has ended; the first trial is random."""

    def __init__(self, seed: int | None = None, population: int = 20) -> None:
        self._seed, self._population = seed, population
        self._random, self._space = RandomSampler(seed), IntersectionSearchSpace()
        self._algorithm: NSGA2 | None = None
        self._asked: dict[int, int] = {}  # place in the population by the trial's number
        self._found: dict[int, np.ndarray] = {}

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        return self._space.calculate(study)

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        if not search_space:
            return {}
        if self._algorithm is None:
            self._algorithm = nsga2(self._population)
            self._algorithm.setup(
                SpaceProblem(search_space, len(study.directions)), termination=("n_gen", 10**6), seed=self._seed
            )
            self._people = self._algorithm.ask()
        place = self._asked[trial.number] = len(self._asked)
        return params(search_space, self._people[place].X)

    def sample_independent(self, study: Study, trial: FrozenTrial, name: str, distribution: BaseDistribution) -> Any:
        return self._random.sample_independent(study, trial, name, distribution)

    def after_trial(
        self, study: Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None
    ) -> None:  # fmt: skip
        if trial.number not in self._asked or self._algorithm is None:
            return
        signs = np.array([-1.0 if d == StudyDirection.MAXIMIZE else 1.0 for d in study.directions])
        self._found[self._asked[trial.number]] = np.full(len(signs), BAD) if values is None else signs * values
        if len(self._found) == len(self._people):
            told = np.array([self._found[k] for k in range(len(self._people))])
            Evaluator().eval(StaticProblem(self._algorithm.problem, F=told), self._people)
            self._algorithm.tell(infills=self._people)
            self._people, self._asked, self._found = self._algorithm.ask(), {}, {}


def _levels(distribution: BaseDistribution) -> int:
    if isinstance(distribution, CategoricalDistribution):
        return len(distribution.choices)
    if isinstance(distribution, IntDistribution):
        return (distribution.high - distribution.low) // distribution.step + 1
    return STEPS


def _value(distribution: BaseDistribution, x: int) -> Any:
    if isinstance(distribution, CategoricalDistribution):
        return distribution.choices[x]
    if isinstance(distribution, IntDistribution):
        return distribution.low + x * distribution.step
    assert isinstance(distribution, FloatDistribution)
    low, high, share = distribution.low, distribution.high, x / (STEPS - 1)
    return float(low * (high / low) ** share) if distribution.log else low + share * (high - low)
