"""The search space as Optuna sees it: a distribution for each choice, and the way back to a candidate.

Optuna's internal value of a parameter is the space's own code of that choice: the index of an option, or the number
itself. So codes need no conversion between the two.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from nas.space.candidate import Candidate, Value
from nas.space.choice import Choice
from nas.space.search_space import SearchSpace


def distributions(space: SearchSpace) -> dict[str, BaseDistribution]:
    return {choice.name: distribution(choice) for choice in space.choices}


def distribution(choice: Choice) -> BaseDistribution:
    """Numbers keep their order, as the index of the option, so that a sampler knows 3 to be between 2 and 4."""
    if _ordered(choice):
        return IntDistribution(0, len(choice.options) - 1)
    if choice.options:
        return CategoricalDistribution(choice.options)
    if choice.integer:
        return IntDistribution(int(choice.low), int(choice.high), log=choice.log)
    return FloatDistribution(choice.low, choice.high, log=choice.log)


def candidate_of(space: SearchSpace, params: Mapping[str, Any]) -> Candidate:
    """The canonical candidate that Optuna's parameters stand for."""
    indexed = _indexed(space)
    values = {c.name: indexed[c.name][params[c.name]] if c.name in indexed else params[c.name] for c in space.choices}
    return space.canonical(Candidate.of(values))


def params_of(space: SearchSpace, candidate: Candidate) -> dict[str, Any]:
    indexed = _indexed(space)
    return {k: indexed[k].index(value) if k in indexed else value for k, value in candidate.values}


@lru_cache(maxsize=8)
def _indexed(space: SearchSpace) -> dict[str, tuple[Value, ...]]:
    """The options of choices that Optuna knows by their index."""
    return {choice.name: choice.options for choice in space.choices if _ordered(choice)}


def _ordered(choice: Choice) -> bool:
    numbers = [option for option in choice.options if not isinstance(option, str)]
    return len(numbers) > 1 and len(numbers) == len(choice.options) and numbers == sorted(numbers)
