"""Descriptors: the walk that begins with them, what the model makes of them, and what a caller may not return."""

from __future__ import annotations

import math
import pickle
from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np
import optuna
import pytest
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from nas.errors import UserError
from nas.pareto import hypervolume
from nas.search.samplers.pareto.descriptors import DescribedByCode
from nas.search.samplers.pareto.history import Tried
from nas.search.samplers.pareto.initial_design import GAP, spread
from nas.search.samplers.pareto.known_objectives import ByCode
from nas.search.samplers.pareto.learned_front import LearnedFront
from nas.search.samplers.pareto.pool import Candidates, Points
from nas.search.samplers.pareto.sampler import ParetoSampler
from nas.search.samplers.pareto.space import Decisions
from tests.search.samplers.pareto.test_sampler import NINE, study_with

Params = dict[str, Any]
OPS = ("none", "small", "large", "wide")
TABLE: dict[str, BaseDistribution] = {f"op{i}": CategoricalDistribution(OPS) for i in range(5)}
MS = dict(zip(OPS, (0.0, 1.9, 2.0, 4.0), strict=True))
MACS = dict(zip(OPS, (0.1, 0.5, 4.0, 4.2), strict=True))


def cost(params: Params) -> float:
    return 1.0 + sum(MS[op] * (1 + 0.1 * i) for i, op in enumerate(params.values()))


def macs(params: Params) -> float:
    return sum(MACS[op] for op in params.values())


def truth(params: Params) -> float:
    """An accuracy that follows the MACs, but for the place of each operation."""
    worth = sum(MACS[op] * (1.3 - 0.1 * i) for i, op in enumerate(params.values()))
    return 0.95 - 0.5 * math.exp(-worth / 6)


def noise(params: Params) -> float:
    return float(np.random.default_rng([OPS.index(op) for op in params.values()]).random())


EVERY = [dict(zip(TABLE, ops, strict=True)) for ops in product(OPS, repeat=5)]
POINTS = np.array([[1 - truth(p), cost(p)] for p in EVERY])
REFERENCE = np.array([0.4, POINTS[:, 1].max()])


def told(sampler: ParetoSampler, n: int) -> list[Params]:
    study = study_with(sampler)
    for _ in range(n):
        trial = study.ask(TABLE)
        study.tell(trial, [truth(trial.params), cost(trial.params)])
    return [t.params for t in study.trials]


def share(params: list[Params]) -> float:
    points = np.array([[1 - truth(p), cost(p)] for p in params])
    return hypervolume(points, REFERENCE) / hypervolume(POINTS, REFERENCE)


def shares(n: int, describe: Callable[[Params], list[float]] | None) -> float:
    found = [
        share(told(ParetoSampler(lambda p: (None, cost(p)), seed=seed, space=TABLE, describe=describe), n))
        for seed in range(3)
    ]
    return float(np.mean(found))


def test_one_that_tells_gains_much_from_the_first_trials_on() -> None:
    assert shares(4, lambda p: [macs(p)]) > shares(4, None) + 0.2


@pytest.mark.parametrize("misleading", [lambda p: [noise(p)], lambda p: [20.0 - macs(p)], lambda p: [1.0]])
def test_one_that_misleads_loses_little(misleading: Callable[[Params], list[float]]) -> None:
    """Noise, the wrong way round, and the same for all: behind by little, and soon."""
    assert shares(12, misleading) > shares(12, None) - 0.03


def test_one_that_tells_helps_beside_one_of_noise() -> None:
    assert shares(8, lambda p: [noise(p), macs(p)]) > shares(8, None) + 0.1


def test_the_first_trials_stand_on_the_fronts_in_turn() -> None:
    size = [lambda p: macs(p), lambda p: 1.0 + sum(op == "wide" for op in p.values())]
    first = told(
        ParetoSampler(lambda p: (None, cost(p)), seed=0, space=TABLE, describe=lambda p: [f(p) for f in size]), 4
    )
    for i, params in enumerate(first):
        promise = np.array([[-size[i % 2](p), cost(p)] for p in EVERY])
        mine = np.array([-size[i % 2](params), cost(params)])
        assert not ((promise <= mine).all(axis=1) & (promise < mine).any(axis=1)).any()
    assert len({tuple(p.values()) for p in first}) == 4


