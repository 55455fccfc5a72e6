"""The board's health, of a made-up /sys."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from nas.monitor.serve.health import THROTTLED, Health, Load, read_health


def write(root: Path, path: str, text: str) -> None:
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).write_text(text)


def test_what_a_board_says(tmp_path: Path) -> None:
    write(tmp_path, "sys/class/thermal/thermal_zone0/temp", "61200\n")
    write(tmp_path, "sys/class/thermal/thermal_zone1/temp", "-274000\n")  # a sensor that is switched off
    write(tmp_path, "sys/class/thermal/thermal_zone2/temp", "not a number\n")
    for cpu, khz in enumerate((600_000, 1_800_000)):
        write(tmp_path, f"sys/devices/system/cpu/cpu{cpu}/cpufreq/scaling_cur_freq", f"{khz}\n")
    write(tmp_path, "sys/class/power_supply/BAT0/capacity", "17\n")
    write(tmp_path, THROTTLED, "0x50005\n")  # under-voltage and throttled: now, and since it was started
    assert read_health(tmp_path) == {
        "temperature_c": 61.2, "frequency_mhz": 1800.0, "battery_percent": 17.0,
        "throttled": ["under-voltage", "throttled"],
    }  # fmt: skip
    write(tmp_path, THROTTLED, "0x50000\n")  # it has happened, and is over
    assert read_health(tmp_path)["throttled"] == []


def test_a_board_that_says_nothing(tmp_path: Path) -> None:
    assert read_health(tmp_path) == {
        "temperature_c": None, "frequency_mhz": None, "battery_percent": None, "throttled": [],
    }  # fmt: skip


def test_it_is_read_again_and_again(tmp_path: Path) -> None:
    count = "sys/devices/system/cpu/cpu0/thermal_throttle/core_throttle_count"
    write(tmp_path, count, "7\n")
    health = Health(tmp_path, every_s=0.01)
    first = health.facts
    health.start()
    for number in range(8, 10_000):  # it counts far more often than it is read, so that every reading sees a change
        write(tmp_path, "next", f"{number}\n")
        (tmp_path / "next").replace(tmp_path / count)
        if health.facts["throttled"] == ["throttled"]:
            break
        time.sleep(0.001)
    health.stop()
    health.join(20)
    assert first["throttled"] == [] and health.facts["throttled"] in (["throttled"], []) and number < 9_999


def test_the_load_is_what_other_programs_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 40 s of four processors 26 were worked in (10 user, 6 system, 2 nice, 8 steal), 6 of them here."""
    own, second = iter((1.0, *[7.0] * 9)), os.sysconf("SC_CLK_TCK")
    monkeypatch.setattr(time, "process_time", lambda: next(own))
    for ticks in ((0, 0, 0, 0, 0, 0, 0, 0, 0, 0), (10, 2, 6, 12, 2, 0, 0, 8, 5, 5)):
        write(tmp_path, "proc/stat", "cpu  " + " ".join(str(second * n) for n in ticks) + "\ncpu0 1 2\n")
        if not any(ticks):
            load = Load(tmp_path)
    assert load.since() == 0.5
    assert Load(tmp_path / "nowhere").since() is None
    for text in ("", "cpu 1 2\n", "cpu a b c d e f g h\n"):
        write(tmp_path, "proc/stat", text)
        assert Load(tmp_path).since() is None


def test_it_is_read_soon_where_that_is_asked_for(tmp_path: Path) -> None:
    health = Health(tmp_path, every_s=3600, soon_s=0.001)
    health.start()
    before = health.facts
    for _ in range(10_000):
        health.read_soon()
        if health.facts is not before:
            break
        time.sleep(0.001)
    assert health.facts is not before and health.facts["other_load"] is None
    health.stop()
    health.join(20)
    assert not health.is_alive()
