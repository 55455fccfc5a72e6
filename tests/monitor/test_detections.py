"""A detector is watched: the pictures without the grey beside them, and what its boxes look like."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch

from nas.data.boxes import Detections
from nas.data.corruptions import corrupt
from nas.data.dataset import Split
from nas.data.images import ImagesInMemory
from nas.data.pixels import PADDING, read_whole
from nas.monitor import detections
from nas.monitor.detections import Given, filled, reference, reference_of, scenes_of, shifted, statistics_of, under
from nas.monitor.log import Alarm, Window, read_log
from nas.monitor.precision import KINDS
from nas.monitor.serve.frames import of_arrays
from nas.monitor.serve.loop import Serving
from nas.monitor.serve.objects import CERTAIN, LEAST, NAMES, scores_of
from nas.monitor.serve.options import Options
from nas.monitor.serve.picture import NAMES as STATISTICS
from nas.monitor.serve.versions import load
from nas.monitor.serve.watch_detections import DetectionWatch
from nas.monitor.shifts import shifts
from nas.monitor.watched import watch_version
from nas.tasks.precision import Truth
from tests.monitor.serve.deployments import make_detector, squares

WIDTH = 10  # what heads say
MOVED = 0.8  # deviations, of everything


def law(count: int, rng: np.random.Generator, moved: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Statistics (n, 15) of pictures and `scores_of` them (n, 7 + 10): scenes, and luck."""
    scene = rng.standard_normal((count, 1))
    statistics = 0.7 * scene + rng.standard_normal((count, len(STATISTICS)))
    scores = 0.7 * scene + rng.standard_normal((count, len(NAMES) + WIDTH))
    return statistics + moved, scores + moved


@cache
def known() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    statistics, scores = law(800, rng)
    return reference_of(statistics, scores, 0.6, [("contrast", law(100, rng, MOVED)[1], 0.4) for _ in range(4)])


@cache
def priced() -> dict[str, np.ndarray]:
    """With an estimate: what is lost is half of what everything has moved by, in ten points."""
    rng = np.random.default_rng(0)
    statistics, scores = law(800, rng)
    families = [(family, far) for family in KINDS for far in (0.4, 1.2, 2.0)]
    changed = [(family, law(100, rng, far)[1], 0.6 - 0.2 * far) for family, far in families]
    return reference_of(statistics, scores, 0.6, changed)


def events_of(watch: DetectionWatch, statistics: np.ndarray, scores: np.ndarray) -> list[tuple[int, str, str]]:
    found = []
    for at in range(0, len(scores) - 15, 16):
        for event in watch.group(statistics[at : at + 16], scores[at : at + 16]):
            found.append((at + 16, event["kind"], event["chart"]))
    return found


def test_independent_frames_alarm_at_most_once_in_ten_thousand() -> None:
    """Thirty thousand frames after the burn-in, in two streams."""
    count = 0
    for seed in range(2):
        watch = DetectionWatch(known())
        events_of(watch, *law(2000, np.random.default_rng([seed, 0])))
        count += len([e for e in events_of(watch, *law(15_000, np.random.default_rng([seed, 1]))) if e[1] == "alarm"])
    assert count <= 3


def test_a_change_is_said_by_both_charts_and_its_end_too_and_a_new_process_goes_on() -> None:
    rng = np.random.default_rng(5)
    watch = DetectionWatch(known())
    assert events_of(watch, *law(2400, rng)) == []
    state = json.loads(json.dumps(watch.state()))
    changed, after = law(480, rng, MOVED), law(1200, rng)
    found = events_of(watch, *changed)
    assert {(kind, chart) for _, kind, chart in found} == {("alarm", "picture"), ("alarm", "detections")}
    assert max(frame for frame, _, _ in found) <= 160
    ended = events_of(watch, *after)
    assert {(kind, chart) for _, kind, chart in ended} == {("clear", "picture"), ("clear", "detections")}
    again = DetectionWatch(known(), state)
    assert events_of(again, *changed) == found and len(json.dumps(state)) < 200_000
    assert DetectionWatch(known(), {"format": 99}).charts["picture"].burnt_in is False
    assert watch.alarms == set()


def test_an_alarm_names_no_points_of_accuracy() -> None:
    watch = DetectionWatch(known())
    rng = np.random.default_rng(6)
    events_of(watch, *law(2000, rng))
    alarms = [e for at in range(30) for e in watch.group(*law(16, rng, 2 * MOVED)) if e["kind"] == "alarm"]
    assert alarms and all("not known without labels" in alarm["why"] for alarm in alarms)
    assert all("expected_loss_points" not in alarm for alarm in alarms)
    assert watch.estimate()["accuracy"] is None and watch.labels([("a", 1)]) == []


