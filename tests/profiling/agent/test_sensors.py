"""The agent's energy meters against trees of sysfs files as Linux has them, and NVML behind the real zeus."""

from __future__ import annotations

import builtins
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from nas.profiling.agent import sensors
from nas.profiling.agent.sensors import open_meter
from nas.profiling.agent.terminal import Refused
from tests.profiling.agent.bundle import Clock, set_time


def write(path: Path, value) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"{value}\n")
    return path


def rapl_zone(sysfs, zone, name, uj, most=262_143_328_850):
    folder = sysfs / "class/powercap" / zone
    write(folder / "name", name)
    write(folder / "max_energy_range_uj", most)
    return write(folder / "energy_uj", uj)


def hwmon_rail(sysfs, index, label, mv, ma, chip="1-0040", hwmon="hwmon3"):
    folder = sysfs / "bus/i2c/drivers/ina3221" / chip / "hwmon" / hwmon
    write(folder / f"in{index}_label", label)
    write(folder / f"in{index}_input", mv)
    return write(folder / f"curr{index}_input", ma)


def iio_rail(sysfs, index, name, mw):
    folder = sysfs / "bus/i2c/drivers/ina3221x/6-0040/iio:device0"
    write(folder / f"rail_name_{index}", name)
    return write(folder / f"in_power{index}_input", mw)


def test_rapl_adds_packages_and_leaves_out_their_parts_and_the_platform(tmp_path):
    first = rapl_zone(tmp_path, "intel-rapl:0", "package-0", 5_000_000)
    second = rapl_zone(tmp_path, "intel-rapl:1", "package-1", 7_000_000)
    others = [
        rapl_zone(tmp_path, "intel-rapl:0:0", "core", 1),
        rapl_zone(tmp_path, "intel-rapl:0:1", "dram", 1),
        rapl_zone(tmp_path, "intel-rapl:2", "psys", 1),
        rapl_zone(tmp_path, "intel-rapl-mmio:0", "package-0", 1),  # the same package, read another way
    ]
    meter = open_meter("rapl", str(tmp_path))
    assert meter.name == "rapl" and "2 processor package" in meter.includes and "without DRAM" in meter.includes
    first.write_text("6500000\n")
    second.write_text("7250000\n")
    for other in others:
        other.write_text("99000000\n")
    assert meter.joules() == pytest.approx(1.75)


def test_rapl_wraps_around(tmp_path):
    energy = rapl_zone(tmp_path, "intel-rapl:0", "package-0", 262_140_000_000)
    meter = open_meter("rapl", str(tmp_path))
    energy.write_text("262143000000\n")
    assert meter.joules() == pytest.approx(3.0)
    energy.write_text("671150\n")  # 0.32885 J to the end, 0.67115 J after it
    assert meter.joules() == pytest.approx(4.0)
    energy.write_text("1671150\n")
    assert meter.joules() == pytest.approx(5.0)


def test_start_sets_rapl_to_zero_and_finds_how_often_it_changes(tmp_path, monkeypatch):
    energy = rapl_zone(tmp_path, "intel-rapl:0", "package-0", 0)
    meter = open_meter("rapl", str(tmp_path))
    clock = Clock(each=1e-4)
    set_time(monkeypatch, clock)

    def read(path):  # 20 W, brought up to date every 2 ms
        return int((clock.now - 1000) * 500) * 40_000

    monkeypatch.setattr(sensors, "read_sensor", read)
    meter.start()
    assert meter.period_s == pytest.approx(2e-3, rel=0.1)
    before = meter.joules()
    clock.sleep(3.0)
    assert meter.joules() - before == pytest.approx(60.0, abs=0.04)
    energy.unlink()


def test_a_counter_that_stands_still_has_the_longest_period(tmp_path, monkeypatch):
    rapl_zone(tmp_path, "intel-rapl:0", "package-0", 0)
    meter = open_meter("rapl", str(tmp_path))
    set_time(monkeypatch, Clock(each=0.01))
    meter.start()
    assert meter.period_s == 1.0


