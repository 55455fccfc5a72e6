"""What nas monitor says of a detector's objects."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from nas.monitor.objects import HEADS, cells_of, more_classes, object_rows
from nas.monitor.page import monitor_page, panels_of
from tests.cli.command import call
from tests.monitor.test_table import Written, written

__all__ = ["written"]


def figures(mean: float, p90: float, none: float) -> dict[str, float]:
    return {"mean": mean, "p90": p90, "none": none}


@pytest.fixture
def detector(written: Written) -> Written:
    """Version 1, then three windows of version 2: 500, 500 and 250 frames."""
    written.window(objects=figures(9, 9, 0), objects_of={"cup": figures(9, 9, 0)})
    of = {"cup": figures(2, 4, 0.1), "dog": figures(1, 1, 0.5)}
    written.window(2, objects=figures(3, 5, 0.05), objects_of=of)
    written.window(2, objects=figures(3, 5, 0.05), objects_of=of, more_classes=3)
    written.window(2, served=250, objects=figures(0, 0, 1), objects_of={"dog": figures(0, 0, 1)})
    return written


def test_objects_of_the_version_that_is_served_are_put_together_by_frames(detector: Written) -> None:
    every, cup, dog = object_rows(detector.log)
    assert (every.name, cup.name, dog.name) == (None, "cup", "dog")
    assert every.mean == pytest.approx(2.4) and every.p90 == 5 and every.none == pytest.approx(0.24)
    assert cup.mean == pytest.approx(1.6) and cup.none == pytest.approx(0.28), (
        "a class that is not named counts as none"
    )
    assert dog.mean == pytest.approx(0.8) and dog.p90 == 1
    assert cells_of(every) == ("all", "2.40", "5.00", "24%") and len(HEADS) == 4
    assert more_classes(detector.log) == 3


def test_a_classifier_has_no_objects(written: Written) -> None:
    written.window()
    assert object_rows(written.log) == [] and "Objects a frame" not in page(written)


def test_classes_that_are_shown_are_bounded_and_names_cannot_steer(written: Written) -> None:
    many = {f"class {n:02}": figures(n, n, 0) for n in range(40)}
    written.window(objects=figures(780, 780, 0), objects_of={**many, "<b>" + "x" * 90: figures(99, 99, 0)})
    rows = object_rows(written.log)
    assert len(rows) == 13 and rows[1].name is not None and rows[1].name.startswith("<b>")
    assert len(cells_of(rows[1])[0]) == 40
    assert "<b>xx" not in page(written) and "&lt;b&gt;xx" in page(written)


def test_the_table_json_and_page_have_the_objects(
    detector: Written, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    said = call(capsys, monkeypatch, "monitor", str(detector.folder))
    assert "objects a frame" in said.out and "frames with none" in said.out and "cup" in said.out
    assert "3 more were" in said.err and "AP50 %" in said.out and "accuracy" not in said.out
    found = json.loads(call(capsys, monkeypatch, "monitor", str(detector.folder), "--json").out)["objects"]
    assert [row["name"] for row in found] == [None, "cup", "dog"] and found[1]["mean"] == pytest.approx(1.6)
    panel = next(p for p in panels_of(detector.log) if p.title == "Objects a frame")
    assert [series.name for series in panel.series] == ["cup", "dog"]
    assert panel.series[0].values == (9, 2, 2, 0) and panel.series[1].values == (0, 1, 1, 0)
    assert "Nothing is tracked" in page(detector)


def test_an_alarm_of_a_detector_promises_no_accuracy(detector: Written) -> None:
    detector.add("alarm", 2, chart="detections", value=30.0, limit=20.0, why="what is detected has changed")
    steps = detector.steps()
    assert "(detections)" in steps and "cannot be told without labels" in steps and "calibrate" not in steps


@pytest.mark.parametrize(
    ("lost", "trusted", "said"),
    [(21.4, True, "21 points of AP50 are expected to be lost"), (0.6, True, "nothing to do yet"),
     (21.4, False, "cannot be told without labels")],
)  # fmt: skip
def test_what_an_alarm_costs_a_detector_is_ap50(detector: Written, lost: float, trusted: bool, said: str) -> None:
    detector.add("alarm", 2, chart="detections", value=30.0, limit=20.0, expected_loss_points=lost)
    detector.window(2, objects=figures(1, 1, 0), accuracy=0.3, accuracy_low=0.2, accuracy_high=0.4, trusted=trusted)
    steps = detector.steps()
    assert said in steps and "calibrate" not in steps
    assert "Estimated AP50, with its interval" in page(detector) and "estimated AP50" in page(detector)


def page(written: Written) -> str:
    return monitor_page(written.log, "cups", written.now + timedelta(minutes=1))
