"""The samplers by name; what one proposes depends on the run's seed, the proposal's number and its history alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from optuna.samplers import BaseSampler, NSGAIISampler, RandomSampler, TPESampler
from optuna.study import Study
from optuna.trial import FrozenTrial

from nas.errors import unknown
from nas.run import Settings
from nas.search.problem.encoding import distributions
from nas.search.problem.feasibility import Pricer
from nas.search.problem.trial_costs import Descriptor, TrialCosts
from nas.search.samplers.pareto.sampler import ParetoSampler
from nas.space.search_space import SearchSpace

PARETO_OBJECTIVES = range(2, 5)  # that `pareto` can have
DESCRIBED_START = 16  # trials of `pareto` along the front of a descriptor that tells more than size does
SamplerFor = Callable[[int], BaseSampler]  # by the proposal's number


@dataclass(frozen=True)
class Problem:
    """What a sampler is made for.

    `descriptors` tell more of accuracies than MACs, params and the stage sum, which are told where there are none: each
    takes codes (n, d) and gives (n,) finite numbers, of which more promises better.
    """

    space: SearchSpace
    pricer: Pricer
    settings: Settings
    descriptors: tuple[Descriptor, ...] = ()

    def seed(self, proposal: int) -> int:
        return int(np.random.SeedSequence([self.settings.seed, proposal]).generate_state(1)[0])


class _Nsga2(NSGAIISampler):
    """Optuna's, with parents always in the order of their numbers; it has them so only from its cache.

    A resumed search has no cache, and would go on differently.
    """

    def get_parent_population(self, study: Study, generation: int) -> list[FrozenTrial]:
        return sorted(super().get_parent_population(study, generation), key=lambda trial: trial.number)


def _pareto(problem: Problem) -> SamplerFor:
    """Ours, which knows costs, budgets and descriptors before a training: `ParetoSampler`."""
    costs = TrialCosts(problem.space, problem.pricer, problem.settings, problem.descriptors)
    start, trusted = None, 0.0
    if problem.descriptors:
        start, trusted = DESCRIBED_START, problem.settings.guide_weight
    sampler = ParetoSampler(
        coded=costs, space=distributions(problem.space), seed=problem.settings.seed, start=start, trusted=trusted
    )
    return lambda proposal: sampler


def _nsga2(problem: Problem) -> SamplerFor:
    """NSGA-II (Deb et al., IEEE TEVC 2002)."""
    return lambda proposal: _Nsga2(population_size=problem.settings.start, seed=problem.seed(proposal))


def _tpe(problem: Problem) -> SamplerFor:
    """Multi-objective TPE over all choices at once (Ozaki et al., JAIR 2022), which learns budgets too."""
    return lambda proposal: TPESampler(
        n_startup_trials=problem.settings.start, multivariate=True, seed=problem.seed(proposal)
    )


def _random(problem: Problem) -> SamplerFor:
    return lambda proposal: RandomSampler(seed=problem.seed(proposal))


SAMPLERS: dict[str, Callable[[Problem], SamplerFor]] = {
    "pareto": _pareto, "tpe": _tpe, "nsga2": _nsga2, "random": _random,
}  # fmt: skip


def start_size(name: str, trials: int) -> int:
    """How many trials are spread over the costs of what is feasible before the sampler proposes anything.

    A quarter of all, from 8 to 50; its population in NSGA-II. The random sampler learns nothing and has no start;
    `pareto` has its own, which begins where the descriptors promise most, once it knows the two ends.
    """
    if name in ("pareto", "random"):
        return 2 if name == "pareto" else 0
    return min(max(trials // 4, 8), 50)


def default_sampler(objectives: int) -> str:
    return "pareto" if objectives in PARETO_OBJECTIVES else "tpe"


def build_sampler(name: str, problem: Problem) -> SamplerFor:
    """The sampler of a search. Raises UserError for an unknown name."""
    if name not in SAMPLERS:
        raise unknown("sampler", name, SAMPLERS)
    return SAMPLERS[name](problem)
