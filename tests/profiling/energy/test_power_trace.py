"""Integrals of known shapes, and the meter's clock found from the load pattern."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nas.errors import UserError
from nas.profiling.agent.energy import BARKER, PATTERN_STEP_S
from nas.profiling.energy.power_trace import Trace, align, integrate

BOARD = 1.7e9  # the board's clock when the pattern begins


def constant(watts=2.5, seconds=10, each=0.1):
    t = np.arange(0, seconds + each / 2, each)
    return Trace(t, np.full(len(t), watts), "constant")


def pattern(start=BOARD):
    """The busy intervals that the agent plays: 5, 2, 1 and 1 steps, after 0, 7, 10 and 12 of 13."""
    return [(start + a * PATTERN_STEP_S, start + b * PATTERN_STEP_S) for a, b in ((0, 5), (7, 9), (10, 11), (12, 13))]


def recorded(busy, *, each, offset, drift=0.0, noise=0.0, idle_w=2.0, busy_w=3.5, start=-40.0, end=120.0, seed=0):
    """What a meter would write: samples every `each` s of its own clock, which shows the board's + offset + drift."""
    rng = np.random.default_rng(seed)
    board = np.arange(BOARD + start, BOARD + end, each) + rng.uniform(0, each)
    on = np.any([(board >= low) & (board < high) for low, high in busy], axis=0)
    watts = np.where(on, busy_w, idle_w) + noise * rng.standard_normal(len(board))
    return Trace(board + offset + drift * (board - BOARD), watts, "meter.csv")


def test_the_pattern_here_is_the_agents():
    busy = [any(a <= i < b for a, b in ((0, 5), (7, 9), (10, 11), (12, 13))) for i in range(13)]
    assert busy == [bool(step) for step in BARKER]


def test_constant_power():
    assert integrate(constant(), 0, 10) == pytest.approx(25.0)
    assert integrate(constant(), 1.23, 4.56) == pytest.approx(8.325)  # 3.33 s at 2.5 W


def test_a_ramp_is_exact_between_samples():
    trace = Trace(np.array([0.0, 10.0]), np.array([0.0, 20.0]), "ramp")
    assert integrate(trace, 0, 10) == pytest.approx(100.0)
    assert integrate(trace, 2.5, 3.5) == pytest.approx(6.0)  # 6 W on average for 1 s


def test_a_square_wave():
    t = np.array([0.0, 1.0, 1.000001, 2.0, 2.000001, 3.0])
    trace = Trace(t, np.array([1.0, 1.0, 5.0, 5.0, 1.0, 1.0]), "square")
    assert integrate(trace, 0, 3) == pytest.approx(7.0, abs=1e-5)
    assert integrate(trace, 0.5, 1.5) == pytest.approx(3.0, abs=1e-5)


@given(st.lists(st.floats(0, 10), min_size=3, max_size=3, unique=True))
def test_energies_of_neighbouring_windows_add_up(times):
    rng = np.random.default_rng(1)
    trace = Trace(np.arange(11.0), rng.uniform(1, 9, 11), "random")
    a, b, c = sorted(times)
    assert integrate(trace, a, c) == pytest.approx(integrate(trace, a, b) + integrate(trace, b, c), abs=1e-9)


def test_a_few_dropped_samples_are_bridged_and_a_gap_is_not():
    t = np.delete(np.arange(0, 10.05, 0.1), [20, 21])
    trace = Trace(t, np.full(len(t), 2.0), "meter.csv")
    assert trace.gaps == () and integrate(trace, 1, 4) == pytest.approx(6.0)
    t = np.delete(np.arange(0, 10.05, 0.1), range(40, 60))
    trace = Trace(t, np.full(len(t), 2.0), "meter.csv")
    assert trace.gaps == (pytest.approx((3.9, 6.0)),)
    with pytest.raises(UserError, match=r"meter\.csv: no samples from 3\.900 s to 6\.000 s"):
        integrate(trace, 3, 5)
    assert integrate(trace, 6.0, 9.0) == pytest.approx(6.0)


@pytest.mark.parametrize(("start", "end"), [(-0.1, 5), (5, 10.1), (5, 5), (6, 5)])
def test_windows_outside_the_trace_are_refused(start, end):
    with pytest.raises(UserError, match="constant: "):
        integrate(constant(), start, end)


