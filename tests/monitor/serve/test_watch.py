"""The watch of a network: what it says of clean and changed frames, how it goes on, and that it stays small."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from nas.monitor.ran import Ran
from nas.monitor.reference import reference_of
from nas.monitor.serve.accuracy import WINDOW, Estimate, Estimator
from nas.monitor.serve.charts import BURN_IN, GROUP
from nas.monitor.serve.watch import Watch, read_reference
from tests.monitor.watched import CLASSES, SIDE, WIDTH, reference, seen

BURNT = BURN_IN * GROUP


def frames(count: int, family: str = "", severity: int = 5, *, seed: int, runs: bool = False) -> tuple[np.ndarray, Ran]:
    rng = np.random.default_rng([seed, 5])
    labels = np.repeat(rng.integers(0, CLASSES, -(-count // 50)), 50) if runs else rng.integers(0, CLASSES, count)
    return seen(labels[:count], family, severity, seed)


def observe(watch: Watch, pixels: np.ndarray, ran: Ran, name: str = "") -> list[dict]:
    found = []
    for n in range(len(pixels)):
        image = f"{name}{n}" if name else ""
        for event in watch.observe(pixels[n], ran.scores[n], ran.features[n], 1.0, image=image):
            found.append(dict(event, at=n + 1))
    return found


@pytest.fixture(scope="module")
def burnt() -> dict:
    watch = Watch(reference())
    assert observe(watch, *frames(BURNT + 480, seed=3)) == []
    return watch.state()


def test_clean_frames_of_all_kinds_raise_nothing(burnt: dict) -> None:
    assert observe(Watch(reference(), burnt), *frames(6000, seed=4)) == []
    for seed in (31, 32):
        correlated = Watch(reference())
        found = observe(correlated, *frames(BURNT + 3000, seed=seed, runs=True))
        assert [event for event in found if event["at"] > BURNT] == []
        assert correlated.correlated


def test_a_change_is_said_by_pictures_and_features_with_the_points_that_it_costs_and_then_by_the_accuracy(
    burnt: dict,
) -> None:
    watch = Watch(reference(), burnt)
    pixels, ran = frames(1500, "gaussian-noise", seed=5)
    found = observe(watch, pixels, ran)
    late = {event["chart"]: event["at"] for event in found if event["kind"] == "alarm"}
    assert late["picture"] <= 32 and late["features"] <= 112 and late["accuracy"] <= 1008
    true = float((ran.predicted == ran.labels).mean())
    lost = 100 * (watch.baseline - true)
    assert lost > 12
    for event in found:
        low, high = event.get("loss_low_points"), event.get("loss_high_points")
        if low is not None:
            assert low <= lost <= high and low < event["expected_loss_points"] < high
            assert "points of accuracy" in event["why"]
    assert found[-1]["chart"] == "accuracy" and found[-1]["expected_loss_points"] == pytest.approx(lost, abs=6)
    estimate = watch.estimate()
    assert estimate["accuracy"] == pytest.approx(true, abs=0.06) and estimate["trusted"]
    assert estimate["accuracy_low"] < true < estimate["accuracy_high"]
    ended = observe(watch, *frames(2400, seed=7))
    assert sorted(e["chart"] for e in ended if e["kind"] == "clear") == ["accuracy", "features", "picture"]
    assert not [e for e in ended if e["kind"] == "alarm"]


def test_the_accuracy_of_correlated_frames_is_not_taken_for_a_loss() -> None:
    """500 frames of two classes have no mix that scores could be matched to."""
    watch = Watch(reference())
    labels = np.random.default_rng(8).integers(0, 2, BURNT + 2000) + 2
    pixels, ran = seen(labels, "", 0, 9)
    found = observe(watch, pixels, ran)
    assert not [event for event in found if event.get("chart") == "accuracy"]
    true = float((ran.predicted == ran.labels)[-WINDOW:].mean())
    assert watch.estimate()["accuracy_low"] < true < watch.estimate()["accuracy_high"]


def test_an_estimate_that_stays_at_the_line_raises_one_alarm_of_the_accuracy(
    burnt: dict, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after an adaptation that brought back a part: the interval's end lies now above what is usual, now below."""
    watch = Watch(reference(), burnt)
    usual = watch.baseline
    gaps = [0.02, 0.09, 0.065, 0.075, 0.065, 0.075, 0.01, 0.05, 0.065]  # of an estimate to what is usual; it is +- 0.07
    given = iter(gaps)

    def estimated(count: int) -> Estimate:
        accuracy = usual - next(given)
        return Estimate(accuracy, accuracy - 0.07, accuracy + 0.07, True)

    monkeypatch.setattr(watch, "_estimated", estimated)
    found = [[event["kind"] for event in watch._look()] for _ in gaps]
    assert found == [[], ["alarm"], [], [], [], [], ["clear"], [], []]


