"""The latency chart: how soon it finds a slower network, how seldom it is wrong, and what explains a change to it."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from nas.monitor.serve.latency import BURN_IN, GROUP, PATIENCE, LatencyChart


def times(frames: int, factor: float = 1.0, *, seed: int) -> np.ndarray:
    """Milliseconds with a heavy tail: one of a hundred takes a thousand times the usual."""
    rng = np.random.default_rng(seed)
    usual = 0.07 * np.exp(0.12 * rng.standard_normal(frames))
    return factor * np.where(rng.random(frames) < 0.01, 1000 * usual, usual)


def run(chart: LatencyChart, values: np.ndarray) -> list[tuple[int, dict]]:
    return [(n, event) for n, ms in enumerate(values) for event in chart.add(float(ms))]


def burnt_in(seed: int = 0) -> LatencyChart:
    chart = LatencyChart()
    assert run(chart, times(BURN_IN * GROUP, seed=seed)) == []
    return chart


def test_a_quarter_slower_is_found_in_about_two_medians():
    delays = []
    for seed in range(20):
        chart = burnt_in(seed)
        found = run(chart, times(20 * GROUP, 1.25, seed=100 + seed))
        alarm = found[0][1]
        assert (alarm["kind"], alarm["chart"]) == ("alarm", "latency")
        assert alarm["value"] == pytest.approx(1.25, rel=0.12)
        delays.append(found[0][0] + 1)
    assert np.median(delays) <= 64
    assert max(delays) <= 4 * GROUP


def test_heavy_tails_alone_raise_nothing_in_a_hundred_thousand_frames():
    assert [event for seed in range(4) for _, event in run(burnt_in(seed), times(25_000, seed=200 + seed))] == []


def test_one_slow_median_is_not_an_alarm_and_an_end_is_said_once():
    chart = burnt_in()
    assert run(chart, times(GROUP, 50.0, seed=1)) == []
    assert run(chart, times(10 * GROUP, seed=2)) == []
    kinds = [e["kind"] for _, e in run(chart, np.concatenate([times(640, 1.5, seed=3), times(1280, seed=4)]))]
    assert kinds == ["alarm", "profile", "clear"]


@pytest.mark.parametrize(
    ("usual", "now", "explained"),
    [
        ((55.0, 1800.0, []), (56.0, 1200.0, []), "1200 MHz"),
        ((55.0, None, []), (82.0, None, []), "82 C"),
        ((55.0, 1800.0, []), (60.0, 1800.0, ["under-voltage"]), "under-voltage"),
        ((55.0, 1800.0, []), (82.0, 1800.0, []), None),  # hot, but the clock runs as ever
        ((55.0, 1800.0, []), (56.0, 1650.0, []), None),  # a clock slower by 9% does not explain half as long again
        ((None, None, []), (None, None, []), None),
    ],
)
def test_only_what_health_does_not_explain_asks_for_a_profile(usual, now, explained):
    chart = LatencyChart()
    chart.health(*usual)
    run(chart, times(BURN_IN * GROUP, seed=5))
    chart.health(*now)
    events = [event for _, event in run(chart, times(5 * GROUP, 1.5, seed=6))]
    chart.health(*now)  # as it is read after the alarm
    events += [event for _, event in run(chart, times(3 * GROUP, 1.5, seed=7))]
    if explained is None:
        assert [e["kind"] for e in events] == ["alarm", "profile"]
        assert events[0]["explained"] is None
    else:
        assert [e["kind"] for e in events] == ["alarm"]
        assert explained in events[0]["explained"]


def computing(values: np.ndarray, factor: float = 1.0) -> list[float]:
    """Processor time of inferences: no other program makes it longer."""
    return [float(min(ms, 0.1 * factor)) for ms in values]


@pytest.mark.parametrize(("factor", "explained"), [(1.0, True), (1.05, True), (1.6, False)])
def test_waiting_for_other_programs_is_told_from_a_network_that_computes_longer(factor, explained):
    chart, usual = LatencyChart(), times(BURN_IN * GROUP, seed=21)
    chart.health(55.0, 1800.0, [])
    for ms, own in zip(usual, computing(usual), strict=True):
        assert chart.add(float(ms), own) == []
    events = []
    for ms in times(8 * GROUP, 1.7, seed=22):
        events += chart.add(float(ms), 0.07 * factor)
        chart.health(55.0, 1800.0, [])
    assert [e["kind"] for e in events] == (["alarm"] if explained else ["alarm", "profile"])
    assert (events[0]["explained"] or "").startswith("load: it waits for other programs") == explained


def test_processor_time_says_nothing_where_the_network_does_not_run_on_this_thread():
    chart = LatencyChart()
    for ms in times(BURN_IN * GROUP, seed=23):
        chart.add(float(ms), 0.001)
    events = [event for ms in times(8 * GROUP, 1.7, seed=24) for event in chart.add(float(ms), 0.001)]
    assert [e["kind"] for e in events] == ["alarm", "profile"] and events[0]["explained"] is None


@pytest.mark.parametrize(("before", "now", "explained"), [(0.05, 0.6, True), (0.5, 0.6, False), (None, 0.6, True)])
def test_other_programs_that_share_the_processors_explain_a_slowdown(before, now, explained):
    chart = LatencyChart()
    chart.health(None, None, [], before)
    run(chart, times(BURN_IN * GROUP, seed=25))
    events = run(chart, times(3 * GROUP, 1.5, seed=26))
    assert len(events) == 1
    chart.health(None, None, [], now)
    events += run(chart, times(8 * GROUP, 1.5, seed=27))
    assert [e["kind"] for _, e in events] == (["alarm"] if explained else ["alarm", "profile"])


def test_the_profile_waits_for_what_the_board_says_and_for_what_explains_it_to_end():
    chart = LatencyChart()
    chart.health(55.0, 1800.0, [], 0.0)
    run(chart, times(BURN_IN * GROUP, seed=28))
    found = run(chart, times(10 * GROUP, 1.5, seed=29))
    assert [e["kind"] for _, e in found] == ["alarm"], "what the board said is older than the alarm"
    chart.health(55.0, 1800.0, [], 0.9)
    assert run(chart, times(10 * GROUP, 1.5, seed=30)) == []
    chart.health(55.0, 1800.0, [], 0.0)
    found = run(chart, times(40 * GROUP, 1.5, seed=31))
    assert [(n // GROUP, e["kind"]) for n, e in found] == [(PATIENCE - 1, "profile")], "once"


def test_an_alarm_says_how_long_an_inference_takes_though_one_median_was_usual():
    """It said 1.02 times the usual, which is no reason for an alarm."""
    chart = burnt_in()
    parts = [times(GROUP, factor, seed=40 + n) for n, factor in enumerate((1.0, 3.0, 1.0, 3.0))]
    found = run(chart, np.concatenate(parts))
    assert [e["kind"] for _, e in found] == ["alarm"] and found[0][1]["value"] > 2.5


def test_a_new_process_goes_on_where_the_old_one_was():
    values = np.concatenate([times(1000, seed=7), times(700, 1.3, seed=8), times(900, seed=9)])
    whole, parts = LatencyChart(), LatencyChart()
    expected = [event for _, event in run(whole, values)]
    found = []
    for n, ms in enumerate(values):
        found += parts.add(float(ms))
        if n % 77 == 0:
            parts = LatencyChart(json.loads(json.dumps(parts.state(), allow_nan=False)))
    assert found == expected
    assert [e["kind"] for e in expected] == ["alarm", "profile", "clear"]


def test_times_that_are_none_are_left_out():
    chart = burnt_in()
    before = chart.state()
    for ms in (0.0, -1.0, math.nan, math.inf):
        assert chart.add(ms) == []
    assert chart.state() == before
