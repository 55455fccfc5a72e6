"""The sampler's contract, on studies that take seconds."""

from __future__ import annotations

import math
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import optuna
import pytest
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import TrialState

from nas.errors import UserError
from nas.search.samplers.pareto.sampler import ParetoSampler

MIXED: dict[str, BaseDistribution] = {
    "op": CategoricalDistribution(("a", "b", "c")),
    "depth": IntDistribution(1, 4),
    "width": IntDistribution(8, 64, step=8),
    "rate": FloatDistribution(1e-4, 1e-1, log=True),
    "drop": FloatDistribution(0.0, 0.5),
}
NINE: dict[str, BaseDistribution] = {"x": IntDistribution(0, 2), "y": CategoricalDistribution(("a", "b", "c"))}


def price(params: dict[str, Any]) -> float:
    return float(params["depth"] * params["width"] * {"a": 1.0, "b": 2.0, "c": 3.0}[params["op"]])


def accuracy(params: dict[str, Any]) -> float:
    return (
        0.95 - 0.4 * math.exp(-price(params) / 100) - 0.02 * abs(math.log10(params["rate"]) + 2.5) - params["drop"] / 9
    )


def known(params: dict[str, Any]) -> list[float | None]:
    return [None, price(params)]


def study_with(sampler: ParetoSampler, directions: tuple[str, ...] = ("maximize", "minimize")) -> optuna.Study:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    return optuna.create_study(directions=list(directions), sampler=sampler)


def run(study: optuna.Study, n: int, space: dict[str, BaseDistribution] = MIXED) -> list[dict[str, Any]]:
    for _ in range(n):
        trial = study.ask(space)
        study.tell(trial, [accuracy(trial.params), price(trial.params)])
    return [t.params for t in study.trials]


def test_equal_seeds_ask_for_equal_candidates() -> None:
    first, second, third = (run(study_with(ParetoSampler(known, seed=s, space=MIXED, start=5)), 8) for s in (3, 3, 4))
    assert first == second
    assert first != third


@pytest.mark.parametrize("told", [3, 7, 12])
def test_a_resumed_study_goes_on_as_one_that_was_not_stopped(told: int) -> None:
    whole = study_with(ParetoSampler(known, seed=1, start=5))
    run(whole, told)
    resumed = study_with(ParetoSampler(known, seed=1, start=5))
    resumed.add_trials(whole.trials)
    assert run(resumed, 2) == run(whole, 2)


def test_a_sampler_goes_on_after_pickling() -> None:
    study = study_with(ParetoSampler(known, seed=1, start=5))
    run(study, 7)
    copy = study_with(pickle.loads(pickle.dumps(study.sampler)))
    copy.add_trials(study.trials)
    assert run(copy, 1) == run(study, 1)


def test_values_belong_to_their_distributions() -> None:
    for params in run(study_with(ParetoSampler(known, seed=0, space=MIXED, start=6)), 10):
        for name, distribution in MIXED.items():
            assert distribution._contains(distribution.to_internal_repr(params[name])), (name, params)


def test_a_small_space_is_tried_whole_before_anything_is_repeated() -> None:
    study = study_with(ParetoSampler(lambda p: (None, 1.0 + p["x"]), seed=0, space=NINE, start=4))
    for i in range(11):
        trial = study.ask(NINE)
        study.tell(trial, [trial.params["x"] + 0.1 * i, 1.0 + trial.params["x"]])
    assert len({tuple(sorted(t.params.items())) for t in study.trials[:9]}) == 9


def test_a_space_larger_than_any_machine_integer_is_not_taken_whole() -> None:
    space: dict[str, BaseDistribution] = {f"b{i}": IntDistribution(0, 8) for i in range(22)}
    study = study_with(ParetoSampler(lambda p: (None, 1.0 + sum(p.values())), seed=0, space=space, start=3))
    for i in range(5):
        study.tell(study.ask(space), [float(i), 1.0])
    assert len({tuple(t.params.values()) for t in study.trials}) == 5


def test_candidates_that_are_the_same_are_asked_for_once() -> None:
    def canonical(params: dict[str, Any]) -> dict[str, Any]:
        return {"x": params["x"], "y": "a" if params["x"] == 0 else params["y"]}  # y is idle where x is 0

    study = study_with(ParetoSampler(lambda p: (None, 1.0 + p["x"]), seed=0, space=NINE, canonical=canonical, start=3))
    for i in range(7):
        trial = study.ask(NINE)
        study.tell(trial, [float(i), 1.0])
    assert len({tuple(sorted(canonical(t.params).items())) for t in study.trials}) == 7


@pytest.mark.parametrize("limit", [8.0, 40.0])
def test_what_is_infeasible_is_never_proposed(limit: float) -> None:
    """At 8, one architecture in 96 is left: op a, depth 1, width 8."""
    sampler = ParetoSampler(known, seed=0, space=MIXED, feasible=lambda p: price(p) <= limit, start=5)
    assert all(price(p) <= limit for p in run(study_with(sampler), 8))


