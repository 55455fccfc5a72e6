"""Designs: which networks are labelled first."""

from __future__ import annotations

from typing import get_args

import numpy as np
import pytest

from nas.estimate.design import RIDGE, Design, choose_design

X = np.random.default_rng(0).normal(size=(30, 4))


@pytest.mark.parametrize("design", get_args(Design))
def test_a_design_has_distinct_networks_and_begins_with_those_of_a_smaller_one(design: Design) -> None:
    ten = choose_design(X, 10, design, seed=3)
    assert len(set(ten.tolist())) == 10 and ten.tolist() == choose_design(X, 20, design, seed=3)[:10].tolist()
    assert sorted(choose_design(X, 30, design).tolist()) == list(range(30))
    assert len(choose_design(X, 0, design)) == 0
    assert ten[0] != choose_design(X, 1, design, seed=4)[0]
    with pytest.raises(ValueError, match="at most the 30 networks"):
        choose_design(X, 31, design)


def test_each_step_of_d_optimal_maximises_the_determinant() -> None:
    chosen = choose_design(X, 8, "d-optimal")
    for n in range(1, 8):
        had = RIDGE * np.eye(4) + X[chosen[:n]].T @ X[chosen[:n]]
        left = [i for i in range(30) if i not in chosen[:n]]
        determinants = [np.linalg.det(had + np.outer(X[i], X[i])) for i in left]
        assert left[int(np.argmax(determinants))] == chosen[n]


def test_spread_takes_what_is_farthest_from_all_before() -> None:
    corners = np.array([[0.0, 0], [0, 0.1], [10, 0], [0, 10], [10, 10], [9.9, 9.9]])
    chosen = choose_design(corners, 4, "spread", seed=0).tolist()
    groups = [{0, 1}, {2}, {3}, {4, 5}]
    assert sorted(next(i for i, g in enumerate(groups) if c in g) for c in chosen) == [0, 1, 2, 3]


def test_the_same_network_is_not_taken_twice_where_all_are_alike() -> None:
    assert sorted(choose_design(np.zeros((4, 2)), 4, "d-optimal").tolist()) == [0, 1, 2, 3]
