"""What a ranking is worth, on rankings whose worth is known."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import kendalltau

from nas.estimate.bench.agreement import ROWS, _taus, agreement, share_better

ACCURACIES = np.arange(20) / 20
DEPTHS = np.repeat([1.0, 2.0, 3.0, 4.0], 5)
NONE = np.zeros(20, bool)
TOP = ACCURACIES >= 0.6


def test_a_perfect_ranking_and_its_reverse() -> None:
    right, wrong = (agreement(v, ACCURACIES, DEPTHS, TOP, NONE) for v in (ACCURACIES**3, -ACCURACIES))
    assert (right.tau, right.low, right.high, right.equal_depth, right.top) == pytest.approx((1, 1, 1, 1, 1))
    assert (right.regret_1, right.regret_5, right.networks, right.top_networks) == (0, 0, 20, 8)
    assert (wrong.tau, wrong.equal_depth, wrong.top) == pytest.approx((-1, -1, -1))
    assert wrong.regret_1 == pytest.approx(0.95) and wrong.regret_5 == pytest.approx(0.75)


def test_depth_knows_nothing_among_equal_depths() -> None:
    found = agreement(DEPTHS, ACCURACIES, DEPTHS, TOP, NONE)
    assert found.tau > 0.8 and found.equal_depth == 0
    assert 0 < found.regret_5 < 0.001 or found.regret_5 == 0  # the five deepest are the five best
    assert found.regret_1 == pytest.approx(0.1, abs=0.03)  # one of the five deepest, whichever


def test_a_depth_counts_by_its_networks() -> None:
    depths = np.array([1.0] * 12 + [2.0] * 6 + [3.0] * 2)  # of two networks alone no tau is made
    values = np.where(depths == 1, ACCURACIES, -ACCURACIES)
    assert agreement(values, ACCURACIES, depths, TOP, NONE).equal_depth == pytest.approx((12 - 6) / 18)
    alone = agreement(values, ACCURACIES, np.arange(20.0), TOP, NONE)
    assert math.isnan(alone.equal_depth)


def test_extra_networks_of_the_best_tenth_count_for_it_alone() -> None:
    extra = ACCURACIES >= 0.75  # ranked the wrong way round
    values = np.where(extra, -ACCURACIES, ACCURACIES)
    found = agreement(values, ACCURACIES, DEPTHS, TOP, extra)
    assert found.tau == pytest.approx(1) and found.networks == 15 and found.top_networks == 8 and found.top < 0
    few = np.arange(20) >= 13  # too few to have a tau
    assert math.isnan(agreement(ACCURACIES, ACCURACIES, DEPTHS, few, NONE).top)


def test_the_interval_holds_what_chance_would_give() -> None:
    rng = np.random.default_rng(0)
    held = 0
    for seed in range(40):
        accuracies = rng.normal(size=60)
        values = accuracies + rng.normal(size=60)  # a correlation of 1/sqrt(2): tau = 2/pi asin(rho) = 0.5
        found = agreement(values, accuracies, np.arange(60.0), np.zeros(60, bool), np.zeros(60, bool), seed=seed)
        held += found.low <= 0.5 <= found.high
    assert 29 <= held <= 40  # of 40, at 90%: below 29 with a chance of 1 in 2,000


def test_taus_are_those_of_scipy_on_each_resample() -> None:
    """With ties on both sides, and more networks than are taken at a time."""
    rng = np.random.default_rng(2)
    values, accuracies = rng.integers(5, size=(2, ROWS + 100)).astype(float)
    counts = rng.multinomial(len(values), np.full(len(values), 1 / len(values)), 3).astype(float)
    for tau, count in zip(_taus(values, accuracies, counts), counts, strict=True):
        chosen = np.repeat(np.arange(len(values)), count.astype(int))
        assert tau == pytest.approx(kendalltau(values[chosen], accuracies[chosen]).statistic)


def test_better_is_better_on_most_resamples_of_the_networks() -> None:
    noisy = ACCURACIES + np.random.default_rng(1).normal(size=20)
    assert share_better(ACCURACIES, noisy, ACCURACIES) == 1 and share_better(noisy, ACCURACIES, ACCURACIES) == 0
