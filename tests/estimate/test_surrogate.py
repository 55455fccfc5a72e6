"""The Gaussian process with trends: what it learns from few results, and that its gradient is its loss's."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import approx_fprime

from nas.estimate.surrogate import Surrogate, _loss, choose_scale, fit


def test_the_gradient_is_that_of_the_loss() -> None:
    rng = np.random.default_rng(0)
    x, t, y = rng.random((12, 3)), rng.standard_normal((12, 2)), rng.standard_normal(12)
    products, spread = t.T[:, :, None] * t.T[:, None, :], np.array([0.5, 1.0, 1.5])
    at = np.concatenate([rng.uniform(-0.5, 1.0, 3), [0.2, -2.0], [0.4, 0.7]])
    numeric = approx_fprime(at, lambda p: _loss(p, x, y, products, spread)[0], 1e-6)
    assert _loss(at, x, y, products, spread)[1] == pytest.approx(numeric, rel=1e-3, abs=1e-3)


def test_a_trend_is_followed_beyond_what_was_seen_and_one_of_noise_is_not() -> None:
    rng = np.random.default_rng(1)
    choices, telling, noise = rng.integers(0, 2, (25, 5)).astype(float), rng.uniform(0, 3, 25), rng.uniform(0, 3, 25)
    features = np.column_stack([choices, telling, noise])
    targets = 2 * telling + 0.1 * rng.standard_normal(25)
    found = fit(features, targets, trends=2)
    assert found.slopes is not None and found.slopes[5] > 100 * found.slopes[6]
    model = Surrogate(features, targets, found)
    far = np.array([[0.0, 0, 0, 0, 0, 6.0, 0.0], [0.0, 0, 0, 0, 0, 6.0, 6.0]])
    mean, deviation = model.predict(far)
    assert mean == pytest.approx([12.0, 12.0], abs=1.0) and deviation.max() < 1.0


def test_without_trends_nothing_is_known_far_from_what_was_seen() -> None:
    rng = np.random.default_rng(2)
    features = rng.random((20, 1))
    model = Surrogate(features, np.sin(9 * features[:, 0]), fit(features, np.sin(9 * features[:, 0])))
    near, far = (model.predict(np.array([[x]]))[1][0] for x in (0.5, 9.0))
    assert far > 5 * near


def test_trends_that_never_vary_change_nothing() -> None:
    rng = np.random.default_rng(3)
    features, targets = rng.random((10, 2)), rng.standard_normal(10)
    constant = np.column_stack([features, np.full(10, 4.0)])
    model = Surrogate(constant, targets, fit(constant, targets, trends=1))
    one, other = model.predict(np.array([[0.5, 0.5, 4.0], [0.5, 0.5, 9.0]]))[0]
    assert one == pytest.approx(other)


def test_what_is_lost_is_the_error_of_an_accuracy_and_else_the_value() -> None:
    accuracies = np.array([0.7, 0.9, 0.93])
    scale = choose_scale(accuracies, maximise=True)
    assert scale.lost(scale.learned(accuracies)) == pytest.approx([0.3, 0.1, 0.07])
    seconds = np.array([12.0, 30.0, 44.0])
    scale = choose_scale(seconds, maximise=False)
    assert scale.lost(scale.learned(seconds)) == pytest.approx(seconds)


def test_a_number_with_its_best_in_the_middle_is_learned_sooner_where_it_is_said_to_bend() -> None:
    """Forty choices, a trend, and a learning rate whose effect is a narrow parabola."""
    rng = np.random.default_rng(4)

    def draw(n: int) -> tuple[np.ndarray, np.ndarray]:
        choices, rate, size = rng.integers(0, 2, (n, 40)), rng.random(n), rng.standard_normal(n)
        return np.column_stack([choices, rate, size]), size + 12 * (rate - 0.5) ** 2

    features, targets = draw(40)
    new, truth = draw(200)
    bends = np.arange(41) == 40
    errors = [
        np.abs(Surrogate(features, targets, fit(features, targets, 1, said)).predict(new)[0] - truth).mean()
        for said in (bends, None)
    ]
    assert errors[0] < 0.5 * errors[1]
