"""The board's health: temperature, clock, what slows it down, battery; read every few seconds beside the frames."""

from __future__ import annotations

import contextlib
import glob
import os
import shutil
import subprocess
import threading
import time
from pathlib import Path
from typing import Any, Sequence

EVERY_S = 5.0
SOON_S = 0.5  # over which the load is measured where it is asked for at once
HOT_C = 80.0  # a Raspberry Pi lowers its clock from here on
THROTTLED = "sys/devices/platform/soc/soc:firmware/get_throttled"  # of a Raspberry Pi; else vcgencmd says it
FLAGS = ("under-voltage", "frequency capped", "throttled", "soft temperature limit")  # bits 0 to 3
# https://www.raspberrypi.com/documentation/computers/os.html#get_throttled


class Health(threading.Thread):
    """Reads `facts` again and again: a slow sensor or vcgencmd must not hold up a frame.

    Beside those of `read_health` they have `other_load`, the share of all processors that other programs used since
    the reading before. `read_soon` asks for a reading from any thread.
    """

    def __init__(self, root: str | Path = "/", every_s: float = EVERY_S, soon_s: float = SOON_S) -> None:
        super().__init__(daemon=True, name="health")
        self.root, self.every_s, self.soon_s = root, every_s, soon_s
        self.facts = dict(read_health(root), other_load=None)
        self._stop_asked, self._wake = threading.Event(), threading.Event()

    def run(self) -> None:
        count, load = throttle_count(self.root), Load(self.root)
        while not self._stop_asked.is_set():
            if self._wake.wait(self.every_s):
                self._wake.clear()
                load = Load(self.root)
                if self._stop_asked.wait(self.soon_s):
                    return
            facts = dict(read_health(self.root), other_load=load.since())
            before, count, load = count, throttle_count(self.root), Load(self.root)
            if before is not None and count is not None and count > before and "throttled" not in facts["throttled"]:
                facts["throttled"] = [*facts["throttled"], "throttled"]
            self.facts = facts

    def read_soon(self) -> None:
        self._wake.set()

    def stop(self) -> None:
        self._stop_asked.set()
        self._wake.set()


class Load:
    """The processors' time from here on, and this process's own."""

    def __init__(self, root: str | Path = "/") -> None:
        self.root, self.own, self.spent = root, time.process_time(), _spent(root)

    def since(self) -> float | None:
        """The share of all processors that other programs used since, from 0 to 1; None where it is not known."""
        now = _spent(self.root)
        if now is None or self.spent is None:
            return None
        busy, whole = (after - before for after, before in zip(now, self.spent))
        if whole <= 0:
            return None
        return round(min(max((busy - (time.process_time() - self.own)) / whole, 0.0), 1.0), 3)


def _spent(root: str | Path) -> tuple[float, float] | None:
    """Seconds that all processors together have worked, and that there were, since the system was started: Linux."""
    words = _text(Path(root) / "proc/stat").split("\n")[0].split()
    if len(words) < 6 or words[0] != "cpu" or not all(word.isdigit() for word in words[1:9]):
        return None
    ticks = [int(word) for word in words[1:9]]  # what follows, of guests, is in these
    second = os.sysconf("SC_CLK_TCK")
    return (sum(ticks) - ticks[3] - ticks[4]) / second, sum(ticks) / second  # without idle and waiting for a disk


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
