"""Accuracies moved by log-losses: nearer to the truth where these tell something, and not far from it where not."""

import numpy as np
import pytest

from nas.estimate.by_log_loss import by_log_loss

IMAGES = 300


def drawn(rng: np.random.Generator, spread: float, n: int = 40) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """True accuracies (n,), counted ones, and log-losses that go with the truth up to a spread of their logarithm."""
    error = 0.1 * np.exp(0.3 * rng.standard_normal(n))
    return 1 - error, 1 - rng.binomial(IMAGES, error) / IMAGES, 3 * error * np.exp(spread * rng.standard_normal(n))


def rms(values: np.ndarray) -> float:
    return float(np.sqrt((values**2).mean()))


@pytest.mark.parametrize(("spread", "least", "most"), [(0.03, 0.0, 0.7), (0.2, 0.0, 0.95), (3.0, 0.7, 1.1)])
def test_how_far_accuracies_are_from_the_truth(spread: float, least: float, most: float) -> None:
    rng = np.random.default_rng(0)
    ratios = []
    for _ in range(40):
        truth, counted, losses = drawn(rng, spread)
        ratios.append(rms(by_log_loss(list(counted), list(losses), IMAGES) - truth) / rms(counted - truth))
    assert least < np.mean(ratios) < most


@pytest.mark.parametrize("losses", [[0.5] * 10, [0.0, *[0.5] * 9]])
def test_log_losses_that_tell_nothing_leave_accuracies_as_they_are(losses: list[float]) -> None:
    accuracies = list(np.linspace(0.5, 0.9, 10))
    assert list(by_log_loss(accuracies, losses, IMAGES)) == accuracies


def test_few_trainings_have_no_line() -> None:
    assert list(by_log_loss([0.5, 0.6, 0.7], [1.0, 0.9, 0.8], IMAGES)) == [0.5, 0.6, 0.7]


@pytest.mark.parametrize("accuracy", [0.0, 1.0])
def test_all_right_and_all_wrong_stay_accuracies(accuracy: float) -> None:
    moved = by_log_loss([accuracy] * 9 + [0.5], list(np.linspace(0.1, 2, 10)), IMAGES)
    assert ((moved >= 0) & (moved <= 1)).all()
