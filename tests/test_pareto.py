"""The front, its volume and its knee, against brute force, inclusion-exclusion and hand arithmetic."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from nas.errors import UserError
from nas.pareto import hypervolume, knee, non_dominated


def small_integers(objectives: int, most: int = 9) -> st.SearchStrategy[np.ndarray]:
    """Points on a coarse grid, so that ties and duplicates are common."""
    return arrays(
        np.float64, st.tuples(st.integers(0, most), st.just(objectives)), elements=st.integers(0, 5).map(float)
    )


@pytest.mark.parametrize("objectives", [1, 2, 3, 4])
def test_front_is_what_pairwise_comparison_says(objectives: int) -> None:
    @settings(max_examples=100, deadline=None)
    @given(points=small_integers(objectives, 12))
    def check(points: np.ndarray) -> None:
        rows = [tuple(p) for p in points]
        expected = [
            p not in rows[:i] and not any(q != p and all(a <= b for a, b in zip(q, p, strict=True)) for q in rows)
            for i, p in enumerate(rows)
        ]
        assert non_dominated(points).tolist() == expected

    check()


@pytest.mark.parametrize("objectives", [1, 2, 3, 4])
def test_hypervolume_is_inclusion_and_exclusion_of_the_boxes(objectives: int) -> None:
    reference = np.full(objectives, 5.0)

    @settings(max_examples=60, deadline=None)
    @given(points=small_integers(objectives, 7))
    def check(points: np.ndarray) -> None:
        union = 0.0
        for size in range(1, len(points) + 1):
            for chosen in combinations(points, size):
                union -= (-1) ** size * np.prod(np.maximum(reference - np.max(chosen, axis=0), 0.0))
        assert hypervolume(points, reference) == pytest.approx(union, abs=1e-9)

    check()


def test_hypervolume_by_hand() -> None:
    staircase = np.array([[1.0, 3.0], [2.0, 2.0], [3.0, 1.0]])
    assert hypervolume(staircase, np.array([4.0, 4.0])) == 6.0  # columns of height 1, 2 and 3
    cubes = np.array([[0.0, 0.0, 1.0], [1.0, 1.0, 0.0]])
    assert hypervolume(cubes, np.array([2.0, 2.0, 2.0])) == 5.0  # 2x2x1 and 1x1x2, sharing 1x1x1
    assert hypervolume(np.array([[4.0, 0.0]]), np.array([4.0, 4.0])) == 0.0  # on the border
    assert hypervolume(np.empty((0, 3)), np.ones(3)) == 0.0


def test_a_front_of_two_hundred_points_in_four_objectives_takes_less_than_five_seconds() -> None:
    import time

    points = np.abs(np.random.default_rng(0).normal(size=(200, 4)))
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    start = time.process_time()
    volume = hypervolume(1 - points, np.ones(4))
    assert time.process_time() - start < 5
    assert 0 < volume < np.pi**2 / 32  # a sixteenth of the unit 4-ball holds every box


def test_nan_is_never_on_the_front_and_hides_nothing() -> None:
    points = np.array([[np.nan, 0.0], [1.0, 1.0], [2.0, 2.0]])
    assert non_dominated(points).tolist() == [False, True, False]


def test_knee_by_hand() -> None:
    front = np.array([[0.0, 10.0], [1.0, 2.0], [5.0, 1.0], [10.0, 0.0]])
    assert knee(front) == 1  # scaled sums: 1, 0.3, 0.6, 1
    assert knee(front * [1.0, 1000.0] + [7.0, -3.0]) == 1  # units do not matter
    assert knee(np.array([[3.0, 3.0]])) == 0
    assert knee(np.array([[1.0, 5.0], [1.0, 5.0]])) == 0
    with pytest.raises(UserError, match="at least one point"):
        knee(np.empty((0, 2)))


def test_wrong_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match="2 objectives"):
        hypervolume(np.zeros((1, 2)), np.zeros(3))
    with pytest.raises(ValueError, match="shape"):
        non_dominated(np.zeros(3))