def test_a_new_process_goes_on_where_the_old_one_was(burnt: dict) -> None:
    pixels, ran = frames(1600, "contrast", seed=10)
    whole, watch, found = Watch(reference(), burnt), Watch(reference(), burnt), []
    expected = observe(whole, pixels, ran)
    for start in range(0, 1600, 160):
        part = slice(start, start + 160)
        events = observe(watch, pixels[part], Ran(ran.scores[part], ran.features[part], ran.labels[part]))
        found += [dict(event, at=event["at"] + start) for event in events]
        state = json.loads(json.dumps(watch.state(), allow_nan=False))
        watch = Watch(reference(), state)
    assert [(e["kind"], e["chart"], e["at"]) for e in found] == [(e["kind"], e["chart"], e["at"]) for e in expected]
    assert watch.estimate()["accuracy"] == pytest.approx(whole.estimate()["accuracy"], abs=0.005)


def test_frames_of_a_network_that_was_replaced_are_no_part_of_the_estimate(burnt: dict) -> None:
    watch = Watch(reference(), burnt)
    observe(watch, *frames(640, "gaussian-noise", seed=6), "frame")
    watch.labels([("frame600", 1)])
    watch.replaced(adapted=True)
    assert watch.estimate()["accuracy"] is None and not watch.labeled.pairs
    observe(watch, *frames(320, seed=7))
    assert watch.recent.count == 320 and watch.adapted
    again = Watch(reference(), json.loads(json.dumps(watch.state())))
    assert again.recent.count == 0 and not again.adapted, "a new process serves the network that was deployed"
    watch.replaced(adapted=False)
    observe(watch, *frames(320, seed=7))
    assert Watch(reference(), watch.state()).recent.count == 320


def test_the_state_stays_below_200_kb_with_many_classes_and_names() -> None:
    classes, rng = 300, np.random.default_rng(0)
    labels = rng.integers(0, classes, 3000)
    features = rng.standard_normal((3000, 64)).astype(np.float32)
    scores = (4 * np.eye(classes)[labels] + rng.standard_normal((3000, classes))).astype(np.float32)
    pixels = rng.integers(0, 255, (3000, 8, 8, 3), dtype=np.uint8)
    clean = Ran(scores, features, labels)
    few = Ran(scores[:500], features[:500], labels[:500])
    made = reference_of(pixels, clean, [(f, s, few) for f in "ab" for s in (2, 5)], classes)
    watch = Watch(made)
    for n in range(BURNT - GROUP):  # the burn-in is when it is largest
        watch.observe(pixels[n], scores[n], features[n], 1.0, image=f"{n:05d}" + "-a-long-name-of-a-frame" * 3)
    assert len(json.dumps(watch.state())) < 200_000


def test_labels_since_the_last_change_tighten_the_estimate(burnt: dict) -> None:
    watch = Watch(reference(), burnt)
    pixels, ran = frames(800, "gaussian-noise", seed=11)
    observe(watch, pixels, ran, "frame")
    before = watch.estimate()
    asked = range(560, 760)
    right = int((ran.predicted == ran.labels)[list(asked)].sum())
    assert watch.labels([(f"frame{n}", int(ran.labels[n])) for n in asked] + [("unknown", 1)]) == [
        {"kind": "labels", "labels": 200, "right": right}
    ]
    after, true = watch.estimate(), float((ran.predicted == ran.labels)[-WINDOW:].mean())
    assert after["accuracy_high"] - after["accuracy_low"] < 0.9 * (before["accuracy_high"] - before["accuracy_low"])
    assert after["accuracy"] == pytest.approx(true, abs=0.05)
    assert watch.labels([("frame600", 1)]) == []  # each counts once


def test_without_a_reference_only_latency_is_watched_and_that_is_said(tmp_path: Path) -> None:
    assert read_reference(tmp_path / "watch.npz", "fp32") is None
    watch = Watch(None)
    pixels, ran = frames(64, seed=12)
    assert observe(watch, pixels, ran) == [] and "deploy it again" in watch.off[0]
    assert watch.estimate() == {"accuracy": None, "accuracy_low": None, "accuracy_high": None, "trusted": False}
    assert watch.labels([("a", 1)]) == [] and Watch(None, watch.state()).frames == 64