def test_rapl_that_only_root_may_read_says_how_to_allow_it(tmp_path, monkeypatch):
    rapl_zone(tmp_path, "intel-rapl:0", "package-0", 5)
    opened = builtins.open

    def refuse(path, *args, **kwargs):
        if str(path).endswith("energy_uj"):
            raise PermissionError(13, "Permission denied")
        return opened(path, *args, **kwargs)

    monkeypatch.setattr(builtins, "open", refuse)
    with pytest.raises(Refused, match=r"permission denied: .*sudo chmod a\+r .*/energy_uj"):
        open_meter("rapl", str(tmp_path))


def test_no_rapl_says_where_it_would_be(tmp_path):
    with pytest.raises(Refused, match="no RAPL here"):
        open_meter("rapl", str(tmp_path))
    rapl_zone(tmp_path, "intel-rapl:0", "psys", 5)
    with pytest.raises(Refused, match="no RAPL here"):
        open_meter("rapl", str(tmp_path))


def test_a_sensor_that_shows_no_number_is_named(tmp_path):
    rapl_zone(tmp_path, "intel-rapl:0", "package-0", "n/a")
    with pytest.raises(Refused, match=r"energy_uj: cannot be read: could not convert"):
        open_meter("rapl", str(tmp_path))


def test_ina3221_of_newer_jetsons_is_added_up_by_trapezoids(tmp_path, clock):
    hwmon_rail(tmp_path, 2, "VDD_CPU_GPU_CV", 5000, 100)
    hwmon_rail(tmp_path, 3, "VDD_SOC", 5000, 100)
    current = hwmon_rail(tmp_path, 1, "VDD_IN", 5000, 800)  # 4 W
    write(current.parent / "in7_label", "sum of shunt voltages")
    meter = open_meter("ina3221", str(tmp_path))
    assert meter.includes == "the module's VDD_IN, by its INA3221"
    clock.sleep(2.0)
    assert meter.joules() == pytest.approx(8.0)
    current.write_text("1600\n")  # 8 W
    clock.sleep(0.5)
    assert meter.joules() == pytest.approx(11.0)  # half a second at 6 W on average
    clock.sleep(1.0)
    assert meter.joules() == pytest.approx(19.0)


def test_ina3221_of_older_jetsons_reads_milliwatts(tmp_path, clock):
    iio_rail(tmp_path, 1, "POM_5V_GPU", 500)
    iio_rail(tmp_path, 2, "POM_5V_CPU", 600)
    power = iio_rail(tmp_path, 0, "POM_5V_IN", 2500)
    meter = open_meter("ina3221", str(tmp_path))
    assert "POM_5V_IN" in meter.includes
    clock.sleep(2.0)
    assert meter.joules() == pytest.approx(5.0)
    power.write_text("3500\n")
    clock.sleep(2.0)
    assert meter.joules() == pytest.approx(11.0)


def test_a_board_without_a_rail_for_the_whole_wants_them_named(tmp_path, clock):
    hwmon_rail(tmp_path, 1, "VDD_GPU_SOC", 20000, 100)  # 2 W
    hwmon_rail(tmp_path, 2, "VDD_CPU_CV", 20000, 50)  # 1 W
    hwmon_rail(tmp_path, 3, "VIN_SYS_5V0", 5000, 400)  # 2 W
    hwmon_rail(tmp_path, 1, "NC", 0, 0, chip="1-0041", hwmon="hwmon4")
    with pytest.raises(Refused, match=r"ina3221:A\+B, of VDD_CPU_CV, VDD_GPU_SOC, VIN_SYS_5V0$"):
        open_meter("ina3221", str(tmp_path))
    meter = open_meter("ina3221:VDD_GPU_SOC+VDD_CPU_CV+VIN_SYS_5V0", str(tmp_path))
    clock.sleep(2.0)
    assert meter.joules() == pytest.approx(10.0)
    for wrong in ("VDD_IN", "VDD_CPU_CV+VDD_CPU_CV"):
        with pytest.raises(Refused, match="rails must be of"):
            open_meter("ina3221:" + wrong, str(tmp_path))
    with pytest.raises(Refused, match="no INA3221 here"):
        open_meter("ina3221", str(tmp_path / "nowhere"))


