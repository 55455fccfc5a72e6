"""The machine that is measured: what it is, how fast it runs now, and what will disturb."""

from __future__ import annotations

import contextlib
import glob
import os
import platform
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from .terminal import Refused


def read_text(path: str | Path) -> str:
    """The beginning of a small file, empty if it cannot be read."""
    try:
        with Path(path).open(encoding="utf-8", errors="replace") as file:
            return file.read(65536).strip("\0\n ")
    except OSError:
        return ""


def paths(folder: str | Path, pattern: str) -> list[Path]:
    """What matches; unlike pathlib's own, nothing where a folder may not be read."""
    return [Path(path) for path in sorted(glob.glob(os.path.join(folder, pattern)))]  # noqa: PTH118, PTH207


def numbers(found: Iterable[Path]) -> list[float]:
    """The numbers in these files; those that cannot be read are left out."""
    read: list[float] = []
    for path in found:
        with contextlib.suppress(ValueError):
            read.append(float(read_text(path)))
    return read


def condition(root: str | Path = "/") -> dict[str, Any]:
    """Governor, clock and temperature now, and how often the processor slowed itself down; None where it won't tell."""
    cpu = Path(root) / "sys/devices/system/cpu"
    mhz = numbers(paths(cpu, "cpu*/cpufreq/scaling_cur_freq"))
    celsius = numbers(paths(root, "sys/class/thermal/thermal_zone*/temp"))
    throttled = numbers(paths(cpu, "cpu*/thermal_throttle/core_throttle_count"))
    governors = sorted({read_text(path) for path in paths(cpu, "cpu*/cpufreq/scaling_governor")} - {""})
    pi = read_text(Path(root) / "sys/devices/platform/soc/soc:firmware/get_throttled")
    return {
        "governor": ", ".join(governors) or None,
        "mhz": max(mhz) / 1000 if mhz else None,
        "celsius": max(celsius) / 1000 if celsius else None,
        "throttle_count": sum(throttled) if throttled else None,
        "pi_throttled": pi or None,  # bits: https://www.raspberrypi.com/documentation/computers/os.html#get_throttled
    }


def throttling(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """What was noticed of the processor slowing itself down, in words."""
    said = []
    if None not in (before.get("throttle_count"), after.get("throttle_count")):
        times = after["throttle_count"] - before["throttle_count"]
        if times > 0:
            said.append(f"the processor throttled itself {times:.0f} times")
    old, new = pi_bits(before.get("pi_throttled")), pi_bits(after.get("pi_throttled"))
    new |= old & 0xF  # what held when it began
    for bit, what in enumerate(("under-voltage", "frequency capped", "throttled", "soft temperature limit")):
        # 16 bits higher: it has happened since the board was started, which may have been before we began
        if new & 1 << bit or new & ~old & 1 << bit + 16:
            said.append(what)
    if before.get("mhz") and after.get("mhz") and after["mhz"] < 0.9 * before["mhz"]:
        said.append(f"the clock fell from {before['mhz']:.0f} to {after['mhz']:.0f} MHz")
    return said


def pi_bits(text: Any) -> int:
    try:
        return int(text or "0", 16)
    except (ValueError, TypeError):
        return 0


def disturbances(root: str | Path = "/") -> list[str]:
    """What will make the timings noisier than they need be, in words."""
    said = []
    governor = condition(root)["governor"]
    if governor not in (None, "performance"):
        said.append(
            f"the governor is {governor}, so the clock changes with the load; better: "
            "echo performance | sudo tee /sys/devices/system/cpu/cpu*/cpufreq/scaling_governor"
        )
    fastest = set(numbers(paths(root, "sys/devices/system/cpu/cpu*/cpufreq/cpuinfo_max_freq")))
    if len(fastest) > 1 and len(usable_cpus()) > 1:
        said.append("this machine has fast and slow processors; choose those to measure by --cpus")
    with contextlib.suppress(AttributeError, OSError):  # Windows has none
        load, cores = os.getloadavg()[0], os.cpu_count() or 1
        if load > cores / 2:
            said.append(f"the machine is busy: {load:.1f} programs run on its {cores} processors; better stop them")
    return said


def usable_cpus() -> list[int]:
    """The processors that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def stay_on(text: str) -> list[int]:
    """Keeps this process on the processors of a list like "0,1", and gives them. Raises Refused."""
    if not hasattr(os, "sched_setaffinity"):
        raise Refused("--cpus works on Linux only; leave it out")
    cpus = read_cpus(text)
    try:
        os.sched_setaffinity(0, cpus)
    except (ValueError, OverflowError, OSError):
        usable = ",".join(map(str, usable_cpus()))
        raise Refused(f"--cpus must be numbers of processors, of {usable}, with commas between; got {text}") from None
    return cpus


def read_cpus(text: str) -> list[int]:
    """The processors of a list like "0,1". Raises Refused."""
    numbers = text.split(",")
    if not all(number.strip().isdigit() and len(number) < 8 for number in numbers):
        raise Refused(f"--cpus must be numbers of processors, with commas between, as 0,1; got {text[:80]}")
    return sorted({int(number) for number in numbers})


def processor() -> str:
    return processor_named(read_text("/proc/cpuinfo")) or platform.processor() or platform.machine() or "unknown"


def processor_named(cpuinfo: str) -> str:
    """The processor's name in Linux's list of them, empty where it has none."""
    for line in cpuinfo.splitlines():
        if line.lower().startswith(("model name", "hardware")):
            return line.partition(":")[2].strip()
    return ""


def machine(setting: Mapping[str, Any]) -> dict[str, Any]:
    """The machine in words, as results.json has it."""
    try:
        ram = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20
    except (AttributeError, ValueError, OSError):
        ram = None
    return dict(
        setting, system=platform.system(), machine=platform.machine(), processor=processor(),
        board=read_text("/proc/device-tree/model") or None, python=platform.python_version(), ram_mb=ram,
    )  # fmt: skip