def test_a_reference_of_an_older_release_is_not_read_and_that_is_said() -> None:
    older = {name: value for name, value in reference().items() if name != "accuracy/covariance"}
    watch = Watch(older)
    assert watch.off == (
        "pictures, features and accuracy are not watched: the version has a watch.npz of an older release; "
        "deploy it again",
    )
    pixels, ran = frames(64, seed=12)
    assert observe(watch, pixels, ran) == [] and watch.estimate()["accuracy"] is None


def test_an_estimate_after_a_restart_is_that_before_it(burnt: dict) -> None:
    """A state keeps a frame's largest probabilities alone, in thousandths."""
    watch = Watch(reference(), burnt)
    observe(watch, *frames(640, "contrast", seed=15))
    before, after = watch.estimate(), Watch(reference(), watch.state()).estimate()
    assert before["trusted"] and after["accuracy"] == pytest.approx(before["accuracy"], abs=0.015)


def test_a_file_without_features_is_watched_without_their_chart() -> None:
    labels = np.random.default_rng(0).integers(0, CLASSES, 1500)
    pixels, clean = seen(labels, "", 0, 1)
    shifted = [(f, s, Ran(ran.scores, None, ran.labels)) for f in ("contrast", "brightness") for s in (2, 5)
               for ran in [seen(labels[:500], f, s, 2)[1]]]  # fmt: skip
    watch = Watch(reference_of(pixels, Ran(clean.scores, None, clean.labels), shifted, CLASSES))
    assert "features" in watch.off[0]
    for n in range(600):
        watch.observe(pixels[n], clean.scores[n], None, 1.0)
    assert watch.estimate()["accuracy"] == pytest.approx((clean.predicted == clean.labels).mean(), abs=0.06)


def test_an_accuracy_is_estimated_of_scores_alone(burnt: dict) -> None:
    watch = Watch(reference(), burnt)
    clean, noisy = (frames(400, family, seed=13)[1] for family in ("", "gaussian-noise"))
    good, bad = (watch.accuracy_of(ran.scores)[0] for ran in (clean, noisy))
    assert good == pytest.approx((clean.predicted == clean.labels).mean(), abs=0.06)
    assert bad == pytest.approx((noisy.predicted == noisy.labels).mean(), abs=0.08) and bad < good - 0.1


def test_rivers_detectors_on_confidence_are_later_or_less_often_right_on_the_same_frames(burnt: dict) -> None:
    drift = pytest.importorskip("river.drift")
    from nas.monitor.serve.accuracy import softmax

    ours, adwin, hinkley = [], [], []
    for seed in range(3):
        clean, (pixels, ran) = frames(1000, seed=20 + seed)[1], frames(800, "gaussian-blur", 4, seed=20 + seed)
        found = observe(Watch(reference(), burnt), pixels, ran)
        ours.append(next(event["at"] for event in found if event["kind"] == "alarm"))
        for late, detector in ((adwin, drift.ADWIN()), (hinkley, drift.PageHinkley())):
            for row in softmax(clean.scores).max(axis=1):
                detector.update(float(row))
            late.append(800)
            for n, row in enumerate(softmax(ran.scores).max(axis=1)):
                detector.update(float(row))
                if detector.drift_detected:
                    late[-1] = n + 1
                    break
    assert np.median(ours) <= 32
    assert np.median(ours) < np.median(adwin) and np.median(ours) < np.median(hinkley)


def test_frames_of_another_size_begin_a_new_group() -> None:
    watch = Watch(reference())
    scores, features = np.zeros(CLASSES, np.float32), np.zeros(WIDTH, np.float32)
    for side in (SIDE, 2 * SIDE, SIDE):
        for _ in range(GROUP - 1):
            watch.observe(np.zeros((side, side, 3), np.uint8), scores, features, 1.0)
    assert watch.recent.count == 0


def test_the_look_and_the_windows_line_share_one_estimate(monkeypatch: pytest.MonkeyPatch) -> None:
    watch = Watch(reference())
    asked: list[int] = []
    estimate = Estimator.estimate
    monkeypatch.setattr(Estimator, "estimate", lambda self, *a, **k: asked.append(1) or estimate(self, *a, **k))
    pixels, ran = frames(500, seed=8)
    observe(watch, pixels, ran, "frame")
    assert len(asked) == 1, "looked at with the last whole group of the window"
    before = watch.estimate()
    assert len(asked) == 1 and before["accuracy"] is not None
    assert watch.labels([(name, int(ran.labels[0])) for name in list(watch.named)[:100]])
    assert watch.estimate() != before, "labels say more of the same frames"
    watch.replaced(adapted=True)
    assert watch.estimate()["accuracy"] is None