class Coded:
    """The functions above by code."""

    def known(self, codes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        costs = [cost(dict(zip(TABLE, (OPS[int(c)] for c in code), strict=True))) for code in codes]
        return np.stack([np.full(len(codes), np.nan), costs], axis=1), np.ones(len(codes), dtype=bool)

    def canonical(self, codes: np.ndarray) -> np.ndarray:
        return codes

    def described(self, codes: np.ndarray) -> np.ndarray:
        return np.array([[macs(dict(zip(TABLE, (OPS[int(c)] for c in code), strict=True)))] for code in codes])


def test_costs_that_a_walk_leaves_unseen_are_tried_next() -> None:
    signs = np.array([-1.0, 1.0])
    candidates = Candidates(Decisions(TABLE, {}), ByCode(Coded()), DescribedByCode(Coded()), signs, False)
    cheap = np.array([[0.0, 0, 0, 0, 0], [1, 0, 0, 0, 0]])
    code = spread(candidates, cheap, Coded().known(cheap)[0], np.random.default_rng(0), GAP)
    assert code is not None and Coded().known(code[None])[0][0, 1] > 0.7 * POINTS[:, 1].max()
    evenly = np.array([[0.0, 0, 0, 0, 0], [1, 0, 0, 0, 0], [2, 2, 0, 0, 0], [3, 3, 0, 2, 0], [3, 3, 3, 3, 3]])
    assert spread(candidates, evenly, Coded().known(evenly)[0], np.random.default_rng(0), GAP) is None


def test_one_by_one_together_and_by_code_give_the_same_candidates() -> None:
    one = ParetoSampler(lambda p: (None, cost(p)), seed=1, space=TABLE, describe=lambda p: [macs(p)])
    many = ParetoSampler(
        lambda p: (None, cost(p)), seed=1, space=TABLE, describe_many=lambda ps: [[macs(p)] for p in ps]
    )
    first, second, third = (told(s, 7) for s in (one, many, ParetoSampler(coded=Coded(), space=TABLE, seed=1)))
    assert first == second == third


def test_a_study_goes_on_as_one_that_was_never_stopped() -> None:
    def sampler() -> ParetoSampler:
        return ParetoSampler(lambda p: (None, cost(p)), seed=4, space=TABLE, describe=lambda p: [macs(p), noise(p)])

    whole = told(sampler(), 9)
    study = study_with(sampler())
    for n in range(9):
        study.sampler = sampler()  # as after a restart
        trial = study.ask(TABLE)
        assert trial.params == whole[n]
        study.tell(trial, [truth(trial.params), cost(trial.params)])


def test_a_sampler_with_descriptors_is_pickled() -> None:
    sampler = ParetoSampler(coded=Coded(), space=TABLE, seed=1)
    assert told(pickle.loads(pickle.dumps(sampler)), 5) == told(sampler, 5)


def test_trials_that_run_at_once_are_told_apart_from_the_start() -> None:
    study = study_with(ParetoSampler(lambda p: (None, cost(p)), seed=0, space=TABLE, describe=lambda p: [macs(p)]))
    asked = [tuple(study.ask(TABLE).params.values()) for _ in range(10)]
    assert len(set(asked)) == 10


def test_several_results_of_one_candidate_count_as_noise() -> None:
    """One candidate was lucky once: tried again, it is believed to be what it is on average."""
    code, rng = np.array([1.0, 2, 1, 0, 2]), np.random.default_rng(0)
    others = rng.integers(0, 4, (20, 5)).astype(float)
    codes = np.concatenate([np.repeat(code[None], 5, axis=0), others])
    values = Coded().known(codes)[0]
    values[:, 0] = [-truth(dict(zip(TABLE, (OPS[int(c)] for c in row), strict=True))) for row in codes]
    mean = values[0, 0]
    values[:5, 0] += [-0.05, 0.02, 0.01, 0.01, 0.01]  # the first was lucky
    signs, every = np.array([-1.0, 1.0]), np.ones(len(codes), dtype=bool)
    candidates = Candidates(Decisions(TABLE, {}), ByCode(Coded()), DescribedByCode(Coded()), signs, False)
    front = LearnedFront(candidates, Tried(codes, values, every, every), None, {}, rng)
    believed = 1 - np.exp(front.models[0].predict(front._features(Points(codes, values)))[0])
    assert np.ptp(believed[:5]) < 1e-9 and abs(believed[0] + mean) < 0.02


WITH_RATE: dict[str, BaseDistribution] = TABLE | {"rate": FloatDistribution(1e-4, 1.0, log=True)}
BEST_RATE = 10**-1.2


def with_rate(params: Params) -> Params:
    return {name: value for name, value in params.items() if name != "rate"}


def tried_with_rate(seed: int, n: int, **describe: Any) -> list[Params]:
    sampler = ParetoSampler(lambda p: (None, cost(with_rate(p))), seed=seed, space=WITH_RATE, **describe)
    study = study_with(sampler)
    for _ in range(n):
        trial = study.ask(WITH_RATE)
        missing = 1 - truth(with_rate(trial.params))
        missing *= math.exp(0.4 * math.log10(trial.params["rate"] / BEST_RATE) ** 2)
        study.tell(trial, [max(0.0, 1 - missing), cost(with_rate(trial.params))])
    return [t.params for t in study.trials]


def test_a_number_that_costs_and_descriptors_do_not_depend_on_begins_in_the_middle() -> None:
    first = tried_with_rate(0, 4, describe=lambda p: [macs(with_rate(p))])
    assert first[0]["rate"] == pytest.approx(1e-2) and {round(math.log10(p["rate"])) for p in first[1:]} == {-3, -1}
    assert len({tuple(with_rate(p).values()) for p in first}) == 4
    told_of_it = tried_with_rate(0, 4, describe=lambda p: [macs(with_rate(p)) + p["rate"]])
    assert not {1e-1, 1e-2, 1e-3} & {round(p["rate"], 6) for p in told_of_it}


@pytest.mark.parametrize("seed", range(2))
def test_the_best_of_a_number_that_bends_is_found_soon(seed: int) -> None:
    """A learning rate that is a factor of six from the middle; the range has four decades."""
    last = tried_with_rate(seed, 24, describe=lambda p: [macs(with_rate(p))])[12:]
    away = np.abs(np.log10([p["rate"] / BEST_RATE for p in last]))
    assert np.median(away) < 0.35


def test_what_is_trusted_counts_beside_what_results_tell() -> None:
    """Results say the opposite of a descriptor. Its weight: nothing, half, and all."""
    codes = np.random.default_rng(0).integers(0, 4, (12, 5)).astype(float)
    values = Coded().known(codes)[0]
    values[:, 0] = -0.5 + 0.01 * Coded().described(codes)[:, 0]
    signs, every = np.array([-1.0, 1.0]), np.ones(len(codes), dtype=bool)
    candidates = Candidates(Decisions(TABLE, {}), ByCode(Coded()), DescribedByCode(Coded()), signs, False)
    promised, sign = Coded().described(codes)[:, 0], {}
    for trusted in (0.0, 0.5, 1.0):
        tried, rng = Tried(codes, values, every, every), np.random.default_rng(0)
        front = LearnedFront(candidates, tried, None, {}, rng, trusted)
        mean = front._believed(0, front._features(Points(codes, values)), codes)[0]
        sign[trusted] = np.corrcoef(mean, np.log(promised))[0, 1]
    assert sign[0.0] > 0.8 and sign[1.0] < -0.99 and sign[1.0] < sign[0.5] < sign[0.0]
    with pytest.raises(UserError, match=r"trusted must lie between 0 and 1; got 1.5"):
        ParetoSampler(trusted=1.5)


BAD: list[tuple[Any, str]] = [
    ([math.nan], "finite numbers; got nan"),
    ([math.inf], "finite numbers; got inf"),
    ([None], "a list of numbers; got"),
    (["many"], "a list of numbers; got"),
    (3.0, "a list of numbers; got 3.0"),
]


@pytest.mark.parametrize(("answer", "message"), BAD)
def test_what_describe_may_not_return(answer: Any, message: str) -> None:
    with pytest.raises(UserError, match=message):
        study_with(ParetoSampler(lambda p: [None, 1.0], space=NINE, describe=lambda p: answer)).ask(NINE)


def test_descriptors_are_as_many_for_every_candidate() -> None:
    sampler = ParetoSampler(lambda p: [None, 1.0], space=NINE, describe=lambda p: [1.0] * (1 + (p["y"] == "a")))
    with pytest.raises(UserError, match="as many numbers for every candidate"):
        study_with(sampler).ask(NINE)
    many = ParetoSampler(lambda p: [None, 1.0], space=NINE, describe_many=lambda ps: [[1.0]] * (len(ps) + 1))
    with pytest.raises(UserError, match="describe_many must return one row for each"):
        study_with(many).ask(NINE)


def test_descriptors_by_code_are_checked() -> None:
    class Wrong(Coded):
        def described(self, codes: np.ndarray) -> np.ndarray:
            return np.full((len(codes), 1), np.nan)

    with pytest.raises(UserError, match="described must return finite numbers"):
        study_with(ParetoSampler(coded=Wrong(), space=TABLE)).ask(TABLE)
    with pytest.raises(UserError, match="coded needs space"):
        ParetoSampler(coded=Coded(), space=TABLE, describe=lambda p: [1.0])


@pytest.mark.parametrize("seed", range(2))
def test_conditional_choices_may_be_unknown_to_describe_until_a_trial_shows_them(seed: int) -> None:
    def objective(trial: optuna.Trial) -> tuple[float, float]:
        op, n = trial.suggest_categorical("op", ("a", "b")), trial.suggest_int("n", 1, 20)
        w = trial.suggest_int("w", 1, 100) if op == "b" else 0
        return n / 30, float(n + w)

    def describe(p: Params) -> list[float]:
        return [float(p["n"] + (p["w"] if p["op"] == "b" else 0))]

    sampler = ParetoSampler(lambda p: (None, float(p["n"] + p.get("w", 0))), seed=seed, describe=describe)
    study = study_with(sampler)
    study.optimize(objective, n_trials=12)
    assert len({tuple(sorted(t.params.items())) for t in study.trials}) == 12


@pytest.mark.parametrize(
    "known", [lambda p: (None, None), lambda p: (float(p["x"]), 1.0), lambda p: (None, float(-p["x"]))]
)
def test_descriptors_serve_whatever_is_known(known: Callable[[Params], tuple[float | None, ...]]) -> None:
    space: dict[str, BaseDistribution] = {"x": IntDistribution(-3, 9), "z": IntDistribution(0, 9)}
    study = study_with(ParetoSampler(known, seed=0, space=space, describe=lambda p: [p["z"], -1.0 * p["x"]]))
    for _ in range(12):
        trial = study.ask(space)
        study.tell(trial, [trial.params["z"] / 10, 1.0 * trial.params["x"]])
    assert len({tuple(t.params.values()) for t in study.trials}) == 12


def test_numbers_of_many_values_may_bend_and_choices_and_counts_may_not() -> None:
    space: dict[str, BaseDistribution] = {
        "op": CategoricalDistribution(("a", "b", "c")),
        **{f"depth{i}": IntDistribution(1, 4) for i in range(3)},
        "rate": FloatDistribution(1e-4, 1e-1, log=True),
        "only": CategoricalDistribution((1,)),
        "width": IntDistribution(8, 256, step=8),
    }
    decisions = Decisions(space, {})
    features = decisions.features(decisions.sample(50, np.random.default_rng(0)))
    assert decisions.bends.tolist() == [False] * 6 + [True, True, False] and features.shape[1] == 9
    assert Decisions({"only": CategoricalDistribution((1,))}, {}).bends.tolist() == [False]
