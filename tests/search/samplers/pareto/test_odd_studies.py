"""The sampler in studies that go another way: failures half-way, queues, hidden dependencies, odd scales."""

from __future__ import annotations

from typing import Any

import numpy as np
import optuna
import pytest
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import TrialState

from nas.errors import UserError
from nas.estimate.surrogate import choose_scale
from nas.search.samplers.pareto.sampler import ParetoSampler
from tests.search.samplers.pareto.test_sampler import NINE, study_with

WIDE: dict[str, BaseDistribution] = {
    "rate": FloatDistribution(1e-4, 0.1, log=True), "width": IntDistribution(8, 64, step=8),
    "depth": IntDistribution(1, 6),
}  # fmt: skip


def wide(trial: optuna.Trial) -> tuple[float, float]:
    rate = trial.suggest_float("rate", 1e-4, 0.1, log=True)
    if trial.number in (0, 4):
        raise MemoryError  # before it has suggested the rest
    width, depth = trial.suggest_int("width", 8, 64, step=8), trial.suggest_int("depth", 1, 6)
    return width / 99 - rate, float(width * depth)


def distinct(study: optuna.Study) -> int:
    return len({tuple(sorted(t.params.items())) for t in study.trials})


@pytest.mark.parametrize("space", [WIDE, None])
def test_a_trial_that_fails_half_way_says_nothing_of_what_it_lacks(space: dict[str, BaseDistribution] | None) -> None:
    study = study_with(ParetoSampler(lambda p: (None, p["width"] * p["depth"]), seed=0, space=space, start=3))
    study.optimize(wide, n_trials=9, catch=(MemoryError,))
    assert [t.state for t in study.trials].count(TrialState.COMPLETE) == 7


def test_what_depends_on_two_choices_is_repeated_only_if_it_was_tried_before_they_were_known() -> None:
    def objective(trial: optuna.Trial) -> tuple[float, float]:
        a, c = trial.suggest_categorical("a", ("x", "y")), trial.suggest_categorical("c", ("x", "y"))
        n = trial.suggest_int("n", 1, 5)
        b = trial.suggest_int("b", 1, 4) if a == "x" and c == "y" else 0
        return b / 20 + n / 100, float(n + b)

    study = study_with(ParetoSampler(lambda p: (None, float(p["n"] + p.get("b", 0))), seed=0, start=4))
    study.optimize(objective, n_trials=30)  # of 35
    assert distinct(study) >= 25
    later = study.trials[6:]  # all parameters had been suggested by then
    assert len({tuple(sorted(t.params.items())) for t in later}) == len(later)


def by_op(trial: optuna.Trial) -> tuple[float, float]:
    op, n = trial.suggest_categorical("op", ("a", "b", "c")), trial.suggest_int("n", 1, 20)
    w = trial.suggest_int("w", 1, 100) if op == "c" else 0
    return n / 30, float(n + w)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("way", ["known_many", "feasible", "canonical"])
