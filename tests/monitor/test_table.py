"""What a log says in rows and words, and what to do next."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from nas.cli.output import print_table
from nas.monitor.advice import next_steps, open_alarms
from nas.monitor.log import Log, read_log
from nas.monitor.table import HEADS, WIDTHS, cells_of, events_of, periods_of

BEGAN = datetime(2026, 11, 26, 13, 0, tzinfo=UTC)


class Written:
    """A log that is written minute by minute."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.lines = folder, 0
        (folder / "monitor").mkdir()

    def add(self, kind: str, version: int = 1, **facts: Any) -> Written:
        self.lines += 1
        line = {"n": self.lines, "time": self.now.isoformat(), "kind": kind, "version": version, "precision": "int8"}
        with (self.folder / "monitor/log.jsonl").open("a") as file:
            file.write(json.dumps(line | facts) + "\n")
        return self

    def window(self, version: int = 1, **facts: Any) -> Written:
        usual = {"captured": 600, "served": 500, "skipped": 100, "late": 0, "p50_ms": 2.0, "p90_ms": 3.0}
        return self.add("window", version, **usual | facts)

    @property
    def now(self) -> datetime:
        return BEGAN + timedelta(minutes=self.lines)

    @property
    def log(self) -> Log:
        return read_log(self.folder)

    def steps(self, later: timedelta = timedelta(minutes=1)) -> str:
        return " ".join(next_steps(self.log, "flowers", self.now + later))


@pytest.fixture
def written(tmp_path: Path) -> Written:
    return Written(tmp_path)


def test_windows_are_put_together_by_model(written: Written) -> None:
    for number in range(40):
        written.window(p50_ms=1.0 + number % 2, temperature_c=50.0 + number, late=1)
    written.window(2, accuracy=0.61, accuracy_low=0.55, accuracy_high=0.66, trusted=True)
    written.window(2, accuracy=0.63, accuracy_low=0.57, accuracy_high=0.68, trusted=False)
    periods = periods_of(written.log, most=10)
    assert len(periods) == 9 and [p.version for p in periods] == [1] * 8 + [2]
    assert sum(p.served for p in periods) == 42 * 500 and sum(p.late for p in periods) == 40
    first, last = periods[0], periods[-1]
    assert (first.p50_ms, first.temperature_c, first.accuracy, first.trusted) == (1.0, 54.0, None, False)
    assert last.accuracy == pytest.approx(0.62) and last.accuracy_low == pytest.approx(0.56) and not last.trusted
    assert cells_of(last)[6] == "62 (56-67)?"


WORST = {"served": 2**53, "skipped": 2**53, "late": 2**53, "p90_ms": 1e12, "accuracy": 1.0, "accuracy_low": 1.0,
         "accuracy_high": 1.0, "trusted": False, "temperature_c": -1e12}  # fmt: skip


@pytest.mark.parametrize(
    "facts",
    [WORST, WORST | {"p90_ms": 1e-9, "served": 99_999, "skipped": 100_000, "late": 999_999, "temperature_c": 1e12}]
    + [{"p90_ms": ms, "served": n} for n, ms in enumerate((99_999.5, 99_999, 9_999.5, 0.099999, 0.009999, 0.000999))],
)
def test_a_row_has_at_most_80_columns_whatever_was_measured(
    facts: dict[str, Any], written: Written, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    written.window(10**9, **facts)
    written.window(**facts | {"accuracy": 0.71, "accuracy_low": 0.64, "accuracy_high": 0.775, "trusted": True})
    rows = [cells_of(period) for period in periods_of(written.log)]
    assert all(len(cell) <= most for row in [*rows, HEADS] for cell, most in zip(row, WIDTHS, strict=True))
    print_table(HEADS, rows)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) <= 6 and max(map(len, lines)) <= 80, "a row is one line"
    assert rows[1][1] == "1 int8" and rows[1][6] == "71 (64-78)"


def test_counts_and_times_keep_what_a_person_reads(written: Written) -> None:
    for served, ms in ((99_999, 1234.5), (1_234_567, 0.0535), (250, 12.34), (250, 0.00123), (250, 123_456)):
        written.window(served=served, p90_ms=ms)
    found = [(cells_of(period)[2], cells_of(period)[5]) for period in periods_of(written.log)]
    assert found == [("99999", "1,234"), ("1.23M", "0.0535"), ("250", "12.3"), ("250", "0.0012"), ("250", "123k")]


def test_an_alarm_ends_with_its_clear_another_version_or_a_start_without_it(written: Written) -> None:
    written.add("alarm", chart="picture", value=9.5, limit=4.0).add("alarm", chart="latency", value=1.5, limit=1.1)
    written.add("start").window()  # of an older serve.pyz, which does not say what stands
    assert [alarm.chart for alarm in open_alarms(written.log)] == ["picture", "latency"]
    written.add("start", alarms=["latency"])
    assert [alarm.chart for alarm in open_alarms(written.log)] == ["latency"]
    written.add("start", 2)
    assert open_alarms(written.log) == []


def test_a_slowdown_that_is_over_asks_for_no_profile(written: Written) -> None:
    written.add("alarm", chart="latency", value=1.5, limit=1.1, explained=None).add("profile", why="slower")
    assert "nas profile --quick" in written.steps()
    written.add("clear", chart="latency")
    assert "nas profile --quick" not in written.steps()
    written.add("alarm", chart="latency", value=1.48, limit=1.05, explained="load: other programs use 60%")
    assert events_of(written.log)[-1][1] == (
        "alarm: latency; inference takes 1.48 times the usual; load: other programs use 60%"
    )


