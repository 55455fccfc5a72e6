"""The samplers by name, each made anew from a seed for every proposal, so that a resumed search goes on as before."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from optuna.samplers import BaseSampler, NSGAIISampler, RandomSampler, TPESampler
from optuna.study import Study
from optuna.trial import FrozenTrial

from nas.errors import unknown


class _Nsga2(NSGAIISampler):
    """Optuna's, with parents always in the order of their numbers; it has them so only from its cache.

    A resumed search has no cache, and would go on differently.
    """

    def get_parent_population(self, study: Study, generation: int) -> list[FrozenTrial]:
        return sorted(super().get_parent_population(study, generation), key=lambda trial: trial.number)


def _nsga2(seed: int, start: int) -> BaseSampler:
    """NSGA-II (Deb et al., IEEE TEVC 2002)."""
    return _Nsga2(population_size=start, seed=seed)


def _tpe(seed: int, start: int) -> BaseSampler:
    """Multi-objective TPE over all choices at once (Ozaki et al., JAIR 2022), which learns budgets too."""
    return TPESampler(n_startup_trials=start, multivariate=True, seed=seed)


def _random(seed: int, start: int) -> BaseSampler:
    return RandomSampler(seed=seed)


SAMPLERS: dict[str, Callable[[int, int], BaseSampler]] = {"nsga2": _nsga2, "tpe": _tpe, "random": _random}


def start_size(name: str, trials: int) -> int:
    """How many trials come before the sampler learns: a quarter of all, from 8 to 50; its population in NSGA-II.

    The random sampler learns nothing and has no start.
    """
    return 0 if name == "random" else min(max(trials // 4, 8), 50)


def build_sampler(name: str, seed: int, proposal: int, start: int) -> BaseSampler:
    """The sampler for one proposal of a search. Raises UserError for an unknown name."""
    if name not in SAMPLERS:
        raise unknown("sampler", name, SAMPLERS)
    return SAMPLERS[name](int(np.random.SeedSequence([seed, proposal]).generate_state(1)[0]), start)
