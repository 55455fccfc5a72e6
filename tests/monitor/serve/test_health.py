"""The board's health, of a made-up /sys."""

from __future__ import annotations

import itertools
import os
import threading
import time
from pathlib import Path

import pytest

from nas.monitor.serve import health as module
from nas.monitor.serve.health import THROTTLED, Health, Load, read_health, throttle_count


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


def test_what_slowed_the_processor_down_is_counted(tmp_path: Path) -> None:
    for cpu, count in enumerate((7, 5)):
        write(tmp_path, f"sys/devices/system/cpu/cpu{cpu}/thermal_throttle/core_throttle_count", f"{count}\n")
    assert throttle_count(tmp_path) == 12 and throttle_count(tmp_path / "other") is None


def test_it_is_read_again_and_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A count that is higher at every reading is a processor that slows itself down; its own facts stay."""
    counts, seen = itertools.count(7), threading.Event()

    def higher(root: str | Path) -> float:
        if (count := next(counts)) > 8:  # the facts of the reading before are there
            seen.set()
        return float(count)

    monkeypatch.setattr(module, "throttle_count", higher)
    health = Health(tmp_path, every_s=0.001)
    assert health.facts["throttled"] == []
    health.start()
    assert seen.wait(60)
    assert health.facts["throttled"] == ["throttled"]
    health.stop()
    health.join(60)
    assert not health.is_alive()


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