def test_a_rare_feasible_candidate_is_found_by_its_cost() -> None:
    """Two of 4^20 candidates cost 1 or less."""
    space: dict[str, BaseDistribution] = {f"b{i}": IntDistribution(0, 3) for i in range(20)}

    def cost(params: dict[str, Any]) -> float:
        return float(sum((i + 1) * v for i, v in enumerate(params[f"b{k}"] for k in range(20))))

    sampler = ParetoSampler(lambda p: (None, cost(p)), seed=0, space=space, feasible=lambda p: cost(p) <= 1)
    assert cost(study_with(sampler).ask(space).params) <= 1


def test_constraints_that_nothing_meets_are_an_error() -> None:
    sampler = ParetoSampler(lambda p: (None, 1.0), seed=0, space=NINE, feasible=lambda p: False)
    with pytest.raises(UserError, match="no candidate is feasible"):
        study_with(sampler).ask(NINE)


def test_failed_and_pruned_trials_are_not_repeated_and_teach_nothing() -> None:
    study = study_with(ParetoSampler(lambda p: (None, 1.0 + p["x"]), seed=0, space=NINE, start=3))
    for i in range(9):
        trial = study.ask(NINE)
        if i % 3:
            study.tell(trial, [float(i), 1.0])
        else:
            study.tell(trial, state=TrialState.FAIL if i else TrialState.PRUNED)
    assert len({tuple(sorted(t.params.items())) for t in study.trials}) == 9


def test_running_trials_are_not_proposed_again() -> None:
    study = study_with(ParetoSampler(known, seed=0, space=MIXED, start=5))
    run(study, 6)
    asked = [tuple(sorted(study.ask(MIXED).params.items())) for _ in range(4)]
    assert len(set(asked)) == 4
    assert sum(t.state == TrialState.RUNNING for t in study.trials) == 4


def test_a_proposal_counts_before_the_trial_has_suggested_it() -> None:
    study = study_with(ParetoSampler(lambda p: (None, 1.0 + p["x"]), seed=0, space=NINE, start=2))
    opened = [study.ask() for _ in range(9)]  # nothing suggested yet
    asked = [(t.suggest_int("x", 0, 2), t.suggest_categorical("y", ("a", "b", "c"))) for t in opened]
    assert len(set(asked)) == 9


def test_threads_never_get_the_same_candidate() -> None:
    study = study_with(ParetoSampler(lambda p: (None, 1.0 + p["x"]), seed=0, space=NINE, start=3))
    study.optimize(
        lambda t: (t.suggest_int("x", 0, 2) + len(t.suggest_categorical("y", ("a", "b", "c"))), 1.0), 9, n_jobs=3
    )
    assert len({tuple(sorted(t.params.items())) for t in study.trials}) == 9


LEARNED: dict[str, tuple[tuple[str, ...], Callable[[dict[str, Any]], list[float | None]]]] = {
    "one of two, minimised": (("minimize", "minimize"), lambda p: [None, price(p)]),
    "known first, maximised": (("maximize", "maximize"), lambda p: [-price(p), None]),
    "both learned": (("minimize", "maximize"), lambda p: [None, None]),
    "both known": (("minimize", "maximize"), lambda p: [price(p), p["drop"]]),
    "one of three": (("maximize", "minimize", "minimize"), lambda p: [None, price(p), p["drop"]]),
    "two of three": (("maximize", "minimize", "minimize"), lambda p: [None, price(p), None]),
    "two of four": (("maximize", "minimize", "minimize", "maximize"), lambda p: [None, price(p), None, p["drop"]]),
}


@pytest.mark.parametrize("case", LEARNED)
def test_any_objectives_may_be_known(case: str) -> None:
    directions, f = LEARNED[case]
    study = study_with(ParetoSampler(f, seed=0, space=MIXED, start=4), directions)
    for i in range(7):
        trial = study.ask(MIXED)
        told = [accuracy(trial.params) + 0.01 * j * i if v is None else v for j, v in enumerate(f(trial.params))]
        study.tell(trial, told)
    assert len({tuple(t.params.values()) for t in study.trials}) == 7


def test_one_objective_and_five_are_refused() -> None:
    for directions in (("minimize",), ("minimize",) * 5):
        with pytest.raises(UserError, match=f"2 to 4 objectives; got {len(directions)}"):
            study_with(ParetoSampler(known, space=MIXED), directions).ask(MIXED)


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ([None], "2 entries, one per objective; got 1"),
        ([None, math.nan], "finite numbers, or None; got nan"),
        ([None, math.inf], "finite numbers, or None; got inf"),
        ([None, "fast"], "one number or None per objective"),
        (3.0, "one number or None per objective"),
    ],
)
def test_what_known_may_not_return(answer: Any, message: str) -> None:
    with pytest.raises(UserError, match=message):
        study_with(ParetoSampler(lambda p: answer, space=NINE)).ask(NINE)


def test_known_must_know_the_same_objectives_always() -> None:
    sampler = ParetoSampler(lambda p: [None, 1.0 if p["x"] else None], space=NINE)
    with pytest.raises(UserError, match="None for the same objectives"):
        study_with(sampler).ask(NINE)


