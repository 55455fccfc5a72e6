"""The front without networks that cannot be told from a cheaper one: its properties, whatever the trials are."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from nas.run import Front, Settings, Trial, distinct, expected, pareto_trials, tied
from tests.runs import settings, trial

OBJECTIVES = (("accuracy", "latency"), ("accuracy", "latency", "energy"), ("accuracy", "robust-accuracy", "energy"),
              ("energy", "accuracy", "latency", "robust-accuracy"), ("accuracy", "robust-accuracy"))  # fmt: skip
EXACT = settings(objectives=OBJECTIVES[0])


def known(number: int, accuracy: float, deviation: float | None, ms: float, mj: float = 1.0) -> Trial:
    return replace(trial(number, 0.5, ms, mj), expected_accuracy=accuracy, accuracy_deviation=deviation)


def numbers(trials: Sequence[Trial]) -> list[int]:
    return [t.trial for t in trials]


@st.composite
def some_trials(draw: st.DrawFn) -> list[Trial]:
    """On coarse grids, so that equal accuracies, costs and whole networks are common."""
    drawn = draw(st.lists(st.tuples(*[st.integers(0, 6)] * 5), max_size=14))
    return [
        replace(
            known(i, 0.5 + 0.05 * a, [0.0, 0.01, 0.04, 0.05, 0.06, 0.1, 0.3][d], 1.0 + ms, 1.0 + mj),
            robust_accuracy=0.1 * robust,
        )
        for i, (a, d, ms, mj, robust) in enumerate(drawn)
    ]  # fmt: skip


def no_dearer(one: Trial, other: Trial, given: Settings) -> bool:
    return all(one.value(c) <= other.value(c) for c in given.costs)


@pytest.mark.parametrize("objectives", OBJECTIVES)
def test_kept_ones_are_told_apart_and_left_ones_are_tied_with_a_kept_one(objectives: tuple[str, ...]) -> None:
    asked = settings(objectives=objectives)
    robust = "robust-accuracy" in objectives

    @hypothesis_settings(max_examples=150, deadline=None)
    @given(trials=some_trials(), seed=st.integers(0, 99))
    def check(trials: list[Trial], seed: int) -> None:
        front = pareto_trials(trials, asked)
        kept = distinct(front, asked)
        assert [t for t in front if t in kept] == list(kept) and bool(kept) == bool(front)
        for t in kept:
            for other in kept:
                if other is t or not no_dearer(other, t, asked):
                    continue
                if no_dearer(t, other, asked) and expected(other) <= expected(t):
                    continue  # of equal costs the more accurate comes first
                better = expected(t) > expected(other) and not tied(t, other)
                assert better or (robust and t.value("robust_accuracy") > other.value("robust_accuracy"))
        for t in set(front) - set(kept):
            assert any(no_dearer(k, t, asked) and expected(k) <= expected(t) and tied(k, t) for k in kept)
        for t in front:
            if not any(no_dearer(other, t, asked) for other in front if other is not t):
                assert t in kept  # the cheapest
        if front and not robust:
            best = max(front, key=expected)
            assert best in kept or any(no_dearer(k, best, asked) and tied(k, best) for k in kept)
        shuffled = random.Random(seed).sample(trials, len(trials))
        assert numbers(Front(asked, shuffled).distinct) == numbers(kept)
        assert {*distinct(front[::-1], asked)} == {*kept}

    check()


@pytest.mark.parametrize(
    ("accuracies", "deviations", "kept"),
    [
        ((0.90, 0.91, 0.92, 0.93), 0.0102, [0, 2]),  # 0.7 * sqrt(2) * 0.0102: a little over 0.01
        ((0.90, 0.91, 0.92, 0.93), 0.01, [0, 1, 2, 3]),
        ((0.90, 0.91, 0.92, 0.93), 0.5, [0]),
        ((0.90, 0.91, 0.92, 0.93), None, [0, 1, 2, 3]),
        ((0.90, 0.91, 0.92, 0.93), 0.0, [0, 1, 2, 3]),
    ],
)
def test_from_the_cheapest_up(accuracies: tuple[float, ...], deviations: float | None, kept: list[int]) -> None:
    front = [known(i, a, deviations, 1.0 + i) for i, a in enumerate(accuracies)]
    assert numbers(distinct(front, EXACT)) == kept


def test_a_network_that_is_cheaper_in_one_cost_stays() -> None:
    front = [known(0, 0.90, 0.1, 1.0, 5.0), known(1, 0.91, 0.1, 2.0, 4.0), known(2, 0.92, 0.1, 3.0, 4.5)]
    assert numbers(distinct(front, settings(objectives=OBJECTIVES[1]))) == [0, 1]  # 2 is dearer than 1 in both
    assert numbers(distinct(front, EXACT)) == [0]


def test_a_gain_in_an_objective_of_unknown_deviation_is_one() -> None:
    front = [replace(known(i, 0.9 + 0.001 * i, 0.1, 1.0 + i), robust_accuracy=r) for i, r in enumerate((0.5, 0.6, 0.6))]
    assert numbers(distinct(front, settings(objectives=("accuracy", "robust-accuracy", "latency")))) == [0, 1]
    assert numbers(distinct(front, settings(objectives=("robust-accuracy", "latency")))) == [0, 1, 2]  # no accuracy


def test_one_whose_deviation_is_not_known_is_told_from_all() -> None:
    front = [known(0, 0.90, 0.1, 1.0), known(1, 0.91, None, 2.0), known(2, 0.92, 0.1, 3.0)]
    assert numbers(distinct(front, EXACT)) == [0, 1]
