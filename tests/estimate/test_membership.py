"""Probabilities of being on the front, against hand arithmetic and against the front of each draw."""

from __future__ import annotations

import numpy as np
import pytest

from nas.estimate.membership import better_probability, front_probability
from nas.pareto import non_dominated


@pytest.mark.parametrize("objectives", [0, 1, 2, 3])
def test_the_share_of_draws_on_whose_front_a_network_is(objectives: int) -> None:
    rng = np.random.default_rng(objectives)
    mean, deviation = rng.uniform(0.5, 0.9, 40), rng.uniform(0.01, 0.1, 40)
    draws = np.round(mean + deviation * np.clip(rng.standard_normal((100, 40)), -2.9, 2.9), 2)  # some are equal
    costs = rng.integers(1, 6, (40, objectives)).astype(float)
    fronts = [non_dominated(np.concatenate([1 - draw[:, None], costs], axis=1)) for draw in draws]
    assert front_probability(draws, costs, mean, deviation) == pytest.approx(np.mean(fronts, axis=0))


def test_two_networks_of_one_cost_share_a_place() -> None:
    rng = np.random.default_rng(0)
    mean, deviation = np.array([0.9, 0.9, 0.5, 0.91]), np.array([0.01, 0.01, 0.01, 0.01])
    draws = mean + deviation * rng.standard_normal((4000, 4))
    found = front_probability(draws, np.array([[2.0], [2.0], [1.0], [3.0]]), mean, deviation)
    assert found[:2] == pytest.approx(0.5, abs=0.05) and found[:2].sum() == pytest.approx(1)
    assert found[2] == 1  # the cheapest is always on it
    assert 0.5 < found[3] < 0.75


def test_exact_accuracies_have_probabilities_of_0_and_1() -> None:
    accuracies = np.array([0.9, 0.9, 0.8, 0.95])
    costs = np.array([[1.0], [1.0], [2.0], [3.0]])
    assert list(front_probability(accuracies[None], costs, accuracies, np.zeros(4))) == [1, 0, 0, 1]


def test_which_of_two_is_better() -> None:
    draws = np.array([[0.9, 0.8, 0.9], [0.7, 0.8, 0.7]])
    assert better_probability(draws).tolist() == [[0.5] * 3] * 3
    assert better_probability(np.array([[0.9, 0.8], [0.9, 0.7]])).tolist() == [[0.5, 1], [0, 0.5]]
