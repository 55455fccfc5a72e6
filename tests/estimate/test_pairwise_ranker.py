"""A linear ranker: order is all that it reads."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import kendalltau

from nas.estimate.pairwise_ranker import MOST, fit_ranker


def test_an_order_that_is_linear_is_found_whatever_the_scale() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(60, 4))
    y = x @ np.array([1.0, -2.0, 0.0, 0.5])
    weights = fit_ranker(x, y)
    assert kendalltau(x @ weights, y).statistic > 0.95
    assert weights == pytest.approx(fit_ranker(x, np.exp(3 * y)))  # the same order
    assert abs(weights[2]) < 0.1 * abs(weights[1])


def test_the_weights_are_those_of_a_logistic_regression_of_pairs() -> None:
    """Two networks, one feature: the loss is log(1 + exp(-2w)) + w^2, whose least is where 1 / (1 + exp(2w)) = w."""
    (weight,) = fit_ranker(np.array([[1.0], [-1.0]]), np.array([5.0, 3.0]))
    assert 1 / (1 + np.exp(2 * weight)) == pytest.approx(weight, abs=1e-4)


def test_equal_targets_say_nothing() -> None:
    assert fit_ranker(np.random.default_rng(0).normal(size=(6, 2)), np.ones(6)) == pytest.approx(0)


def test_of_very_many_labels_some_are_taken() -> None:
    x = np.random.default_rng(0).normal(size=(MOST + 50, 1))
    few = np.linspace(0, len(x) - 1, MOST).round().astype(int)
    assert fit_ranker(x, x[:, 0]) == pytest.approx(fit_ranker(x[few], x[few, 0]))
