"""The page of a served folder: what stands on it, that it needs nothing else, and that it shows in a browser."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from nas.monitor.log import read_log
from nas.monitor.page import done_of, monitor_page, panels_of
from nas.monitor.timeline import Panel, Series, panel_svg
from tests.cli.command import call

START = datetime(2026, 11, 26, 9, 30, tzinfo=UTC)


def window(minute: float, accuracy: float | None, **more: object) -> dict[str, object]:
    known = {"accuracy": accuracy, "trusted": True}
    if accuracy is not None:
        known |= {"accuracy_low": accuracy - 0.04, "accuracy_high": accuracy + 0.04}
    counts = {"captured": 510, "served": 500, "skipped": 10, "late": 3}
    times = {"p50_ms": 2.0, "p90_ms": 2.6, "p99_ms": 4.0, "result_p90_ms": 3.1}
    return {"kind": "window", "minute": minute, "temperature_c": 50 + minute / 10} | counts | times | known | more


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A story: clean, drift, alarm, adapted, labelled, another version."""
    events: list[dict[str, object]] = [{"kind": "start", "minute": 0, "source": "camera 0"}]
    events += [window(m, 0.81 + 0.005 * (m % 3)) for m in range(1, 20)]
    events.append({"kind": "alarm", "minute": 20.1, "chart": "picture", "value": 14.2, "limit": 11.0,
                   "expected_loss_points": None, "frames": ["1-2.png", "1-3.png"]})  # fmt: skip
    events.append({"kind": "alarm", "minute": 21.5, "chart": "accuracy", "value": 19.5, "limit": 6.0,
                   "expected_loss_points": 19.5, "frames": []})  # fmt: skip
    events += [window(m, 0.61, trusted=m > 23) for m in range(20, 28)]
    events.append({"kind": "adapt", "minute": 28, "before": 0.61, "after": 0.72, "images": 250})
    events += [window(m, 0.72) for m in range(29, 40)]
    events.append({"kind": "switch", "minute": 40.5, "from": 1, "to": 2, "why": "current names it"})
    events += [window(m, 0.79, version=2) for m in range(41, 60)]
    place = tmp_path / "flowers/monitor"
    (place / "frames").mkdir(parents=True)
    drawn = np.random.default_rng(0).integers(0, 256, (16, 16, 3), np.uint8)
    Image.fromarray(drawn).save(place / "frames/1-2.png")
    lines = []
    for n, event in enumerate(sorted(events, key=lambda e: float(str(e["minute"]))), 1):
        at = START + timedelta(minutes=float(str(event.pop("minute"))))
        lines.append({"n": n, "time": at.isoformat(), "version": 1, "precision": "int8", **event})
    (place / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return tmp_path / "flowers"


def page_of(folder: Path) -> str:
    return monitor_page(read_log(folder), str(folder), START + timedelta(hours=1))


def test_the_page_tells_what_happened_and_needs_nothing_else(folder: Path) -> None:
    page = page_of(folder)
    assert "What to do next" in page and "alarm: picture" in page and "19.5 points of accuracy" in page
    assert "+11.0 points, estimated (61.0% to 72.0%)" in page
    assert "version 2 is served instead of 1" in page and page.count('<img alt="a frame before the alarm"') == 1
    assert not re.search(r'(src|href)="(?!data:)', page) and "url(" not in page and "<script" not in page
    assert len(page) < 300_000


def test_the_estimate_and_its_interval_are_of_the_same_window(folder: Path) -> None:
    place = folder / "monitor/log.jsonl"
    last = json.loads(place.read_text().splitlines()[-1])
    with place.open("a") as file:
        file.write(json.dumps(last | window(60, 0.88) | {"n": last["n"] + 1, "kind": "window"}) + "\n")
    page = page_of(folder)
    figures = page[: page.index("Over time")]
    assert "88.0%" in figures and "84.0% to 92.0%" in figures


def test_a_command_is_set_as_one_and_a_name_in_it_is_no_markup(folder: Path) -> None:
    place = folder / "monitor/log.jsonl"
    last = json.loads(place.read_text().splitlines()[-1])
    with place.open("a") as file:
        for event in ({"kind": "alarm", "chart": "picture"}, {"kind": "profile", "why": "slower"}):
            file.write(json.dumps(last | event) + "\n")
    page = monitor_page(read_log(folder), "a<b>/" + 30 * "c", START + timedelta(hours=1))
    assert f"<code>nas calibrate a&lt;b&gt;/{30 * 'c'} --labels labels.csv</code>" in page
    assert "<code class=short>nas profile --quick</code>" in page and "`" not in page


def test_what_was_done_says_what_it_brought(folder: Path) -> None:
    switch, adapt = done_of(read_log(folder))
    assert switch["what"].startswith("version 2 is served") and switch["brought"].startswith("+7.0 points, estimated")
    assert adapt["brought"] == "+11.0 points, estimated (61.0% to 72.0%)"


def test_charts_have_gaps_bands_versions_and_marks(folder: Path) -> None:
    accuracy, latency, temperature = panels_of(read_log(folder))
    trusted, untrusted = accuracy.series
    assert trusted.values.count(None) == 4 and sum(v is not None for v in untrusted.values) == 4 and untrusted.dashed
    assert (trusted.low[0], trusted.values[0], trusted.high[0]) == pytest.approx((77.5, 81.5, 85.5))
    assert [span[2] for span in accuracy.spans] == ["version 1, int8", "version 2, int8"]
    assert [mark.letter for mark in accuracy.marks] == ["!", "!", "A", "V"] and latency.zero
    assert temperature.unit == "°C"


@pytest.mark.parametrize(
    "values", [(5.0,), (3.0, 3.0), (0.0, 0.0), (None, None), (1e-9, 2e-9), (0.1, 1e9), (-5.0, None, 7.0), (None, 4.0)]
)
def test_any_values_make_a_whole_chart(values: tuple[float | None, ...]) -> None:
    times = tuple(START + timedelta(minutes=i) for i in range(len(values)))
    svg = panel_svg(Panel("a <b> & c", "ms", times, (Series("x", "c0", values, values, values),)))
    for one in re.findall(r"<svg.*?</svg>", svg):
        for element in ElementTree.fromstring(one).iter():
            for name in ("x", "y", "x1", "x2", "y1", "y2", "cx", "cy", "points"):
                numbers = [float(v) for v in re.split(r"[ ,]", element.get(name, "0"))]
                assert all(-1 <= v <= 961 for v in numbers), (name, numbers)


def test_a_name_from_a_board_cannot_become_markup(folder: Path) -> None:
    path = folder / "monitor/log.jsonl"
    path.write_text(path.read_text().replace("current names it", "<script>alert(1)</script>"))
    page = page_of(folder)
    assert "<script" not in page and "&lt;script&gt;" in page


def test_nas_monitor_writes_the_page(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    said = call(capsys, monkeypatch, "monitor", str(folder), "--html", str(tmp_path / "out.html"))
    assert said.status == 0 and "Written: " in said.err and (tmp_path / "out.html").read_text().startswith("<!doctype")


def test_a_folder_that_was_served_for_a_moment_has_a_page(tmp_path: Path) -> None:
    (tmp_path / "monitor").mkdir()
    line = {"n": 1, "time": START.isoformat(), "version": 1, "precision": "fp32", "kind": "start", "source": "x"}
    (tmp_path / "monitor/log.jsonl").write_text(json.dumps(line) + "\n")
    page = page_of(tmp_path)
    assert "Nothing was served yet" in page and "There was none." in page and "<svg" not in page
