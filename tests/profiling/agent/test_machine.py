"""The machine, read from trees of sysfs files as Linux has them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from nas.profiling.agent import machine
from nas.profiling.agent.machine import condition, disturbances, stay_on, throttling
from nas.profiling.agent.terminal import Refused
from nas.profiling.results.results import read_results
from tests.profiling.agent.bundle import keep_fp32, run


def test_processors_are_kept_to_and_recorded(bundle):
    keep_fp32(bundle)
    cpu = min(os.sched_getaffinity(0))
    assert run(bundle, "--cpus", str(cpu)).returncode == 0
    assert read_results(bundle / "results.json").machine.cpus == [cpu]


def test_a_system_that_cannot_choose_processors_says_so(monkeypatch):
    monkeypatch.delattr(os, "sched_setaffinity")
    with pytest.raises(Refused, match="--cpus works on Linux only"):
        stay_on("0")


def sysfs(root: Path, **files: str) -> Path:
    """A sysfs of two processors; names with __ for the slashes after cpuN."""
    for name, text in files.items():
        for cpu, value in zip(("cpu0", "cpu1"), text.split(","), strict=False):
            path = root / "sys/devices/system/cpu" / cpu / name.replace("__", "/")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"{value}\n")
    return root


def test_the_condition_is_read_from_sysfs(tmp_path):
    nothing = {"governor": None, "mhz": None, "celsius": None, "throttle_count": None, "pi_throttled": None}
    assert condition(tmp_path) == nothing
    sysfs(
        tmp_path, cpufreq__scaling_governor="schedutil,performance", cpufreq__scaling_cur_freq="1500000,1800000",
        thermal_throttle__core_throttle_count="3,4",
    )  # fmt: skip
    for zone, text in (("thermal_zone0", "48312"), ("thermal_zone1", "N/A")):
        (tmp_path / "sys/class/thermal" / zone).mkdir(parents=True)
        (tmp_path / "sys/class/thermal" / zone / "temp").write_text(text)
    firmware = tmp_path / "sys/devices/platform/soc/soc:firmware"
    firmware.mkdir(parents=True)
    (firmware / "get_throttled").write_text("50005\n")
    assert condition(tmp_path) == {
        "governor": "performance, schedutil", "mhz": 1800.0, "celsius": 48.312, "throttle_count": 7.0,
        "pi_throttled": "50005",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ({}, {}, []),
        ({"throttle_count": 2.0}, {"throttle_count": 2.0}, []),
        ({"throttle_count": 2.0}, {"throttle_count": 5.0}, ["the processor throttled itself 3 times"]),
        ({"throttle_count": None}, {"throttle_count": 5.0}, []),
        ({"pi_throttled": "0"}, {"pi_throttled": "0x50000"}, ["under-voltage", "throttled"]),
        ({"pi_throttled": "50000"}, {"pi_throttled": "50000"}, []),  # it happened before we began
        ({"pi_throttled": "80008"}, {"pi_throttled": "80000"}, ["soft temperature limit"]),
        ({"pi_throttled": "what"}, {"pi_throttled": "no hex"}, []),
        ({"mhz": 2000.0}, {"mhz": 1799.0}, ["the clock fell from 2000 to 1799 MHz"]),
        ({"mhz": 2000.0}, {"mhz": 1801.0}, []),
    ],
)
def test_throttling_is_noticed_and_said(before, after, said):
    assert throttling(before, after) == said


def test_what_will_disturb_is_said(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "getloadavg", lambda: (0.4, 0.0, 0.0))
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    monkeypatch.setattr(machine, "usable_cpus", lambda: [0, 1])
    assert disturbances(tmp_path) == []
    sysfs(tmp_path, cpufreq__scaling_governor="performance,performance", cpufreq__cpuinfo_max_freq="1800000,1800000")
    assert disturbances(tmp_path) == []
    sysfs(tmp_path, cpufreq__scaling_governor="performance,powersave", cpufreq__cpuinfo_max_freq="1800000,2400000")
    monkeypatch.setattr(os, "getloadavg", lambda: (1.5, 0.0, 0.0))
    governor, cores, busy = disturbances(tmp_path)
    assert "governor is performance, powersave" in governor and "--cpus" in cores and "the machine is busy: 1.5" in busy
