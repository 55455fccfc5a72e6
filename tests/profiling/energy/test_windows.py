"""Energy per inference from windows: hand arithmetic, from the board's own meter and from another meter's trace."""

from pathlib import Path

import numpy as np
import pytest

from nas.device.compare.with_measured import Measured
from nas.errors import UserError
from nas.profiling.energy.power_trace import Trace
from nas.profiling.energy.trace_file import read_trace
from nas.profiling.energy.windows import fit_energy, measured_energy
from nas.profiling.results.results import Energy
from nas.space.reference import reference_network

BOARD = 1_772_360_100.0  # 2026-03-01 10:15:00 UTC
PATTERN = [[BOARD + a * 1.5, BOARD + b * 1.5] for a, b in ((0, 5), (7, 9), (10, 11), (12, 13))]


def energy(windows, idle=((0, 5, 10.0), (20, 25, 10.0), (40, 45, 10.0)), **more):
    """Readings with windows (id, start, end, runs, joules) and idle windows (start, end, joules), from BOARD on."""
    return Energy.model_validate(
        {
            "meter": "rapl",
            "includes": "the processor",
            "idle": [{"start": BOARD + a, "end": BOARD + b, "joules": j} for a, b, j in idle],
            "windows": [
                {"id": name, "start": BOARD + a, "end": BOARD + b, "runs": runs, "joules": j}
                for name, a, b, runs, j in windows
            ],
            **more,
        }
    )


def test_energy_with_and_without_idle():
    found = measured_energy(energy([("b1", 5, 8, 100, 15.0), ("b2", 8, 10, 1000, 10.0)]))
    assert found.idle_w == pytest.approx(2.0) and found.idle_spread_w == 0 and found.alignment is None
    assert found.items["b1"].mj == pytest.approx(150.0)  # 15 J / 100
    assert found.items["b1"].net_mj == pytest.approx(90.0)  # less 3 s at 2 W
    assert found.items["b2"].mj == pytest.approx(10.0)
    assert found.items["b2"].net_mj == pytest.approx(6.0)
    assert found.unresolved(["b1", "b2"]) == () and found.lost == ()


def test_several_windows_of_an_item_are_taken_together():
    found = measured_energy(energy([("b1", 5, 8, 100, 15.0), ("b1", 30, 32, 60, 9.0)]))
    assert found.items["b1"].mj == pytest.approx(150.0)  # 24 J / 160
    assert found.items["b1"].net_mj == pytest.approx(87.5)  # 24 - 5 s at 2 W = 14 J
    assert found.items["b1"].runs == 160


def test_what_idle_power_drowns_is_not_resolved():
    idle = ((0, 5, 9.0), (20, 25, 10.0), (40, 45, 11.0))  # 1.8, 2.0, 2.2 W: a standard deviation of 0.2 W
    windows = [("small", 5, 10, 100, 12.0), ("large", 10, 15, 100, 14.0)]  # 2 J and 4 J above idle
    found = measured_energy(energy(windows, idle))
    assert found.idle_spread_w == pytest.approx(0.2)
    # 0.2 W, and the mean of three's 0.1155 W, over 5 s: 1.155 J, or 11.55 mJ a run: 20 mJ is less than three times it
    assert found.items["small"].error_mj == pytest.approx(11.55, abs=0.01)
    assert found.unresolved(["small", "large", "missing"]) == ("small", "missing")


def test_a_slow_counter_resolves_long_windows_alone():
    windows = [("short", 5, 5.2, 10, 2.0), ("long", 10, 15, 250, 50.0)]  # 10 W, 8 W above idle
    found = measured_energy(energy(windows, period_s=0.1))
    assert found.items["short"].error_mj == pytest.approx(80.0)  # 8 W for 0.1 s in 10 runs
    assert found.items["long"].error_mj == pytest.approx(3.2)
    assert found.unresolved(["short", "long"]) == ("short",)


def test_an_item_at_idle_power_is_not_resolved_however_quiet_the_meter():
    found = measured_energy(energy([("cold", 5, 10, 100, 9.9)]))
    assert found.items["cold"].net_mj == pytest.approx(-1.0) and not found.items["cold"].resolved


def test_the_definition_says_what_is_in():
    found = measured_energy(energy([("b1", 5, 8, 100, 15.0)]))
    assert found.definition(idle=True) == "the processor; idle power of 2 W (0 W between windows) included; meter: rapl"
    assert found.definition(idle=False, fitted_to=24) == (
        "the processor; idle power of 2 W (0 W between windows) taken out; energy fitted to 24 whole networks; "
        "meter: rapl"
    )


def square(busy, *, offset, until, each=0.01, watts=(2.0, 5.0), lost=()):
    """A meter's trace: the board's time + offset, a sample each 10 ms, none in `lost`."""
    t = np.arange(-10, until, each)
    on = np.any([(t >= a) & (t < b) for a, b in busy], axis=0)
    kept = ~np.any([(t > a) & (t < b) for a, b in [*lost, (0, 0)]], axis=0)
    return Trace(BOARD + t[kept] + offset, np.where(on, watts[1], watts[0])[kept], "usb.csv")


