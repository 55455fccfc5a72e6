"""Energy windows and the load pattern, by a clock of the tests."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from nas.profiling.agent import energy
from nas.profiling.agent.energy import energy_section, measure_energy, measure_idle, measure_window, play_pattern
from nas.profiling.agent.sensors import open_meter
from nas.profiling.energy.power_trace import Trace
from nas.profiling.energy.windows import measured_energy
from nas.profiling.results.results import Energy
from tests.profiling.agent.test_sensors import iio_rail


class Entries:
    """The agent's journal, in memory."""

    def __init__(self):
        self.entries = []

    def add(self, entry):
        self.entries.append(entry)


def test_windows_count_runs_and_hold_the_energy_between_their_ends(tmp_path, clock):
    iio_rail(tmp_path, 0, "POM_5V_IN", 2000)
    meter = open_meter("ina3221", str(tmp_path))
    window = measure_window(meter, lambda: clock.sleep(0.25), 3.0)
    assert window == {"start": 1.7e9 + 1000, "end": 1.7e9 + 1003, "runs": 12, "joules": pytest.approx(6.0)}
    assert measure_window(meter, lambda: clock.sleep(9.0), 3.0)["runs"] == 1
    idle = measure_idle(meter, 5.0)
    assert idle["end"] - idle["start"] == 5.0 and idle["joules"] == pytest.approx(10.0)
    section = energy_section(meter, [idle], [dict(window, id="b1")], [])
    assert section["idle_w"] == pytest.approx(2.0) and section["utc_offset_s"] == 3600
    assert section["meter"] == "ina3221" and section["period_s"] == 0.02


def test_an_external_meter_has_times_and_no_joules(clock):
    meter = open_meter("external")
    meter.start()
    window, idle = measure_window(meter, lambda: clock.sleep(1.0), 2.0), measure_idle(meter, 4.0)
    meter.stop()
    assert window["joules"] is None and idle["joules"] is None and window["runs"] == 2
    assert energy_section(meter, [idle], [window], [])["idle_w"] is None


def test_the_load_pattern_is_barkers_with_quiet_around_it(clock):
    began = clock.time()
    intervals = play_pattern(lambda: clock.sleep(0.05))
    seconds = [(start - began, end - began) for start, end in intervals]
    expected = [(3.0, 10.5), (13.5, 16.5), (18.0, 19.5), (21.0, 22.5)]  # 5, 2, 1, 1 steps of 1.5 s; 2, 1, 1 between
    for found, wanted in zip(seconds, expected, strict=True):
        assert found == pytest.approx(wanted, abs=0.051)  # as long as the last run of the load
    assert clock.time() - began == pytest.approx(25.5, abs=0.06)


def test_a_run_with_an_external_meter_is_found_again_in_the_meters_trace(clock, monkeypatch):
    """The agent plays the pattern and measures; a meter whose clock is 1000 s behind watches; energies come out."""
    loads = []  # (start, end, watts) on the board's clock
    watts = {"reference": 5.0, "a.onnx": 6.0, "b.onnx": 4.0}

    def prepare(model):
        def once():
            loads.append((clock.time(), clock.time() + 0.05, watts[model]))
            clock.sleep(0.05)

        clock.sleep(0.5)  # loading it
        return once

    monkeypatch.setattr(energy, "read_model", lambda folder, name: name)
    runner = SimpleNamespace(prepare=prepare)
    items = [("r", "reference", "reference"), ("a", "check", "a.onnx"), ("b", "calibrate", "b.onnx")]
    plan = {"seed": 1, "items": [{"id": i, "kind": kind, "file": file} for i, kind, file in items]}
    journal, meter, began = Entries(), open_meter("external"), clock.time()
    found = measure_energy(plan, ".", runner, journal, meter, 3.0, {"a": [], "b": []})
    assert [len(found[key]) for key in ("idle", "windows", "pattern")] == [4, 2, 8]
    again = measure_energy(plan, ".", runner, journal, meter, 3.0, {"a": [], "b": []})
    assert again["windows"] == found["windows"] and again["pattern"] == found["pattern"]  # nothing is measured twice

    t = np.arange(began - 20, clock.time() + 20, 0.01)
    power = np.full(len(t), 1.5) + np.random.default_rng(0).normal(0, 0.02, len(t))
    for start, end, load in loads:
        power[(t >= start) & (t < end)] += load - 1.5
    measured = measured_energy(Energy.model_validate(found), Trace(t - 1.7e9 - 1000, power, "usb.csv"))
    assert measured.alignment is not None
    assert measured.alignment.offset_s == pytest.approx(-1.7e9 - 1000, abs=0.02, rel=0)
    assert measured.idle_w == pytest.approx(1.5, abs=0.005)
    assert measured.items["a"].mj == pytest.approx(300.0, rel=0.01)  # 6 W for 50 ms
    assert measured.items["a"].net_mj == pytest.approx(225.0, rel=0.01)
    assert measured.items["b"].net_mj == pytest.approx(125.0, rel=0.01)
    assert measured.unresolved(["a", "b"]) == ()
