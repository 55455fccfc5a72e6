"""AP50 without labels, from how far a detector's scores are from those of validation pictures."""

from __future__ import annotations

import numpy as np
import pytest

from nas.monitor.precision import KINDS, precision_reference
from nas.monitor.serve.objects import NAMES
from nas.monitor.serve.precision import Distances, PrecisionEstimator, distances_of
from nas.monitor.shifts import shifts

SIZE = len(NAMES) + 6
FAR = (0.3, 0.9, 1.5)


def frames(count: int, rng: np.random.Generator, far: float = 0.0) -> np.ndarray:
    return rng.standard_normal((count, SIZE)) + far


def made(cost: float = 0.3, luck: float = 0.0) -> dict[str, np.ndarray]:
    """Every family moves everything alike, and costs so much of AP50 for one deviation."""
    rng = np.random.default_rng(0)
    changed = [(f, frames(100, rng, far), 0.6 - cost * far + luck * rng.normal()) for f in KINDS for far in FAR]
    return precision_reference(frames(500, rng), 0.6, changed)


def test_distances_by_hand() -> None:
    scores = np.zeros((1, SIZE))
    scores[0, : len(NAMES)], scores[0, len(NAMES) :] = 3, 4
    found = distances_of(scores, np.ones(SIZE), np.full(SIZE, 2.0))
    assert found == pytest.approx(np.log([[1.0, 2.25]]), abs=1e-5)


def test_what_shifts_cost_is_estimated_with_an_interval_that_holds_it() -> None:
    estimator, rng = PrecisionEstimator(made()), np.random.default_rng(1)
    for far in (0.0, 0.5, 1.0, 1.4):
        found = estimator.estimate(estimator.distances(frames(500, rng, far)))
        assert found.low <= 0.6 - 0.3 * far <= found.high and found.trusted
        assert found.accuracy == pytest.approx(0.6 - 0.3 * far, abs=0.07)


def test_few_frames_and_frames_far_from_all_that_was_tried_are_not_trusted() -> None:
    estimator, rng = PrecisionEstimator(made()), np.random.default_rng(2)
    many, few = (estimator.estimate(estimator.distances(frames(n, rng, 0.5))) for n in (500, 50))
    assert many.trusted and not few.trusted
    assert few.high - few.low == pytest.approx(2 * (many.high - many.low))
    assert not estimator.estimate(estimator.distances(frames(500, rng, 9.0))).trusted


def test_there_is_no_estimate_where_it_says_too_little() -> None:
    assert made(luck=0.0) and made(cost=0.0, luck=0.2) == {}, "AP50 that has nothing to do with the scores"
    rng = np.random.default_rng(3)
    few = [(family, frames(50, rng, 0.5), 0.4) for family in ("gaussian-noise", "contrast")] * 3
    assert precision_reference(frames(100, rng), 0.6, few) == {}


def test_every_shift_is_of_a_kind_and_no_kind_is_alone() -> None:
    assert set(KINDS) == set(shifts())
    assert all(list(KINDS.values()).count(kind) > 1 for kind in KINDS.values())


def test_the_last_500_frames_are_remembered() -> None:
    last = Distances()
    for n in range(40):
        last.add(np.full((16, 2), float(n)))
    assert len(last.values) == 500 and last.values[-1, 0] == 39 and last.values[0, 0] == 8
    assert np.array_equal(Distances(last.state()).values, last.values) and len(Distances(None).values) == 0