def test_an_alarm_names_the_points_of_ap50_where_they_can_be_estimated() -> None:
    watch, rng = DetectionWatch(priced()), np.random.default_rng(7)
    assert events_of(watch, *law(2400, rng)) == []
    usual = watch.estimate()
    assert usual["accuracy"] == pytest.approx(0.6, abs=0.05) and usual["trusted"]
    assert usual["accuracy_low"] < usual["accuracy"] < usual["accuracy_high"]
    found = [event for _ in range(64) for event in watch.group(*law(16, rng, 1.5))]
    by_chart = {event["chart"]: event for event in found if event["kind"] == "alarm"}
    assert set(by_chart) == {"picture", "detections", "accuracy"} == watch.alarms
    assert by_chart["detections"]["expected_loss_points"] == pytest.approx(30, abs=12)
    assert "points of AP50" in by_chart["picture"]["why"] and "AP50 is estimated" in by_chart["accuracy"]["why"]
    assert watch.estimate()["accuracy"] == pytest.approx(0.3, abs=0.08)
    again = DetectionWatch(priced(), json.loads(json.dumps(watch.state())))
    assert again.alarms == watch.alarms and again.estimate()["accuracy"] == pytest.approx(0.3, abs=0.08)
    cleared = [event["chart"] for _ in range(80) for event in again.group(*law(16, rng)) if event["kind"] == "clear"]
    assert sorted(cleared) == ["accuracy", "detections", "picture"]


def test_frames_of_every_size_stand_in_one_group() -> None:
    watch = DetectionWatch(known())
    rng, groups = np.random.default_rng(0), []
    watch.group = lambda statistics, scores: groups.append(statistics.copy()) or []  # type: ignore[method-assign, func-returns-value]
    for n in range(32):
        pixels = rng.integers(0, 256, ((120, 160, 3), (160, 90, 3), (160, 160, 3))[n % 3], np.uint8)
        watch.observe(pixels, np.zeros(len(NAMES) + WIDTH), None, 1.0)
    assert len(groups) == 2 and all(np.isfinite(group).all() for group in groups)


def test_the_grey_beside_a_picture_is_neither_looked_at_nor_changed() -> None:
    rng = np.random.default_rng(1)
    pictures = [rng.integers(0, 256, size, np.uint8) for size in ((48, 64, 3), (64, 20, 3), (64, 64, 3))]
    whole = np.stack([read_whole(picture, 64) for picture in pictures])
    assert [filled(square) for square in whole] == [(47, 64), (64, 19), (64, 64)]
    black = whole.copy()
    for square, picture in zip(black, pictures, strict=True):
        beside = np.ones((64, 64), bool)
        beside[: picture.shape[0], : picture.shape[1]] = False
        assert (square[beside] == PADDING).all()
    wide = np.stack([np.pad(whole[0], ((0, 64), (0, 64), (0, 0)), constant_values=PADDING)])
    assert filled(wide[0]) == (47, 63), "the same picture in a larger square"
    for name in ("gaussian-noise", "brightness"):
        made = under(whole, shifts()[name], 5, 3)
        for square, was, picture in zip(made, whole, pictures, strict=True):
            height, width = picture.shape[:2]
            assert (square[height:] == PADDING).all() and (square[:, width:] == PADDING).all()
            inner = (slice(0, height - 1), slice(0, width - 1))
            assert (square[inner] != was[inner]).mean() > 0.3
    found = statistics_of(whole)
    assert found.shape == (3, len(STATISTICS)) and np.isfinite(found).all()
    assert filled(np.full((8, 8, 3), PADDING, np.uint8)) == (8, 8), "a picture that is as grey itself"