def test_conditional_choices_are_learned_whatever_is_asked_of_the_caller(way: str, seed: int) -> None:
    """Each function raises KeyError for a candidate whose op is c and that has no w."""

    def cost(p: dict[str, Any]) -> tuple[float | None, ...]:
        return None, float(p["n"] + (p["w"] if p["op"] == "c" else 0))

    given: dict[str, Any] = {"known": lambda p: (None, float(p["n"] + p.get("w", 0)))}
    if way == "known_many":
        given = {"known_many": lambda many: [cost(p) for p in many]}
    elif way == "feasible":
        given["feasible"] = lambda p: p["op"] != "c" or p["w"] < 50
    else:
        given["canonical"] = lambda p: p | ({"w": p["w"] // 2 * 2 or 1} if p["op"] == "c" else {})
    study = study_with(ParetoSampler(**given, seed=seed, start=4))
    study.optimize(by_op, n_trials=10)
    assert distinct(study) == 10
    if way == "feasible":
        assert all(t.params.get("w", 0) < 50 for t in study.trials[4:])  # by then it is known when there is a w


@pytest.mark.parametrize("told", [0, 6])
def test_what_a_trial_was_queued_with_is_part_of_its_proposal(told: int) -> None:
    sampler = ParetoSampler(
        lambda p: (None, float(p["width"] * p["depth"])), feasible=lambda p: p["width"] * p["depth"] <= 64,
        space=WIDE, seed=1, start=3,
    )  # fmt: skip
    study = study_with(sampler)
    for i in range(told):
        study.tell(study.ask(WIDE), [0.1 * i, 1.0])
    for _ in range(3):
        study.enqueue_trial({"width": 64})
        params = study.ask(WIDE).params
        assert params["width"] == 64 and params["depth"] == 1
    study.enqueue_trial({"width": 64, "depth": 6})  # nothing feasible has these: they were asked for
    params = study.ask(WIDE).params
    assert params["width"] == 64 and params["depth"] == 6


def test_a_queued_value_that_there_is_not_fails_no_other_trial() -> None:
    study = study_with(ParetoSampler(lambda p: (None, 1.0 + p["x"]), seed=0, start=3))
    study.enqueue_trial({"x": 1})
    study.enqueue_trial({"y": "q"})
    study.optimize(
        lambda t: (t.suggest_int("x", 0, 2) + len(t.suggest_categorical("y", ("a", "b", "c"))), 1.0), 5,
        catch=(ValueError,),
    )  # fmt: skip
    assert sum(t.state == TrialState.COMPLETE for t in study.trials) == 4


def test_small_numbers_are_different_candidates() -> None:
    space: dict[str, BaseDistribution] = {"rate": FloatDistribution(1e-16, 1e-13, log=True)}
    study = study_with(ParetoSampler(lambda p: (None, p["rate"]), seed=0, space=space, start=3))
    for i in range(8):
        trial = study.ask(space)
        study.tell(trial, [0.1 * i, trial.params["rate"]])
    assert distinct(study) == 8


def test_small_objectives_are_told_apart() -> None:
    values = np.array([1e-9, 5e-8, 2e-7, 9e-7])
    assert (np.diff(choose_scale(values, maximise=False).learned(values)) > 1).all()


def test_a_sampler_in_a_second_study_goes_by_that_study() -> None:
    cost = {"a": 1.0, "b": 2.0, "slow": 3.0}
    sampler = ParetoSampler(lambda p: (None, cost[p["o"]]), feasible=lambda p: p["o"] != "slow", seed=0, start=2)
    for options in (("a", "b", "slow"), ("slow", "a", "b")):
        space: dict[str, BaseDistribution] = {"o": CategoricalDistribution(options), "n": IntDistribution(0, 9)}
        sampler.space = space
        study = study_with(sampler)
        for i in range(8):
            trial = study.ask(space)
            study.tell(trial, [0.1 * i, cost[trial.params["o"]]])
        assert {t.params["o"] for t in study.trials} == {"a", "b"}
    sampler._caller._known = lambda p: (None, cost[p["o"]], 1.0)
    three = study_with(sampler, ("maximize", "minimize", "minimize"))
    assert three.ask(space).params["o"] in ("a", "b")


def test_rare_feasible_candidates_are_found_beside_those_that_are_known() -> None:
    space: dict[str, BaseDistribution] = {f"x{i}": IntDistribution(0, 9) for i in range(6)}

    def feasible(p: dict[str, Any]) -> bool:  # 50 of a million
        return bool(sum(p.values()) == 27 and p["x0"] == p["x1"] == 5 and p["x2"] == p["x3"])

    study = study_with(ParetoSampler(lambda p: (None, 1.0 + p["x2"]), feasible=feasible, space=space, seed=0, start=3))
    study.enqueue_trial({"x0": 5, "x1": 5, "x2": 4, "x3": 4, "x4": 4, "x5": 5})
    for i in range(15):
        trial = study.ask(space)
        assert feasible(trial.params)
        study.tell(trial, [0.1 * i, 1.0 + trial.params["x2"]])
    assert distinct(study) >= 13


def test_what_another_sampler_keeps_for_itself_is_named() -> None:
    sampler = ParetoSampler(lambda p: (None, 1.0 + p["x"]), seed=0, space=NINE)
    with pytest.warns(optuna.exceptions.ExperimentalWarning):
        fixed = optuna.samplers.PartialFixedSampler({"x": 1}, sampler)
    study = optuna.create_study(directions=["maximize", "minimize"], sampler=fixed)
    with pytest.raises(UserError, match="must propose x"):
        study.ask(NINE)
    with pytest.raises(UserError, match="seed must be 0 or more; got -1"):
        ParetoSampler(seed=-1)


def test_a_pruned_trial_that_expects_no_number_teaches_nothing() -> None:
    study = study_with(ParetoSampler(lambda p: (None, 1.0 + p["x"]), seed=0, space=NINE, start=2))
    for i in range(6):
        trial = study.ask(NINE)
        if i % 2:
            trial.set_user_attr("nas:expected", [float("nan"), 1.0])
            study.tell(trial, state=TrialState.PRUNED)
        else:
            study.tell(trial, [0.1 * i, 1.0])
    assert distinct(study) == 6
