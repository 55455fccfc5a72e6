"""Networks that cannot be told apart, on trials whose numbers are chosen by hand (tests/runs.py), and intervals."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import norm

from nas.estimate.uncertainty import believe
from nas.report.ties import bias_share, expected_text, guided, interval, preferred, tied_with, ties_of_best, told_apart
from nas.run import Trial, expected, tied
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
    assert expected(trial(0, 0.5, 10.0, 1.0)) == 0.5 and expected_text(trial(0, 0.5, 10.0, 1.0), 100) == "50.0%"
    assert expected(known(0, 0.96, 0.01, 10.0)) == 0.96


@pytest.mark.parametrize(
    ("accuracy", "deviation", "images", "text"),
    [
        (0.96, 0.01, 0, "96.0 ±1.0%"),  # nobody knows of how many images
        (0.90, 0.04, 100, "90.0 ±5.0%"),  # 3, 4, 5
        (0.90, 0.0, 100, "90.0 ±3.0%"),
        (0.50, 0.0, 2500, "50.0 ±1.0%"),
        (1.0, 0.002, 100, "100.0 ±0.2%"),
        (0.90, None, 100, "90.0%"),
    ],
)
def test_the_interval_is_that_of_new_images(accuracy: float, deviation: float | None, images: int, text: str) -> None:
    assert expected_text(known(0, accuracy, deviation, 10.0), images) == text


def test_intervals_hold_accuracies_on_new_images() -> None:
    """Networks of known accuracy, validated on the same few images, some of which are hard for nearly all of them."""
    rng, images = np.random.default_rng(0), 287
    inside: list[list[bool]] = []
    inside_same: list[list[bool]] = []
    for _ in range(40):
        features = rng.uniform(size=(25, 2))
        truth = 0.985 - 0.1 * features[:, 0] - 0.05 * rng.uniform(size=25)
        ease = 0.98 * rng.standard_normal(images) + math.sqrt(1 - 0.98**2) * rng.standard_normal((25, images))
        beliefs = believe([[x] for x in (ease < norm.ppf(truth)[:, None]).mean(axis=1)], features, images)
        trials = [
            known(i, *map(float, b), 1.0) for i, b in enumerate(zip(beliefs.mean, beliefs.deviation, strict=True))
        ]
        off = [abs(expected(t) - p) for t, p in zip(trials, truth, strict=True)]
        inside.append([o < 1.645 * (interval(t, images) or 0) for o, t in zip(off, trials, strict=True)])
        inside_same.append([o < 1.645 * (t.accuracy_deviation or 0) for o, t in zip(off, trials, strict=True)])
    assert 0.84 < np.mean(inside) < 0.97
    assert np.mean(inside_same) < 0.75  # the deviation on the shared images does not hold them


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


def test_a_guide_counts_less_the_longer_trainings_are() -> None:
    proxies = (
        {"epochs": 1, "data_share": 0.01},
        {"epochs": 1, "data_share": 1.0},
        {"epochs": 500, "data_share": 1.0},
        {},
    )
    assert [round(settings(proxy=proxy).guide_weight, 2) for proxy in proxies] == [0.99, 0.5, 0.03, 0.0]


def test_with_a_guide_every_tie_counts_and_what_is_promised_decides() -> None:
    among = [known(0, 0.960, 0.010, 50.0), known(1, 0.955, 0.010, 30.0), known(2, 0.951, 0.010, 20.0),
             known(3, 0.900, 0.010, 10.0), known(5, 0.955, 0.010, 40.0)]  # fmt: skip
    scored = [replace(t, guide_score=score) for t, score in zip(among, (0.5, 0.6, 0.7, 0.99, 0.9), strict=True)]
    ties = ties_of_best(scored, settings())
    assert [t.trial for t in ties] == [2, 1, 5, 0]  # 3 promises most, but is clearly less accurate
    worse = [*scored, replace(known(6, 0.935, 0.010, 15.0), guide_score=0.8)]  # by 1.8 deviations of the difference
    assert [t.trial for t in ties_of_best(worse, settings())] == [6, 2, 1, 5, 0]
    assert [t.trial for t in ties_of_best(worse, settings(), deviations=0.7)] == [2, 1, 5, 0]
    assert preferred(ties).trial == 5  # by the guide: an older run has no promise
    told = [replace(t, promise=p) for t, p in zip(ties, (0.7, 0.8, 0.6, 0.75), strict=True)]
    assert preferred(told).trial == 1
    assert preferred(ties_of_best(among, settings())).trial == 2
    assert not guided([*scored, among[0]]) and preferred([scored[0], among[1]]).trial == 0


def test_short_trainings_are_biased_however_often_they_are_repeated() -> None:
    """At 50% the bias is 1.5 points of each network, so of a difference 2.1: two deviations are 4.2 points."""
    best = replace(known(0, 0.50, 0.001, 50.0), guide_score=0.1)
    others = [replace(known(n, a, 0.001, 10.0 + n), guide_score=0.9) for n, a in ((1, 0.452), (2, 0.463), (3, 0.498))]
    short = settings(proxy={"epochs": 1, "data_share": 0.13})
    assert [t.trial for t in ties_of_best([best, *others], short)] == [2, 3, 0]
    long = settings(proxy={"epochs": 300, "data_share": 1.0})
    assert [t.trial for t in ties_of_best([best, *others], long)] == [3, 0], "the bias is below 0.1 points"
    assert bias_share(short) == pytest.approx(0.06, rel=0.01)
    assert bias_share(settings(proxy={"epochs": 15, "data_share": 1.0})) == 0.03
    assert bias_share(settings(proxy={})) == bias_share(settings(proxy={"epochs": 3})) == 0.0
    without = [replace(t, guide_score=None) for t in (best, *others)]
    assert [t.trial for t in ties_of_best(without, short)] == [0], "nobody else knows better"


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
