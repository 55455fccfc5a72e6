"""Networks that cannot be told apart, on trials whose numbers are chosen by hand (tests/runs.py)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from nas.report.ties import expected, expected_text, guided, preferred, tied, tied_with, ties_of_best, told_apart
from nas.run import Trial
from tests.runs import settings, trial


def known(number: int, accuracy: float, deviation: float | None, ms: float) -> Trial:
    return replace(trial(number, 0.5, ms, ms), expected_accuracy=accuracy, accuracy_deviation=deviation)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ((0.960, 0.006), (0.953, 0.008), True),  # 0.7 of the difference's deviation, which is 0.010: 6, 8, 10
        ((0.960, 0.006), (0.952, 0.008), False),
        ((0.952, 0.008), (0.960, 0.006), False),
        ((0.960, 0.0), (0.960, 0.0), True),
        ((0.960, None), (0.960, 0.01), False),  # nothing is said where it is not known
        ((0.960, None), (0.959, None), False),
    ],
)
def test_two_networks_are_tied_by_the_deviation_of_their_difference(
    one: tuple[float, float | None], other: tuple[float, float | None], same: bool
) -> None:
    assert tied(known(0, *one, 10.0), known(1, *other, 20.0)) == same


def test_the_measured_accuracy_counts_where_no_other_is_known() -> None:
    assert expected(trial(0, 0.5, 10.0, 1.0)) == 0.5 and expected_text(trial(0, 0.5, 10.0, 1.0)) == "50.0%"
    assert expected(known(0, 0.96, 0.01, 10.0)) == 0.96 and expected_text(known(0, 0.96, 0.01, 10.0)) == "96.0 ±1.0%"


def test_ties_of_the_best_are_cheapest_first_and_none_is_beaten() -> None:
    """Trial 4 is tied only because little is known of it: trial 3 is more accurate and cheaper, and can be told."""
    among = [
        known(0, 0.960, 0.010, 50.0), known(1, 0.955, 0.010, 30.0), known(2, 0.951, 0.010, 20.0),
        known(3, 0.930, 0.010, 10.0), known(4, 0.920, 0.200, 15.0), known(5, 0.955, 0.010, 40.0),
    ]  # fmt: skip
    assert tied(among[4], among[0])
    assert [t.trial for t in ties_of_best(among, settings())] == [2, 1, 0]
    assert [t.trial for t in ties_of_best(among, settings(), deviations=0.0)] == [0]
    assert [t.trial for t in ties_of_best(among[3:4], settings())] == [3]


def test_with_a_guide_every_tie_counts_and_the_guide_decides() -> None:
    among = [known(0, 0.960, 0.010, 50.0), known(1, 0.955, 0.010, 30.0), known(2, 0.951, 0.010, 20.0),
             known(3, 0.900, 0.010, 10.0), known(5, 0.955, 0.010, 40.0)]  # fmt: skip
    scored = [replace(t, guide_score=score) for t, score in zip(among, (0.5, 0.6, 0.7, 0.99, 0.9), strict=True)]
    ties = ties_of_best(scored, settings())
    assert [t.trial for t in ties] == [2, 1, 5, 0]  # 3 promises most, but is less accurate
    assert preferred(ties).trial == 5
    assert preferred(ties_of_best(among, settings())).trial == 2
    assert not guided([*scored, among[0]]) and preferred([scored[0], among[1]]).trial == 0


def test_the_first_cost_of_the_search_decides_what_is_cheap() -> None:
    fast, frugal = known(0, 0.955, 0.01, 10.0), known(1, 0.96, 0.01, 20.0)
    frugal = replace(frugal, costs=replace(frugal.costs, energy_mj=1.0))
    by_latency, by_energy = (
        ties_of_best([fast, frugal], settings(objectives=("accuracy", *costs)))
        for costs in (("latency", "energy"), ("energy", "latency"))
    )
    assert [t.trial for t in by_latency] == [0, 1] and [t.trial for t in by_energy] == [1]


def test_who_on_a_front_is_tied_with_whom() -> None:
    front = [known(0, 0.90, 0.01, 10.0), known(1, 0.905, 0.01, 20.0), known(2, 0.912, 0.01, 30.0),
             known(3, 0.96, 0.01, 40.0)]  # fmt: skip
    assert tied_with(front) == {0: (), 1: (0,), 2: (1,), 3: ()}
    assert told_apart(front) == 3  # 0, 2 and 3
    assert told_apart([]) == 0
