"""Optuna's own contract for samplers (optuna.testing.pytest_samplers) on `ParetoSampler`.

The kit's multi-objective cases run as they are. Its other cases make studies of one objective, which `ParetoSampler`
refuses: they run with that objective given twice.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from typing import Any

import optuna
import pytest
from optuna.testing import pytest_samplers as kit

from nas.search.samplers.pareto.sampler import ParetoSampler


class Twice(optuna.Study):
    """A study of two objectives that is told, and tells, of one."""

    def tell(self, trial: Any, values: Any = None, state: Any = None, skip_if_finished: bool = False) -> Any:
        both = None if values is None else [values, values]
        return super().tell(trial, both, state, skip_if_finished)

    def optimize(self, func: Callable[[optuna.Trial], Any], *args: Any, **kwargs: Any) -> None:
        def both(trial: optuna.Trial) -> tuple[float, float]:
            value = func(trial)
            return value, value

        super().optimize(both, *args, **kwargs)

    def add_trial(self, trial: optuna.trial.FrozenTrial) -> None:
        if trial.values is not None:
            trial.values = [trial.value, trial.value]
        super().add_trial(trial)

    @property
    def best_value(self) -> float:
        return float(min(t.values[0] for t in self.trials if t.state == optuna.trial.TrialState.COMPLETE))


@pytest.fixture
def _two_objectives(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    real = optuna.create_study

    def create_study(sampler: optuna.samplers.BaseSampler) -> Twice:
        study = real(directions=["minimize", "minimize"], sampler=sampler)
        return Twice(study.study_name, study._storage, sampler)

    monkeypatch.setattr(optuna, "create_study", create_study)
    monkeypatch.setattr(optuna.study, "create_study", create_study)
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        yield


class Ours:
    @pytest.fixture
    def sampler(self) -> Callable[[], ParetoSampler]:
        return lambda: ParetoSampler(seed=0, start=2)  # 2: the kit's ten trials are to meet the model


@pytest.mark.usefixtures("_two_objectives")
class TestBasic(Ours, kit.BasicSamplerTestCase):
    pass


@pytest.mark.usefixtures("_two_objectives")
class TestRelative(Ours, kit.RelativeSamplerTestCase):
    pass


class TestMultiObjective(Ours, kit.MultiObjectiveSamplerTestCase):
    pass
