"""The meters of this machine: RAPL, a Jetson's INA3221, NVML."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from .machine import paths, read_text
from .meters import CounterMeter, ExternalMeter, Meter, SampledMeter
from .terminal import Refused

TOTAL_RAILS = ("VDD_IN", "POM_5V_IN", "VDD_SYS_IN")  # the rail of a Jetson that feeds all others


def open_meter(spec: str, sysfs: str | Path = "/sys") -> Meter | None:
    """The meter of that name, None for "none"; after a colon stand its rails (ina3221) or its GPU's number (nvml)."""
    check_meter(spec)
    name, _, which = spec.partition(":")
    if spec == "none":
        return None
    if spec == "external":
        return ExternalMeter()
    if spec == "rapl":
        return open_rapl(sysfs)
    if name == "ina3221":
        return open_ina3221(sysfs, which)
    return open_nvml(int(which or 0))


def check_meter(spec: str) -> None:
    """Raises Refused unless it names a meter; whether this machine has it, opening it tells."""
    name, colon, which = spec.partition(":")
    whole = spec in ("none", "external", "rapl", "ina3221", "nvml") or (name == "ina3221" and colon == ":")
    if not whole and not (name == "nvml" and which.isdigit() and len(which) < 9):
        known = "rapl, ina3221, ina3221:RAIL+RAIL, nvml, nvml:1, external, none"
        raise Refused(f"unknown meter {spec[:40]!r} (known: {known})")


def open_rapl(sysfs: str | Path = "/sys") -> CounterMeter:
    """Intel's and AMD's package counters. `psys` holds the packages, and would count them twice."""
    folders = paths(sysfs, "class/powercap/intel-rapl:*")
    packages = [folder for folder in folders if read_text(folder / "name").startswith("package")]
    if not packages:
        raise Refused(
            f"no RAPL here: {sysfs}/class/powercap has no intel-rapl package (ARM has none, virtual machines hide it)"
        )

    def counter(folder: Path) -> tuple[Callable[[], float], float]:
        path = folder / "energy_uj"
        return lambda: read_sensor(path) / 1e6, read_sensor(folder / "max_energy_range_uj") / 1e6

    includes = (
        f"{len(packages)} processor package(s): cores, caches, memory controller, built-in graphics; "
        "without DRAM and board"
    )
    return CounterMeter("rapl", includes, [counter(folder) for folder in packages])


def open_ina3221(sysfs: str | Path = "/sys", rails: str = "") -> SampledMeter:
    """A Jetson's power monitor: its total rail, or the sum of those named, as "VDD_GPU_SOC+VDD_CPU_CV"."""
    found = ina3221_rails(sysfs)
    if not found:
        raise Refused(f"no INA3221 here: {sysfs}/bus/i2c/drivers/ina3221* has no rail with a name")
    names = rails.split("+") if rails else [name for name in TOTAL_RAILS if name in found][:1]
    known = ", ".join(sorted(found))
    if not names:
        raise Refused(f"this board has no rail that feeds all others: name those to add, as ina3221:A+B, of {known}")
    for name in names:
        if name not in found or names.count(name) > 1:
            raise Refused(f"ina3221: rails must be of {known}, each once; not {rails}")
    chosen = [found[name] for name in names]
    includes = f"the module's {' + '.join(names)}, by its INA3221"
    return SampledMeter("ina3221", includes, lambda: sum(watts() for watts in chosen))


def ina3221_rails(sysfs: str | Path) -> dict[str, Callable[[], float]]:
    """Functions that read watts, by the rail's name: hwmon (JetPack 5 and later) and iio (before it)."""
    chips = "bus/i2c/drivers/ina3221*/*/"
    rails: dict[str, Callable[[], float]] = {}
    for label in paths(sysfs, f"{chips}hwmon/hwmon*/in[1-3]_label"):
        mv, ma = (label.with_name(f"{kind}{label.name[2]}_input") for kind in ("in", "curr"))
        if mv.exists() and ma.exists():
            rails.setdefault(read_text(label), product((mv, ma), 1e-6))
    for label in paths(sysfs, f"{chips}iio:device*/rail_name_[0-2]"):
        mw = label.with_name(f"in_power{label.name[-1]}_input")
        if mw.exists():
            rails.setdefault(read_text(label), product((mw,), 1e-3))
    return {name: watts for name, watts in rails.items() if name not in ("", "NC")}  # NC: not connected


def product(sensors: Sequence[Path], unit: float) -> Callable[[], float]:
    """A function that reads these and multiplies them."""

    def read() -> float:
        value = unit
        for path in sensors:
            value *= read_sensor(path)
        return value

    return read


def open_nvml(index: int = 0) -> CounterMeter | SampledMeter:
    """An NVIDIA GPU's energy counter (Volta and later), else its power, sampled; through zeus."""
    try:
        from zeus.device import get_gpus
    except ImportError:
        raise Refused("the meter nvml needs the package zeus in this Python: pip install zeus", 3) from None
    try:
        gpus = get_gpus()
        names = [gpus.get_name(i) for i in range(len(gpus))]
        counts = index < len(names) and gpus.supports_get_total_energy_consumption(index)
    except Exception as error:  # zeus has one class for each of NVML's errors
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise Refused(f"no NVIDIA GPU can be read: {reason}") from None
    if index >= len(names):
        raise Refused(f"no GPU {index} here: NVML has {', '.join(names) or 'none'}, numbered from 0")
    includes = f"the GPU board ({names[index]}) with its memory, without the host"
    if counts:
        counter = (lambda: gpus.get_total_energy_consumption(index) / 1e3, 0.0)  # 64 bits of mJ: no wrap-around
        return CounterMeter("nvml", f"{includes}, by its energy counter", [counter])
    return SampledMeter("nvml", f"{includes}, by its sampled power", lambda: gpus.get_average_power_usage(index) / 1e3)


def read_sensor(path: str | Path) -> float:
    """The number in a file of sysfs."""
    try:
        with open(path, encoding="ascii") as file:  # noqa: PTH123
            return float(file.read(64))
    except PermissionError:
        how = "run this as root"
        if Path(path).name == "energy_uj":  # for root only since Linux 5.10
            how += ", or until the next start: sudo chmod a+r /sys/class/powercap/intel-rapl:*/energy_uj"
        raise Refused(f"{path}: permission denied: {how}") from None
    except (OSError, ValueError) as error:
        raise Refused(f"{path}: cannot be read: {error}") from None
