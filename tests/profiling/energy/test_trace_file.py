"""Power traces as meters write them: energies by hand arithmetic."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from nas.errors import UserError
from nas.profiling.energy.power_trace import integrate
from nas.profiling.energy.trace_columns import power_units
from nas.profiling.energy.trace_file import read_trace

TRACES = Path(__file__).parent / "traces"
MARCH_1 = 1772360100.0  # 2026-03-01 10:15:00 UTC, by date -u -d @1772360100


def test_a_usb_meters_own_power_column_is_read():
    trace = read_trace(TRACES / "usb_meter.csv")
    assert trace.t[0] == MARCH_1 and trace.period_s == 1.0 and len(trace.t) == 13
    # 2 W, and 5 W in four samples: 4 s at 2 and a ramp of 3.5 J mean: 0-3 s: 6 J, 3-4: 3.5, 4-7: 15, 7-8: 3.5, 8-12: 8
    assert integrate(trace, MARCH_1, MARCH_1 + 12) == pytest.approx(36.0)
    assert integrate(trace, MARCH_1 + 4, MARCH_1 + 7) == pytest.approx(15.0)
    assert trace.step_w == pytest.approx(3.0)


def test_millivolts_milliamps_milliseconds_decimal_commas_and_a_preamble():
    trace = read_trace(TRACES / "bench_ramp.csv")
    np.testing.assert_allclose(trace.t, np.arange(9) * 0.5)
    assert integrate(trace, 0.0, 4.0) == pytest.approx(4.0)  # a ramp from 0 to 2 W in 4 s
    assert integrate(trace, 1.0, 3.0) == pytest.approx(2.0)  # from 0.5 to 1.5 W in 2 s


def test_columns_between_spaces_without_a_power():
    trace = read_trace(TRACES / "usb_logger.txt")
    assert integrate(trace, 1740824100.0, 1740824100.1) == pytest.approx(0.102, rel=1e-6)  # 5.1 V x 0.2 A x 0.1 s


def test_a_clock_that_passes_midnight_and_counts_whole_seconds():
    trace = read_trace(TRACES / "clock_midnight.csv")
    np.testing.assert_allclose(np.diff(trace.t), 1.0)
    np.testing.assert_allclose(trace.watts, [0.1, 1.1, 2.1, 3.1, 4.1])  # of each second the mean


@pytest.mark.parametrize(
    ("text", "seconds", "watts"),
    [
        ("time_s,power_w\n0,1\n1,2\n", [0, 1], [1, 2]),
        ("t;W\n0;1,5\n1;2,5\n", [0, 1], [1.5, 2.5]),
        ("Timestamp\tVBUS(V)\tIBUS(A)\n10\t5\t1\n11\t5\t2\n", [10, 11], [5, 10]),
        ("Time (ms),Main(mA),Main Voltage(V)\n0,1000,4\n20,500,4\n", [0, 0.02], [4, 2]),
        ("unix time,watts\n1772360100123,1\n1772360101123,2\n", [1772360100.123, 1772360101.123], [1, 2]),
        (
            "DateTime,Power (W)\n2026-03-01T10:15:00.5Z,1\n2026-03-01T10:15:01Z,2\n",
            [MARCH_1 + 0.5, MARCH_1 + 1],
            [1, 2],
        ),
        ("Timestamp,Power W\n2026/03/01 10:15:00,1\n2026/03/01 10:15:01.250,2\n", [MARCH_1, MARCH_1 + 1.25], [1, 2]),
        ("time,power_w,Power factor,Apparent power (VA)\n0,1,.5,2\n1,2,.5,4\n", [0, 1], [1, 2]),
        ("time,watts\n0,1\n1,\n\n2,3\n", [0, 2], [1, 3]),  # dropped samples
        ("\ufefftime,power_w\r\n0,1\r\n1,2\r\n", [0, 1], [1, 2]),
    ],
)
def test_columns_are_known_by_name_and_unit(tmp_path, text, seconds, watts):
    (tmp_path / "trace.csv").write_text(text, encoding="utf-8", newline="")
    trace = read_trace(tmp_path / "trace.csv")
    np.testing.assert_allclose(trace.t, seconds, rtol=0, atol=1e-6)
    np.testing.assert_allclose(trace.watts, watts)


JETSON = "time,uptime,CPU1,GPU,Temp CPU,Power CPU,Power GPU,Power TOT\n"  # as jetson_stats' logger names them
TEGRASTATS = "RAM 2034/7620MB (lfb 4x2MB) CPU [2%@1190,0%@1190] {rails} VDD_SOC 1470mW/1470mW\n"


@pytest.mark.parametrize(
    ("text", "seconds", "watts"),
    [
        (JETSON + "2026-03-01 10:15:00.0,9,1,0,40,900,700,5034\n2026-03-01 10:15:01.0,9,1,0,40,900,700,50000\n",
         [MARCH_1, MARCH_1 + 1], [5.034, 50.0]),
        ("time,Power cur,Power avg\n0,5000,4000\n1,6000,4500\n", [0, 1], [5, 6]),
        ("timestamp, power.draw [W]\n2026/03/01 10:15:00.250, 25.31 W\n2026/03/01 10:15:01.250, 26.00 W\n",
         [MARCH_1 + 0.25, MARCH_1 + 1.25], [25.31, 26]),
        ("timestamp, power.draw [W]\n2026/03/01 10:15:00.250, 25.31\n2026/03/01 10:15:01.250, 26.00\n",
         [MARCH_1 + 0.25, MARCH_1 + 1.25], [25.31, 26]),  # csv,nounits
        ("timestamp, power.draw.instant, power.limit [W]\n0, 25.31, 70.00 W\n1, 26, 70.00 W\n", [0, 1], [25.31, 26]),
        ("timestamp, index, power.draw [W]\n0, 0, 5 W\n1, 0, 6 W\n", [0, 1], [5, 6]),
        ("time,power_mw\n0,1500\n1,2500\n", [0, 1], [1.5, 2.5]),
        ("time,Power (uW)\n0,1500000\n1,2500000\n", [0, 1], [1.5, 2.5]),
        ("time,P [µW]\n0,1500000\n1,2500000\n", [0, 1], [1.5, 2.5]),
        ("time,power_mW_total\n0,1500\n1,2500\n", [0, 1], [1.5, 2.5]),
        ("time,milliwatts\n0,1500\n1,2500\n", [0, 1], [1.5, 2.5]),
        ("time,power\n0,840 mW\n1,1.2 W\n2,900mW\n", [0, 1, 2], [0.84, 1.2, 0.9]),  # a meter that changes its range
        ("time;power\n0;1,5 W\n1;2,25 W\n", [0, 1], [1.5, 2.25]),
        ("time\tPower (mW)\n0\t1500,5\n1\t2\n", [0, 1], [1.5005, 0.002]),
        ("t;W\n0;5\n1;2,5\n", [0, 1], [5, 2.5]),  # the comma is not in the first row
        ("time,voltage,current\n0,5 V,200 mA\n1,5 V,400 mA\n", [0, 1], [1, 2]),
        ("time,power,Voltage(V),Current(A)\n0,9,5,.2\n1,9,5,.4\n", [0, 1], [1, 2]),  # what has units
        ("\n".join(f"03-01-2026 10:15:0{s} " + TEGRASTATS.format(rails=f"VDD_IN {mw}mW/5000mW").strip()
                   for s, mw in ((0, 5000), (1, 7000), (1, 8000))), [MARCH_1, MARCH_1 + 1], [5, 7.5]),
        ("1772360100.5 " + TEGRASTATS.format(rails="POM_5V_IN 2500/2400")
         + "1772360101.0 " + TEGRASTATS.format(rails="POM_5V_IN 3500/2400"), [MARCH_1 + 0.5, MARCH_1 + 1], [2.5, 3.5]),
    ],
)  # fmt: skip
def test_a_powers_unit_is_its_names_its_numbers_or_its_tools(tmp_path, text, seconds, watts):
    (tmp_path / "trace.csv").write_text(text, encoding="utf-8")
    trace = read_trace(tmp_path / "trace.csv")
    np.testing.assert_allclose(trace.t, seconds, rtol=0, atol=1e-6)
    np.testing.assert_allclose(trace.watts, watts)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (
            "time,power\n0,1\n1,2\n",
            "the unit of the power must be known; 'power' has none (line 2): say it with --power",
        ),
        ("time,Power VDD_IN\n0,5034\n1,5034\n", "--power-unit mW, or rename the column"),
        ("time,power\n0,1 W\n1,2\n", "'power' has none (line 3)"),
        ("time,voltage,current_ma\n0,5,1\n1,5,1\n", "the unit of the voltage must be known; 'voltage' has none"),
        ("time,voltage_v,current\n0,5,1\n1,5,1\n", "--power-unit mV,mA"),
        ("time,power (mW)\n0,1 W\n1,2 W\n", "names another unit than its numbers"),
        ("time,power\n0,5 VA\n1,5 VA\n", "line 2: must be a number, or one with a unit of power; got '5 VA'"),
        ("timestamp, power.draw [W]\n0, [N/A]\n1, 5 W\n", "line 2: must be a number"),
        ('time,power_w\n0,"1,234"\n1,"2,5"\n', "line 2: must be a number"),
        (TEGRASTATS.format(rails="VDD_IN 5034mW/5034mW"), "tegrastats | ts %.s"),
        ("03-01-2026 10:15:00 " + TEGRASTATS.format(rails=""), "line 1: "),
        ("13-41-2026 10:15:00 " + TEGRASTATS.format(rails="VDD_IN 1mW/1mW"), "is not a valid date"),
        ("time_s,power_w\n0,1\n1e18,2\n", "at most seven days; got 1e+18 s"),
        ("timestamp, index, power.draw [W]\n0, 0, 5 W\n0, 1, 9 W\n1, 0, 5 W\n1, 1, 9 W\n", "must be of one GPU"),
        ("time,power_w\n0,1e300\n1,2\n", "powers must be at most 1e+06 W"),
    ],
)
def test_a_unit_that_nothing_says_is_refused_with_the_option_that_says_it(tmp_path, text, says):
    (tmp_path / "trace.csv").write_text(text)
    with pytest.raises(UserError) as error:
        read_trace(tmp_path / "trace.csv")
    assert says in str(error.value) and "\n" not in str(error.value)


def test_the_user_may_say_the_unit(tmp_path):
    (tmp_path / "trace.csv").write_text("time,power\n0,5034\n1,50000\n")
    np.testing.assert_allclose(read_trace(tmp_path / "trace.csv", power_units("mW")).watts, [5.034, 50])
    (tmp_path / "trace.csv").write_text("time,voltage,current\n0,5000,1000\n1,5000,2000\n")
    np.testing.assert_allclose(read_trace(tmp_path / "trace.csv", power_units("mV,mA")).watts, [5, 10])
    (tmp_path / "trace.csv").write_text("time,power_w\n0,5\n1,6\n")
    with pytest.raises(UserError, match="names another unit than --power-unit"):
        read_trace(tmp_path / "trace.csv", power_units("mW"))
    for wrong in ("", "J", "s", "mW,W", "m W"):
        with pytest.raises(UserError, match="--power-unit must be W, mW or uW"):
            power_units(wrong)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "the file is empty"),
        ("a,b\n1,2\n", "must name a time column and power, or voltage and current"),
        ("time,current\n0,1\n1,2\n", "must name a time column and power, or voltage and current"),
        ("time,power_w\n0,1\n1,OL\n", "line 3: must be a number, or one with a unit of power; got 'OL'"),
        ("note\ntime,power_w\n0,1\n1,inf\n", "line 4: must be a number"),
        ("time,power_w\n0,1\n2,1\n1,1\n", "line 4: times must not go back; 1.000000 s follows 2.000000 s"),
        ("time,power_w\n2026-03-01 10:15:00,1\nyesterday,1\n", "line 3: a time must be"),
        (
            "time,Power A (W),Power B (W)\n0,1,2\n1,1,2\n",
            "column could be the power: Power A (W), Power B (W)",
        ),
        ("time,power_w\n0,1\n", "two or more samples"),
        ("time,power_w\n0,1\n1,2,3,4\n0,1,2,3,4,5\n", "trace.csv"),
    ],
)
def test_what_is_no_trace_is_refused_in_one_line(tmp_path, text, says):
    (tmp_path / "trace.csv").write_text(text)
    with pytest.raises(UserError) as error:
        read_trace(tmp_path / "trace.csv")
    assert says in str(error.value) and "\n" not in str(error.value)


def test_a_trace_that_is_not_there_or_too_large_is_refused(tmp_path, monkeypatch):
    with pytest.raises(UserError, match=r"nowhere\.csv"):
        read_trace(tmp_path / "nowhere.csv")
    monkeypatch.setattr("nas.profiling.energy.trace_file.LARGEST", 100)
    with pytest.raises(UserError, match="must have at most"):
        read_trace(TRACES / "usb_meter.csv")


def test_powertop_reports_become_one_sample_each():
    trace = read_trace(TRACES / "powertop")
    assert trace.local_time
    np.testing.assert_allclose(trace.t - MARCH_1, [10, 30, 50, 70])  # the middles of four times 20 s
    np.testing.assert_allclose(trace.watts, [8.0, 12.0, 12.0, 0.9])
    assert integrate(trace, MARCH_1 + 10, MARCH_1 + 50) == pytest.approx(440.0)  # 20 s at 10 W mean, 20 s at 12 W


def test_powertop_reports_one_after_the_other_in_one_file(tmp_path):
    reports = sorted((TRACES / "powertop").glob("*.csv"))
    (tmp_path / "all.csv").write_text("".join(report.read_text() for report in reports[:2]))
    np.testing.assert_allclose(read_trace(tmp_path / "all.csv").watts, [8.0, 12.0])


def test_an_old_powertop_that_does_not_say_when_it_ran_is_dated_by_the_file_name(tmp_path):
    for report in (TRACES / "powertop").glob("*.csv"):
        (tmp_path / report.name).write_text(report.read_text().replace(" ran at Sun Mar  1", ""))
    np.testing.assert_allclose(read_trace(tmp_path).t - MARCH_1, [10, 30, 50, 70])


def test_powertop_on_mains_says_that_it_must_run_on_battery(tmp_path):
    for report in (TRACES / "powertop").glob("*.csv"):
        lines = [line for line in report.read_text().splitlines() if "discharge" not in line]
        (tmp_path / report.name).write_text("\n".join(lines))
    with pytest.raises(UserError, match="PowerTOP knows power on battery only"):
        read_trace(tmp_path)


def test_a_folder_holds_powertops_reports_alone(tmp_path):
    with pytest.raises(UserError, match="it has 0"):
        read_trace(tmp_path)
    shutil.copy(TRACES / "usb_meter.csv", tmp_path)
    with pytest.raises(UserError, match="is not a report of PowerTOP"):
        read_trace(tmp_path)


def test_spaces_without_end_in_a_report_take_no_time(tmp_path):
    """A pattern that may try every number of spaces would take hours over these."""
    report = next((TRACES / "powertop").glob("*.csv")).read_text()
    (tmp_path / "power.csv").write_text(report.replace("discharge rate of", "discharge rate of" + " " * 1_000_000) * 2)
    with pytest.raises(UserError, match="needs two or more PowerTOP reports"):
        read_trace(tmp_path / "power.csv")


def test_reports_that_are_too_much_together_are_refused(tmp_path, monkeypatch):
    shutil.copytree(TRACES / "powertop", tmp_path / "reports")
    monkeypatch.setattr("nas.profiling.energy.trace_file.LARGEST", 3000)
    with pytest.raises(UserError, match="MB together"):
        read_trace(tmp_path / "reports")