def test_a_log_without_a_window_has_no_rows(written: Written) -> None:
    written.add("start", source="camera 0")
    assert periods_of(written.log) == []
    assert [words for _, words in events_of(written.log)] == ["serving began with version 1, int8: camera 0"]


def test_every_event_is_said(written: Written) -> None:
    written.add("alarm", chart="picture", value=9.5, limit=4.0, expected_loss_points=6.12)
    written.add("clear", chart="picture").add("adapt", before=0.5, after=0.6, images=256).add("undo", why="it is over")
    written.add("switch", **{"from": 1, "to": 2, "why": "current names it"})
    written.add("switch", **{"from": 1, "to": 3, "failed": True, "why": "no model"})
    written.add("labels", labels=20, right=15).add("profile", why="slower").add("stop", why="interrupted").window()
    assert [words for _, words in events_of(written.log)] == [
        "alarm: picture 9.50, limit 4.00; 6.1 points of accuracy expected to be lost",
        "over: picture",
        "adapted to recent images: accuracy estimated 50.0% before, 60.0% after",
        "adaptation undone; it is over",
        "version 2 is served instead of 1: current names it",
        "version 3 could not be served, version 1 goes on: no model",
        "15 of 20 labelled frames were classified as labelled",
        "the board should be profiled again: slower",
        "serving ended: interrupted",
    ]


def test_nothing_to_do(written: Written) -> None:
    written.add("start").window(skipped=0, captured=500)
    assert written.steps() == "Nothing to do."


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        ({"expected_loss_points": 6.0}, "6.0 points of accuracy are expected to be lost: look at the camera"),
        ({"expected_loss_points": 0.4}, "only 0.4 points of accuracy are expected to be lost: nothing to do yet"),
        ({}, "cannot be told without labels"),
    ],
)
def test_an_alarm_that_goes_on(written: Written, facts: dict[str, Any], said: str) -> None:
    written.add("alarm", chart="picture", **facts)
    assert said in written.steps()
    written.add("switch", **{"from": 1, "to": 9, "failed": True})
    assert said in written.steps(), "a version that is not served ends no alarm"
    written.add("switch", **{"from": 1, "to": 2})
    assert said not in written.steps()
    written.add("alarm", 2, chart="picture", **facts).add("clear", 2, chart="picture")
    assert said not in written.steps()


def test_what_is_lost_is_told_by_the_last_frames_once_there_are_enough(written: Written) -> None:
    """The window in which an alarm is raised has frames of before it."""
    written.window(accuracy=0.64, trusted=True).add("alarm", chart="picture", expected_loss_points=24.3)
    written.window(accuracy=0.57, trusted=True)
    assert "24.3 points of accuracy are expected to be lost" in written.steps()
    written.window(accuracy=0.60, trusted=True)
    assert " 4.0 points of accuracy are expected to be lost: look" in written.steps()
    written.window(accuracy=0.66, trusted=True).add("alarm", chart="features", expected_loss_points=7.0)
    assert "only 0.0 points" in written.steps()
    written.window(accuracy=0.30, trusted=False)
    assert "cannot be told without labels" in written.steps()
    written.add("switch", **{"from": 1, "to": 2}).add("alarm", 2, chart="picture", expected_loss_points=24.3)
    written.window(2, accuracy=0.57, trusted=True).window(2, accuracy=0.61, trusted=True)
    assert " 24.3 points" in written.steps(), "an older serve.pyz did not say what is usual"
    written.add("switch", **{"from": 2, "to": 3})
    written.add("alarm", 3, chart="picture", expected_loss_points=24.3, usual=0.668)
    written.window(3, accuracy=0.57, trusted=True).window(3, accuracy=0.61, trusted=True)
    assert " 5.8 points" in written.steps(), "it began with the drift: nothing was usual before"


def test_an_estimate_that_is_not_to_be_trusted_asks_for_labels(written: Written) -> None:
    written.add("alarm", chart="features", expected_loss_points=12.0).window(accuracy=0.5, trusted=False)
    assert "--labels" in written.steps() and "12.0" not in written.steps()


def test_what_the_board_and_the_frames_ask_for(written: Written) -> None:
    written.window(throttled=["under-voltage", "frequency capped"])
    assert "power supply" in written.steps() and "(frequency capped): cool it" in written.steps()
    for _ in range(5):
        written.window(skipped=0, captured=500)
    assert written.steps() == "Nothing to do."
    written.window(late=200)
    assert "8% of the last results were later than their deadline" in written.steps()
    written.add("profile", value=1.3)
    assert "nas profile --quick" in written.steps()
    written.add("start")
    assert "nas profile --quick" not in written.steps()
    for _ in range(5):
        written.window(skipped=400, captured=900)
    assert "44% of the last frames were skipped" in written.steps()


def test_a_board_that_went_silent(written: Written) -> None:
    written.window(skipped=0)
    assert "is serve.pyz still running" in written.steps(timedelta(hours=1))
    written.add("stop", why="ended by SIGTERM")
    assert written.steps(timedelta(hours=1)).startswith("Serving ended at 2026-11-26 13:0")