def test_another_meters_trace_gives_the_energy_of_windows():
    busy = [(a - BOARD, b - BOARD) for a, b in PATTERN] + [(40, 43), (50, 51)]
    windows = [("b1", 40, 43, 100, None), ("b2", 50, 51, 10, None)]
    readings = energy(windows, ((30, 35, None), (45, 48, None), (60, 65, None)), pattern=PATTERN)
    found = measured_energy(readings, square(busy, offset=-5000.0, until=80))
    assert found.alignment is not None and found.alignment.offset_s == pytest.approx(-5000.0, abs=0.011)
    assert found.idle_w == pytest.approx(2.0)
    assert found.items["b1"].mj == pytest.approx(150.0, rel=0.01)  # 3 s at 5 W / 100
    assert found.items["b1"].net_mj == pytest.approx(90.0, rel=0.01)
    assert found.items["b2"].mj == pytest.approx(500.0, rel=0.02)
    # the meter shows steps of 3 W: half of one over 3 s is 4.5 J of the 9 J
    assert not found.items["b1"].resolved


def test_windows_that_the_meter_missed_are_named_and_left_out():
    busy = [(a - BOARD, b - BOARD) for a, b in PATTERN] + [(40, 43), (50, 51)]
    windows = [("b1", 40, 43, 100, None), ("b2", 50, 51, 10, None), ("b3", 90, 95, 10, None)]
    readings = energy(windows, ((26, 31, None), (32, 37, None), (60, 65, None), (66, 70, None)), pattern=PATTERN)
    found = measured_energy(readings, square(busy, offset=100.0, until=80, lost=[(41, 42), (67, 68)]))
    assert list(found.items) == ["b2"] and found.unresolved(["b1", "b3"]) == ("b1", "b3")
    assert [line.partition(":")[0] for line in found.lost] == ["idle", "b1", "b3"]
    assert "no samples from" in found.lost[1] and "outside the trace" in found.lost[2]


def test_powertop_is_placed_by_the_boards_time_zone():
    trace = read_trace(Path(__file__).parent / "traces" / "powertop")
    # reports from 10:15:00 local, an hour ahead of UTC: samples of 8, 12, 12, 0.9 W at 10, 30, 50, 70 s
    idle = ((60 + 10, 60 + 12, None), (60 + 12, 60 + 14, None), (60 + 14, 60 + 16, None))
    shifted = [(a - 3660, b - 3660, j) for a, b, j in idle]
    readings = energy([("net", -3600 + 30, -3600 + 50, 40, None)], shifted, meter="external", utc_offset_s=3600.0)
    found = measured_energy(readings, trace)
    assert found.items["net"].mj == pytest.approx(6000.0)  # 12 W for 20 s in 40 runs
    with pytest.raises(UserError, match="do not say its time zone"):
        measured_energy(readings.model_copy(update={"utc_offset_s": None}), trace)


def test_windows_without_energy_want_the_meters_file():
    with pytest.raises(UserError, match="have no energy: add the meter's own file"):
        measured_energy(energy([("b1", 5, 8, 100, None)]))


def test_idle_power_must_be_known():
    with pytest.raises(UserError, match="needs 3 idle windows; 2 of 2 can be read"):
        measured_energy(energy([("b1", 5, 8, 100, 15.0)], ((0, 5, 10.0), (20, 25, 10.0))))


@pytest.mark.parametrize("idle", [((5, 5, 1.0),) * 3, ((0, 5, 10.0), (20, 15, 10.0), (40, 45, 10.0))])
def test_windows_end_after_they_start(idle):
    with pytest.raises(UserError, match="idle: a window must end after it starts"):
        measured_energy(energy([("b1", 5, 8, 100, 15.0)], idle))


def networks(precision="fp32"):
    """Mobile networks with the energy of a made-up board: 0.05 mJ a million MACs, 2 mJ a million parameters, 3 mJ."""
    for family in ("mobilenet_v2", "mobilenet_v3_large", "mobilenet_v3_small"):
        for resolution in (128, 160, 192, 224):
            for width in (0.75, 1.0):
                network = reference_network(family, resolution, 1000, width)
                mj = 0.05 * network.macs / 1e6 + 2.0 * network.params / 1e6 + 3.0
                name = f"{family}-{width}@{resolution}"
                yield Measured(name, network, precision, 0.04 * network.macs / 1e6 + 1.0, mj)


def test_energy_is_fitted_to_whole_networks_and_checked_on_those_left_out():
    fitted = fit_energy(list(networks()))
    (error,) = (e for e in fitted.errors if e.quantity == "energy")
    assert error.networks == 24 and error.split == "network"
    assert error.mean < 0.03 < error.macs  # a line through the MACs alone misses the parameters
    rate = fitted.rates.get("fp32", "energy")
    assert rate is not None
    other = reference_network("mobilenet_v2", 176, 1000, 1.0)  # not among them
    assert rate.cost(other) == pytest.approx(0.05 * other.macs / 1e6 + 2.0 * other.params / 1e6 + 3.0, rel=0.03)
    assert {v.split for v in fitted.validation} == {"network"} and len(fitted.validation) == 24


def test_too_few_networks_or_none_above_idle_are_refused():
    some = list(networks())
    with pytest.raises(UserError, match="10 whole networks or more; fp32 has 9"):
        fit_energy(some[:9])
    cold = Measured("cold", some[0].network, "fp32", 1.0, -0.5)
    with pytest.raises(UserError, match=r"cold fp32 has -0\.5 mJ: measure longer windows"):
        fit_energy([*some, cold])