def test_the_sampling_thread_adds_up_and_bridges_a_failed_reading(tmp_path):

    power = iio_rail(tmp_path, 0, "POM_5V_IN", 4000)
    meter = open_meter("ina3221", str(tmp_path))
    meter.start()
    began, before = meter.reading()
    time.sleep(0.1)
    power.write_text("")
    time.sleep(0.06)
    power.write_text("4000\n")
    time.sleep(0.1)
    ended, after = meter.reading()
    meter.stop()
    assert after - before == pytest.approx(4.0 * (ended - began), rel=0.02)
    power.write_text("")
    with pytest.raises(Refused, match="cannot be read"):
        meter.reading()


@pytest.fixture
def nvml(monkeypatch):
    """NVML with two GPUs, below zeus: a Pascal, which has no energy counter, and a Turing, which has one."""
    pytest.importorskip("zeus", reason="the meter nvml is zeus'")
    import pynvml
    import zeus.device.gpu
    import zeus.device.gpu.nvidia

    state = SimpleNamespace(mj={1: 123_456}, mw={0: 60_000})
    monkeypatch.setattr(zeus.device.gpu, "_gpus", None)
    monkeypatch.setattr(zeus.device.gpu, "nvml_is_available", lambda: True)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    architecture = {0: pynvml.NVML_DEVICE_ARCH_PASCAL, 1: pynvml.NVML_DEVICE_ARCH_TURING}

    def not_supported(handle):
        raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_SUPPORTED)

    def fields(handle, ids):
        assert ids == [(pynvml.NVML_FI_DEV_POWER_AVERAGE, pynvml.NVML_POWER_SCOPE_GPU)]
        return [SimpleNamespace(nvmlReturn=pynvml.NVML_SUCCESS, value=SimpleNamespace(uiVal=state.mw[handle]))]

    for name, function in {
        "nvmlInit": lambda: None,
        "nvmlShutdown": lambda: None,
        "nvmlDeviceGetCount": lambda: 2,
        "nvmlDeviceGetHandleByIndex": lambda index: index,
        "nvmlDeviceGetC2cModeInfoV": not_supported,
        "nvmlDeviceGetName": lambda handle: ("Example P4", "Example T4")[handle],
        "nvmlDeviceGetArchitecture": lambda handle: architecture[handle],
        "nvmlDeviceGetTotalEnergyConsumption": lambda handle: state.mj[handle],
        "nvmlDeviceGetFieldValues": fields,
    }.items():
        monkeypatch.setattr(pynvml, name, function)
    return state


def test_nvml_reads_the_counter_in_millijoules(nvml):
    meter = open_meter("nvml:1")
    assert "Example T4" in meter.includes and "energy counter" in meter.includes
    nvml.mj[1] += 2_500
    assert meter.joules() == pytest.approx(2.5)


def test_nvml_of_an_older_gpu_samples_its_power(nvml, clock):
    meter = open_meter("nvml")
    assert "Example P4" in meter.includes and "sampled" in meter.includes
    clock.sleep(0.5)
    assert meter.joules() == pytest.approx(30.0)  # 60 W for half a second


def test_nvml_says_which_gpus_there_are(nvml):
    with pytest.raises(Refused, match="no GPU 2 here: NVML has Example P4, Example T4, numbered from 0"):
        open_meter("nvml:2")


def test_nvml_without_a_driver_is_one_line(monkeypatch):
    pytest.importorskip("zeus", reason="the meter nvml is zeus'")
    import zeus.device.gpu

    monkeypatch.setattr(zeus.device.gpu, "_gpus", None)
    monkeypatch.setattr(zeus.device.gpu, "nvml_is_available", lambda: False)
    monkeypatch.setattr(zeus.device.gpu, "amdsmi_is_available", lambda: False)
    with pytest.raises(Refused, match="no NVIDIA GPU can be read: NVML and AMDSMI unavailable"):
        open_meter("nvml")


def test_nvml_without_zeus_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "zeus", None)
    monkeypatch.setitem(sys.modules, "zeus.device", None)
    with pytest.raises(Refused, match="pip install zeus") as error:
        open_meter("nvml")
    assert error.value.status == 3


def test_no_meter_and_unknown_meters():
    assert open_meter("none") is None
    for wrong in ("watts", "rapl:0", "nvml:first", "none:", "external:usb"):
        with pytest.raises(Refused, match=r"unknown meter .* \(known: rapl, ina3221"):
            open_meter(wrong)