def test_scores_by_hand() -> None:
    """Two boxes of an area of 1/4 and of 1/16, of 0.9 and 0.2; then none."""
    boxes = np.array([[0, 0, 0.5, 0.5], [0, 0, 0.25, 0.25]], np.float32)
    said = np.array([[1, 0, 0, 0, 0], [3, 0, 0, 0, 0], [7, 0, 0, 0, 8]], np.float32)
    logits = np.log(np.array([0.9 / 0.1, 0.2 / 0.8, LEAST / (1 - LEAST)]))
    found = scores_of(said, Detections(np.array([0, 0]), np.array([0.9, 0.2], np.float32), boxes), [(1, 2), (1, 1)])
    best, areas = (logits[0] + logits[1] + 3 * logits[2]) / 5, np.log([1 / 4, 1 / 16])
    wanted = [np.sqrt(2), 1, logits[0], best, logits[:2].mean(), areas.mean(), areas.std()]
    assert found == pytest.approx(np.array([*wanted, 2, 0, 0, 0, 0, 7, 0, 0, 0, 8]), abs=1e-5)
    none = Detections(np.empty(0, np.int64), np.empty(0, np.float32), np.empty((0, 4), np.float32))
    empty = scores_of(said, none, [(1, 2), (1, 1)])
    assert empty[:3] == pytest.approx([0, 0, logits[2]]) and np.isfinite(empty).all() and 0.1 < CERTAIN < 0.9


def test_scenes_are_as_many_pictures_each_that_are_alike() -> None:
    statistics, _ = law(80, np.random.default_rng(0))
    scenes = scenes_of(100 * statistics + 7)
    assert np.bincount(scenes).tolist() == [10] * 8
    assert abs(np.corrcoef(scenes, statistics.mean(axis=1))[0, 1]) > 0.9


def test_a_served_detector_alarms_of_what_the_camera_does_not_show_usually(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A real file and serve's own program: watch.npz of pictures with squares, then frames with less contrast."""
    monkeypatch.setattr(detections, "SHIFTED", (20, 20))
    place = make_detector(tmp_path, 1)
    model = load(tmp_path, 1)
    rng = np.random.default_rng(0)

    def frame() -> np.ndarray:
        plain = squares(int(rng.integers(0, 5)), int(rng.integers(0, 5))).astype(np.int16)
        return np.clip(plain + rng.normal(0, 12, plain.shape) + rng.normal(0, 8), 0, 255).astype(np.uint8)

    def read(pixels: np.ndarray) -> tuple[np.ndarray, list[Detections]]:
        said = [model.run(model.deployment.input(picture))[0] for picture in pixels]
        found = [model.deployment.found(one, LEAST) for one in said]
        return np.stack(
            [scores_of(a, b, model.deployment.heads["maps"]) for a, b in zip(said, found, strict=True)]
        ), found

    pixels = np.stack([model.deployment.image(frame()) for _ in range(100)])
    families = {name: shifts()[name] for name in ("gaussian-noise", "contrast")}
    nothing = Truth(np.empty(0, np.int64), np.empty((0, 4), np.float32), np.empty(0, bool), 1.0)
    arrays = reference(read, Given(pixels, [nothing] * len(pixels), ("red", "blue")), families)
    np.savez(place / "watch.npz", **{f"fp32/{name}": value for name, value in arrays.items()})

    def frames() -> object:
        for _ in range(640):
            yield frame()
        for _ in range(160):
            yield corrupt(frame()[None], "contrast", 5, seed=0)[0]

    assert Serving(tmp_path, Options(every=True, quiet=True, window=320)).run(of_arrays(frames())) == 0  # type: ignore[arg-type]
    log = read_log(tmp_path)
    alarms = [(record.chart, at) for at, record in enumerate(log.records)
              if isinstance(record, Alarm) and record.chart != "latency"]  # fmt: skip
    assert {chart for chart, _ in alarms} == {"picture", "detections"}
    second = log.records.index(log.of(Window)[1])
    assert all(at > second for _, at in alarms), "none of the first 640 frames"
    assert all(window.accuracy is None and window.objects is not None for window in log.of(Window))


def test_with_few_validation_pictures_that_is_said() -> None:
    class Made:
        task = "detection"

    said: list[str] = []
    few = Split(ImagesInMemory(torch.zeros((49, 8, 8, 3), dtype=torch.uint8)), torch.zeros((49, 1, 7)))
    assert watch_version(Made(), {}, few, said.append) == {}  # type: ignore[arg-type]
    assert said == ["not watched: that needs 50 validation pictures, and there are 49"]


def test_every_shift_and_severity_has_a_draw_of_its_own() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (30, 16, 16, 3), np.uint8)
    found = list(shifted(pixels, {name: shifts()[name] for name in ("contrast", "warm")}, 10))
    assert [(family, severity) for family, severity, _, _ in found] == [
        (family, severity) for family in ("contrast", "warm") for severity in (2, 4, 5)
    ]
    assert len({tuple(rows) for _, _, _, rows in found}) == 6
    assert all(made.shape == (10, 16, 16, 3) and not np.array_equal(made, pixels[rows]) for _, _, made, rows in found)
