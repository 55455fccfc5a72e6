"""Prices before training: what is feasible, what is cheapest, and what a search starts from."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import numpy as np
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from nas.search.problem.encoding import candidate_of, distributions, params_of
from nas.search.problem.feasibility import Pool, descend, feasible_pool, spread, violation
from nas.space.search_space import load_space
from tests.search.small_tasks import CountingPricer, settings_for, small_space


def test_violation_is_the_sum_of_the_shares_over_budget() -> None:
    settings = settings_for(load_space("tiny"), budgets={"max_latency_ms": 10.0, "max_params": 100})
    columns = {
        "latency_ms": np.array([10.0, 15.0, 5.0, 20.0, np.nan]),
        "energy_mj": np.array([1.0, 1.0, np.nan, 1.0, 1.0]),
        "params": np.array([100.0, 100.0, 1.0, 250.0, 1.0]),
    }
    assert violation(columns, settings).tolist() == [0.0, 0.5, np.inf, 2.5, np.inf]  # 2.5: 1 and 1.5


def test_descent_finds_the_cheapest_of_all(tmp_path: Path) -> None:
    space = small_space(tmp_path)
    pricer = CountingPricer(space)
    everything = np.array(list(product(*(range(len(c.options)) for c in space.choices))), dtype=float)
    least = pricer.columns(everything)["energy_mj"].min()
    code, found = descend(space, lambda at: pricer.columns(at)["energy_mj"], everything[-1])
    assert found == least == pricer.columns(code[None])["energy_mj"][0]


@pytest.mark.parametrize("limit", [50.0, 5.0, 0.3, 0.13])
def test_the_pool_is_feasible_and_begins_with_the_cheapest(limit: float) -> None:
    """The cheapest candidate, in int8, takes half a ms per million of its MACs; a budget of 0.13 ms leaves very few.

    Resolution 32, width 0.5, depth 1, kernel 3, expansion 2. Stem 55,296; first block 18,432 + 16,384; the three
    stages 32,768 + 9,216 + 16,384, 32,768 + 4,608 + 12,288 and 18,432 + 1,728 + 9,216; head 24,576; classifier 1,280.
    """
    space = load_space("tiny")
    pricer = CountingPricer(space)
    pool = feasible_pool(space, pricer, settings_for(space, budgets={"max_latency_ms": limit}))
    assert pool.columns["latency_ms"].max() <= limit
    assert pool.columns["latency_ms"][0] == pool.columns["latency_ms"].min() == pytest.approx(0.102736 / 2)
    assert len(pool.codes) >= 256


def test_a_start_is_spread_over_the_costs() -> None:
    space = load_space("tiny")
    cost = np.concatenate([np.full(50, 30.0), np.arange(1.0, 101.0)])
    pool = Pool(space.sample_codes(150, np.random.default_rng(0)), {"latency_ms": cost})
    chosen = spread(pool, settings_for(space), 3)
    rows = [int(np.flatnonzero((pool.codes == code).all(axis=1))[0]) for code in chosen]
    assert sorted(cost[rows]) == [1.0, 10.0, 100.0]


@pytest.mark.parametrize("name", ["tiny", "mobilenet-v3", "nas-bench-macro", "fbnet-cifar", "efficientnet-lite"])
def test_a_candidate_survives_the_way_through_optuna(name: str) -> None:
    space, rng = load_space(name), np.random.default_rng(0)
    known = distributions(space)
    for _ in range(20):
        candidate = space.sample(rng)
        params = params_of(space, candidate)
        assert candidate_of(space, params) == candidate
        codes = [known[key].to_internal_repr(params[key]) for key in known]
        assert all(d._contains(code) for d, code in zip(known.values(), codes, strict=True))
        assert codes == space.encode(candidate).tolist()  # Optuna's internal values are the space's codes


def test_numbers_keep_their_order_and_names_have_none() -> None:
    known = distributions(load_space("tiny"))
    assert known["resolution"] == IntDistribution(0, 4)  # 24, 32, 48, 64, 96
    assert known["precision"] == CategoricalDistribution(("fp32", "int8"))
    assert known["learning_rate"] == FloatDistribution(0.02, 0.3, log=True)
