"""Errors on networks held out, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from nas.device.fit.held_out import check, random_folds


def test_errors_of_the_predictor_and_of_both_baselines() -> None:
    """Latencies 10, 20, 30, 40 at 1, 2, 3, 4 MACs; the last one is held out, then the first."""
    cost, macs = np.array([10.0, 20.0, 30.0, 40.0]), np.array([1.0, 2.0, 3.0, 4.0])
    folds = [np.array([3]), np.array([0]), np.array([1, 2])]
    guesses = np.array([20.0, 20.0, 20.0, 30.0])
    found, predicted = check(lambda rest, wanted: guesses[wanted], cost, macs, [folds], "int8", "energy", "x")
    assert predicted.tolist() == guesses.tolist()
    assert found.mean == pytest.approx((1 + 0 + 1 / 3 + 1 / 4) / 4)
    assert found.macs == pytest.approx(0, abs=1e-12)  # they lie on a line
    # medians of the rest: 20 for the last, 30 for the first, 25 for the middle two
    assert found.constant == pytest.approx((2 + 0.25 + 1 / 6 + 0.5) / 4)
    assert (found.precision, found.quantity, found.split, found.networks, found.spread) == ("int8", "energy", "x", 4, 0)


def test_the_predictor_never_sees_what_it_predicts() -> None:
    seen = []

    def predictor(rest: np.ndarray, wanted: np.ndarray) -> np.ndarray:
        seen.append(set(rest) & set(wanted))
        return 1.0 + wanted

    check(
        predictor, np.arange(1.0, 24.0), np.arange(23.0), [random_folds(23, s) for s in (0, 1)], "fp32", "latency", "x"
    )
    assert seen == [set()] * 10


def test_fifths_hold_every_network_once_and_differ_by_seed() -> None:
    first, second = random_folds(23, 0), random_folds(23, 1)
    assert sorted(np.concatenate(first)) == list(range(23)) == sorted(np.concatenate(second))
    assert max(map(len, first)) - min(map(len, first)) <= 1
    assert not np.array_equal(first[0], second[0])
