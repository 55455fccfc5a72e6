"""A chart's false alarms and delays on streams whose law is known, its burn-in, its hold-off, and its state."""

from __future__ import annotations

import json

import numpy as np
import pytest

from nas.monitor.limits import chart_reference
from nas.monitor.serve.charts import BURN_IN, GROUP, HOLD_OFF, Chart

CLASSES, SIZE = 10, 4
BURNT = BURN_IN * GROUP


def drawn(labels: np.ndarray, rng: np.random.Generator, far: float = 1.0) -> np.ndarray:
    """Statistics (n, 4) with heavy tails; the mean of the first two depends on the class."""
    means = np.random.default_rng(99).standard_normal((CLASSES, SIZE)) * [far, far, 0, 0]
    return means[labels] + rng.standard_t(4, (len(labels), SIZE))


@pytest.fixture(scope="module")
def reference() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, CLASSES, 2000)
    predicted = np.where(rng.random(2000) < 0.3, rng.integers(0, CLASSES, 2000), labels)
    return chart_reference(drawn(labels, rng), predicted, labels, CLASSES, weight=0.05)


def frames(kind: str, count: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    labels = rng.integers(0, CLASSES, count)
    if kind == "runs":
        labels = np.repeat(rng.integers(0, CLASSES, count // 50), 50)
    if kind == "three":
        labels = rng.choice(rng.choice(CLASSES, 3, replace=False), count)
    predicted = np.where(rng.random(count) < 0.3, rng.integers(0, CLASSES, count), labels)
    return labels, predicted


def run(chart: Chart, values: np.ndarray, predicted: np.ndarray) -> list[tuple[int, str]]:
    return [
        (n + GROUP, event["kind"])
        for n in range(0, len(values) - GROUP + 1, GROUP)
        for event in chart.add(values[n : n + GROUP], predicted[n : n + GROUP])
    ]


@pytest.mark.parametrize(("kind", "most"), [("independent", 1), ("runs", 5), ("three", 5)])
def test_false_alarms_after_the_burn_in_are_as_seldom_as_promised(kind: str, most: int, reference: dict) -> None:
    alarms = 0
    for seed in range(4):
        rng = np.random.default_rng([seed, 1])
        labels, predicted = frames(kind, BURNT + 10_000, rng)
        found = run(Chart("picture", reference), drawn(labels, rng), predicted)
        alarms += sum(kind == "alarm" and at > BURNT for at, kind in found)
    assert alarms <= most * 4


def test_a_change_of_one_and_a_half_deviations_is_found_within_fifty_frames(reference: dict) -> None:
    delays = []
    for seed in range(9):
        rng = np.random.default_rng([seed, 2])
        labels, predicted = frames("runs" if seed % 2 else "independent", BURNT, rng)
        chart = Chart("picture", reference)
        run(chart, drawn(labels, rng), predicted)
        labels, predicted = frames("independent", 480, rng)
        moved = drawn(labels, rng) + np.array([0, 0, 1.5 * np.sqrt(2), 1.5 * np.sqrt(2)])  # a t of 4 has variance 2
        delays.append(next(at for at, kind in run(chart, moved, predicted) if kind == "alarm"))
    assert np.median(delays) <= 48


def test_an_alarm_is_said_once_and_its_end_once_after_the_hold_off(reference: dict) -> None:
    rng = np.random.default_rng(3)
    parts = [(BURNT, 0.0), (800, 4.0), (1600, 0.0), (160, 4.0), (800, 0.0)]
    chart, events, at = Chart("picture", reference), [], 0
    for count, far in parts:
        labels, predicted = frames("independent", count, rng)
        events += [(at + n, kind) for n, kind in run(chart, drawn(labels, rng) + far, predicted)]
        at += count
    assert [kind for _, kind in events] == ["alarm", "clear"] * 2
    assert events[1][0] >= BURNT + 800 + HOLD_OFF * GROUP


def test_one_odd_picture_is_no_alarm(reference: dict) -> None:
    rng = np.random.default_rng(4)
    labels, predicted = frames("independent", BURNT + 1600, rng)
    values = drawn(labels, rng)
    values[BURNT + 800] = 1e6
    assert run(Chart("picture", reference), values, predicted) == []


def test_a_camera_of_its_own_is_taken_for_usual_after_the_burn_in(reference: dict) -> None:
    """Its pictures differ from validation's from the first frame: that is said, then it is what is usual."""
    rng = np.random.default_rng(5)
    chart = Chart("picture", reference)
    labels, predicted = frames("independent", 4 * BURNT + 8000, rng)
    found = run(chart, drawn(labels, rng) + 3.0, predicted)
    assert [kind for _, kind in found] == ["alarm", "clear"]
    assert chart.burnt_in and not chart.alarmed
    labels, predicted = frames("independent", 160, rng)
    assert run(chart, drawn(labels, rng), predicted)[0][1] == "alarm"


def test_a_slow_camera_widens_its_limit(reference: dict) -> None:
    """Each picture stands for twenty frames: the chart is not made for that, and the burn-in sees it."""
    rng = np.random.default_rng(6)
    alarms, limits = 0, []
    for _ in range(4):
        labels, predicted = frames("independent", (BURNT + 10_000) // 20, rng)
        chart = Chart("picture", reference)
        found = run(chart, np.repeat(drawn(labels, rng), 20, axis=0), np.repeat(predicted, 20))
        alarms += sum(kind == "alarm" and at > BURNT for at, kind in found)
        limits.append(chart.limit)
    assert min(limits) > 2 * reference["limit"].max()
    assert alarms <= 20


def test_a_new_process_goes_on_where_the_old_one_was(reference: dict) -> None:
    rng = np.random.default_rng(7)
    labels, predicted = frames("independent", BURNT + 1600, rng)
    values = drawn(labels, rng)
    values[-800:] += 2
    whole, chart, found = Chart("picture", reference), Chart("picture", reference), []
    expected = run(whole, values, predicted)
    for n in range(0, len(values) - GROUP + 1, GROUP):
        found += [(n + at, kind) for at, kind in run(chart, values[n : n + GROUP], predicted[n : n + GROUP])]
        chart = Chart("picture", reference, json.loads(json.dumps(chart.state(), allow_nan=False)))
    assert found == expected and [kind for _, kind in found] == ["alarm"]


@pytest.mark.parametrize("far", [0.0, 4.0])
def test_a_new_process_looks_again_whether_an_alarm_still_holds(far: float, reference: dict) -> None:
    """However far the pictures were when the process before it ended, by a hundred or so usual ones."""
    rng = np.random.default_rng(8)
    labels, predicted = frames("independent", BURNT + 320, rng)
    chart, values = Chart("picture", reference), drawn(labels, rng)
    values[BURNT:] += 1000
    assert [kind for _, kind in run(chart, values, predicted)] == ["alarm"]
    again = Chart("picture", reference, json.loads(json.dumps(chart.state(), allow_nan=False)))
    labels, predicted = frames("independent", 320, rng)
    found = run(again, drawn(labels, rng) + far, predicted)
    assert again.alarmed == (far > 0) and found == ([] if far else [(HOLD_OFF * GROUP, "clear")])


def test_the_weighted_mean_and_t2_by_hand() -> None:
    """One statistic, weight 0.5, unit variance: after values of 1 the mean is 1 - 2^-16, T2 that squared over 1/3."""
    reference = {
        "weight": np.array(0.5), "means": np.zeros((1, 1)), "scale": np.ones(1), "center": np.zeros(1),
        "metric": np.full((1, 1, 1), 3.0), "limit": np.array([2.0]), "typical": np.array([1.0]),
    }  # fmt: skip
    chart = Chart("picture", reference)
    events = chart.add(np.ones((GROUP, 1)), np.zeros(GROUP, int))
    assert chart.z[0] == pytest.approx(1 - 2.0**-GROUP)
    assert events == []  # 3 is not above 1.5 times 2, the limit in the burn-in
    chart = Chart("picture", reference | {"limit": np.array([1.9])})
    assert chart.add(np.ones((GROUP, 1)), np.zeros(GROUP, int))[0]["value"] == pytest.approx(3.0)
