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
    shown = shown_params(space, params)
    return space.canonical(Candidate.of({choice.name: shown[choice.name] for choice in space.choices}))


def params_of(space: SearchSpace, candidate: Candidate) -> dict[str, Any]:
    return params_of_shown(space, candidate.as_dict())


def shown_distributions(space: SearchSpace) -> dict[str, BaseDistribution]:
    """The distributions as the journal has them: a choice has its values, so that a dashboard shows 3x3 and not 0."""
    return {
        choice.name: CategoricalDistribution(choice.options) if choice.options else distribution(choice)
        for choice in space.choices
    }


def shown_params(space: SearchSpace, params: Mapping[str, Any]) -> dict[str, Any]:
    """A trial's parameters as the journal has them."""
    indexed = _indexed(space)
    return {name: indexed[name][value] if name in indexed else value for name, value in params.items()}


def params_of_shown(space: SearchSpace, shown: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters that the journal shows so. Raises ValueError for a value that is not an option."""
    indexed = _indexed(space)
    return {name: indexed[name].index(value) if name in indexed else value for name, value in shown.items()}


@lru_cache(maxsize=8)
def _indexed(space: SearchSpace) -> dict[str, tuple[Value, ...]]:
    """The options of choices that Optuna knows by their index."""
    return {choice.name: choice.options for choice in space.choices if _ordered(choice)}


def _ordered(choice: Choice) -> bool:
    numbers = [option for option in choice.options if not isinstance(option, str)]
    return len(numbers) > 1 and len(numbers) == len(choice.options) and numbers == sorted(numbers)