def test_known_many_must_answer_for_each() -> None:
    with pytest.raises(UserError, match="each of 9 candidates; got 1"):
        study_with(ParetoSampler(known_many=lambda many: [[None, 1.0]], space=NINE)).ask(NINE)


def test_the_same_prices_one_by_one_or_together_give_the_same_candidates() -> None:
    single = ParetoSampler(known, seed=2, space=MIXED, start=4)
    many = ParetoSampler(known_many=lambda ps: [known(p) for p in ps], seed=2, space=MIXED, start=4)
    assert run(study_with(single), 7) == run(study_with(many), 7)


def conditional(trial: optuna.Trial) -> tuple[float, float]:
    depth = trial.suggest_int("depth", 1, 3)
    kernels = [trial.suggest_categorical(f"kernel{i}", (3, 5, 7)) for i in range(depth)]
    if trial.suggest_categorical("optimizer", ("sgd", "adam")) == "sgd":
        trial.suggest_float("momentum", 0.0, 0.99)
    return 0.5 + 0.1 * depth + 0.01 * sum(kernels), float(sum(k * k for k in kernels))


def test_conditional_choices_are_learned_from_the_trials() -> None:
    """`known` reads kernels up to the depth, and would raise for a candidate that lacks one."""

    def cost(params: dict[str, Any]) -> list[float | None]:
        priced.append(params)
        return [None, float(sum(params[f"kernel{i}"] ** 2 for i in range(params["depth"])))]

    priced: list[dict[str, Any]] = []
    study = study_with(ParetoSampler(cost, seed=0, start=6))
    study.optimize(conditional, n_trials=14)
    assert all(t.state == TrialState.COMPLETE for t in study.trials)
    priced.clear()
    study.optimize(conditional, n_trials=2)
    assert all(len([k for k in p if k.startswith("kernel")]) == p["depth"] for p in priced)
    assert all(("momentum" in p) == (p["optimizer"] == "sgd") for p in priced)


def test_a_diverged_trial_does_not_stop_the_search() -> None:
    study = study_with(ParetoSampler(known, seed=0, space=MIXED, start=4), ("minimize", "minimize"))
    for i in range(8):
        trial = study.ask(MIXED)
        study.tell(trial, [[2.0, 1e12, math.inf][i % 3] + i, price(trial.params)])
    assert len(study.trials) == 8


def test_equal_results_do_not_stop_the_search() -> None:
    study = study_with(ParetoSampler(known, seed=0, space=MIXED, start=4))
    for _ in range(7):
        study.tell(study.ask(MIXED), [0.5, 1.0])
    assert len({tuple(t.params.values()) for t in study.trials}) == 7


def test_an_enqueued_trial_is_part_of_the_history() -> None:
    study = study_with(ParetoSampler(known, seed=0, space=MIXED, start=4))
    study.enqueue_trial({"op": "c", "depth": 4, "width": 64, "rate": 0.01, "drop": 0.0})
    assert run(study, 6)[0]["width"] == 64


def test_it_finds_more_of_the_front_than_random_candidates() -> None:
    def found(sampler: optuna.samplers.BaseSampler) -> float:
        from nas.pareto import hypervolume

        study = optuna.create_study(directions=["maximize", "minimize"], sampler=sampler)
        run(study, 25)
        values = np.array([[1 - t.values[0], t.values[1]] for t in study.trials])
        return hypervolume(values, np.array([0.5, 768.0]))

    ours = found(ParetoSampler(known, seed=0, space=MIXED))
    assert ours > max(found(optuna.samplers.RandomSampler(seed=s)) for s in range(5))


class Coded:
    """The functions above by code, for the space MIXED, whose widths are the numbers themselves."""

    def known(self, codes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        op, depth, width = codes[:, :3].T
        costs = depth * width * (op + 1)
        return np.stack([np.full(len(codes), np.nan), costs], axis=1), costs <= 300

    def canonical(self, codes: np.ndarray) -> np.ndarray:
        return np.where(np.arange(5) == 4, np.round(codes, 1), codes)  # drop: only tenths count


def test_a_caller_by_code_gets_the_same_candidates_as_one_by_parameters() -> None:
    by_params = ParetoSampler(
        known, feasible=lambda p: price(p) <= 300, canonical=lambda p: p | {"drop": round(p["drop"], 1)},
        space=MIXED, seed=2, start=4,
    )  # fmt: skip
    by_code = ParetoSampler(coded=Coded(), space=MIXED, seed=2, start=4)
    assert run(study_with(by_code), 9) == run(study_with(by_params), 9)


@pytest.mark.parametrize("more", [{"known": known, "space": MIXED}, {"canonical": dict, "space": MIXED}, {}])
def test_a_caller_by_code_needs_the_space_and_nothing_else(more: dict[str, Any]) -> None:
    with pytest.raises(UserError, match="coded needs space"):
        ParetoSampler(coded=Coded(), **more)