@pytest.mark.parametrize(
    ("t", "watts", "message"),
    [
        ([], [], "needs two or more samples; it has 0"),
        ([0.0], [1.0], "needs two or more samples; it has 1"),
        ([0.0, 1.0], [1.0], "needs two or more samples"),
        ([[0.0, 1.0]], [[1.0, 1.0]], "needs two or more samples"),
        ([0.0, 1.0, 1.0], [1.0] * 3, "times must rise"),
        ([0.0, 2.0, 1.0], [1.0] * 3, "times must rise"),
        ([0.0, np.nan, 2.0], [1.0] * 3, "must be finite"),
        ([0.0, 1.0, np.inf], [1.0] * 3, "must be finite"),
        ([-np.inf, 1.0, 2.0], [1.0] * 3, "must be finite"),
        ([0.0, 1.0], [1.0, np.nan], "must be finite"),
        ([0.0, 1.0], [-np.inf, 1.0], "must be finite"),
    ],
)
def test_a_trace_must_rise_and_be_finite(t, watts, message):
    with pytest.raises(UserError, match=f"^meter: .*{message}"):
        Trace(np.array(t), np.array(watts), "meter")


@pytest.mark.parametrize(
    ("each", "noise"), [(0.002, 0.0), (0.01, 0.5), (0.1, 0.1), (0.1, 0.4), (0.25, 0.1), (0.5, 0.05), (1.0, 0.05)]
)
@pytest.mark.parametrize("offset", [0.0, 7200.25, -BOARD + 12.3])
def test_the_offset_is_found_to_within_a_sample(each, noise, offset):
    found = align(recorded(pattern(), each=each, offset=offset, noise=noise), pattern())
    assert found.meter_time(BOARD + 30) == pytest.approx(BOARD + 30 + offset, abs=max(each, 0.02), rel=0)
    assert found.correlation > 0.8


def test_the_offset_is_found_among_hours_of_other_load():
    rng = np.random.default_rng(3)
    starts = BOARD + 30 + np.cumsum(rng.uniform(3, 12, 1500))
    others = [(s, s + rng.uniform(1.0, 2.9)) for s in starts]
    trace = recorded([*pattern(), *others], each=0.1, offset=-4000.0, noise=0.2, end=10_000)
    assert align(trace, pattern()).offset_s == pytest.approx(-4000.0, abs=0.1)


def test_a_second_pattern_gives_the_clocks_rate():
    both = [*pattern(), *pattern(BOARD + 3600)]
    trace = recorded(both, each=0.05, offset=-1e9, drift=2e-4, noise=0.1, end=3700)
    found = align(trace, both)
    assert found.drift == pytest.approx(2e-4, rel=0.1)
    for later in (10, 1800, 3600):  # after an hour the clocks are 0.72 s apart
        assert found.meter_time(BOARD + later) == pytest.approx(BOARD + later - 1e9 + 2e-4 * later, abs=0.05, rel=0)


def test_a_pattern_that_drowns_in_noise_is_refused():
    trace = recorded(pattern(), each=0.1, offset=50.0, noise=4.0)
    with pytest.raises(UserError, match=r"the load pattern is not in it: the best correlation is 0\.\d\d"):
        align(trace, pattern())


@pytest.mark.parametrize("watts", [2.0, 0.0])
def test_power_that_never_changes_is_refused(watts):
    with pytest.raises(UserError, match=r"not in it: the best correlation is 0\.00"):
        align(constant(watts, seconds=100), pattern())


def test_a_run_whose_pattern_the_meter_recorded_twice_is_ambiguous():
    trace = recorded([*pattern(), *pattern(BOARD + 60)], each=0.1, offset=50.0, noise=0.05)
    with pytest.raises(UserError, match=r"fits in two places, with correlations 0\.9"):
        align(trace, pattern())


def test_a_meter_that_was_stopped_before_the_end_is_refused():
    both = [*pattern(), *pattern(BOARD + 600)]
    with pytest.raises(UserError, match="record from before the run to after it"):
        align(recorded(both, each=0.1, offset=50.0, end=300), both)


def test_a_trace_shorter_than_the_pattern_and_no_pattern_are_refused():
    with pytest.raises(UserError, match="shorter than the load pattern of 24 s"):  # 19.5 s, and 2 s on each side
        align(constant(seconds=10), pattern())
    with pytest.raises(UserError, match="needs busy intervals"):
        align(constant(), [])


def test_a_pattern_that_is_longer_than_the_trace_is_refused_before_it_is_laid_over_it() -> None:
    """Whichever of several: a stranger's intervals of a thousand years would not fit in memory."""
    t = np.arange(0.0, 60.0, 0.1)
    trace = Trace(t, np.ones(len(t)), "meter")
    usual = [(10.0, 17.5), (20.5, 23.5)]
    with pytest.raises(UserError, match="shorter than the load pattern of"):
        align(trace, [*usual, (1000.0, 3e10)])
