"""The board's health: temperature, clock, what slows it down, battery; read every few seconds beside the frames."""

from __future__ import annotations

import contextlib
import glob
import os
import shutil
import subprocess
import threading
from pathlib import Path
from typing import Any, Sequence

EVERY_S = 5.0
HOT_C = 80.0  # a Raspberry Pi lowers its clock from here on
THROTTLED = "sys/devices/platform/soc/soc:firmware/get_throttled"  # of a Raspberry Pi; else vcgencmd says it
FLAGS = ("under-voltage", "frequency capped", "throttled", "soft temperature limit")  # bits 0 to 3
# https://www.raspberrypi.com/documentation/computers/os.html#get_throttled


class Health(threading.Thread):
    """Reads `facts` again and again: a slow sensor or vcgencmd must not hold up a frame."""

    def __init__(self, root: str | Path = "/", every_s: float = EVERY_S) -> None:
        super().__init__(daemon=True, name="health")
        self.root, self.every_s = root, every_s
        self.facts = read_health(root)
        self._stop_asked = threading.Event()

    def run(self) -> None:
        count = throttle_count(self.root)
        while not self._stop_asked.wait(self.every_s):
            facts = read_health(self.root)
            before, count = count, throttle_count(self.root)
            if before is not None and count is not None and count > before and "throttled" not in facts["throttled"]:
                facts["throttled"] = [*facts["throttled"], "throttled"]
            self.facts = facts

    def stop(self) -> None:
        self._stop_asked.set()


def read_health(root: str | Path = "/") -> dict[str, Any]:
    """temperature_c and frequency_mhz, the highest of all sensors and processors; battery_percent; None: not known.

    `throttled`: what holds now, of FLAGS; empty also where the board does not tell.
    """
    cpus = "sys/devices/system/cpu/cpu*/cpufreq/scaling_cur_freq"
    celsius = [value / 1000 for value in _numbers(root, "sys/class/thermal/thermal_zone*/temp")]
    mhz = [value / 1000 for value in _numbers(root, cpus)]
    battery = _numbers(root, "sys/class/power_supply/*/capacity")
    return {
        "temperature_c": max((c for c in celsius if -50 < c < 200), default=None),  # a sensor that is off says -274
        "frequency_mhz": max((f for f in mhz if f > 0), default=None),
        "battery_percent": min((b for b in battery if 0 <= b <= 100), default=None),
        "throttled": throttled(root),
    }


def throttled(root: str | Path = "/") -> list[str]:
    """What a Raspberry Pi says that slows it down now, in words."""
    said = _text(Path(root) / THROTTLED)
    if not said and str(root) == "/" and shutil.which("vcgencmd"):
        said = _command(("vcgencmd", "get_throttled")).partition("=")[2]
    with contextlib.suppress(ValueError):
        bits = int(said, 16)
        return [what for bit, what in enumerate(FLAGS) if bits & 1 << bit]
    return []


def throttle_count(root: str | Path = "/") -> float | None:
    """How often an Intel processor slowed itself down since it was started; None where it does not tell."""
    counts = _numbers(root, "sys/devices/system/cpu/cpu*/thermal_throttle/core_throttle_count")
    return sum(counts) if counts else None


def _command(words: Sequence[str]) -> str:
    try:
        done = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=2, check=False)
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout[:1000].decode("ascii", "replace").strip()


def _numbers(root: str | Path, pattern: str) -> list[float]:
    found = []
    for path in sorted(glob.glob(os.path.join(root, pattern))):  # noqa: PTH118, PTH207  # pathlib's raises where it may not read
        with contextlib.suppress(ValueError):
            found.append(float(_text(Path(path))))
    return found


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return file.read(100).decode("ascii", "replace").strip("\0\n ")
    except OSError:
        return ""
