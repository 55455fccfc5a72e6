"""The board's health, of a made-up /sys."""

from __future__ import annotations

import time
from pathlib import Path

from nas.monitor.serve.health import THROTTLED, Health, read_health


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
