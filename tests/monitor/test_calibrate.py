"""nas calibrate: when something needs doing, what is asked, what is learned, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from nas.compress.drop import Drop
from nas.data.catalog import load_dataset
from nas.deploy import measure
from nas.deploy.card import read_card
from nas.deploy.folder import version_folder, versions_in
from nas.errors import UserError
from nas.files.csv import csv_text
from nas.monitor import calibrate as module
from nas.monitor.calibrate import Calibration, calibrate, needed
from nas.monitor.compare import Comparison, Verification
from nas.monitor.labels import COLUMNS, Labelled, Pictures
from nas.monitor.likeness import Likeness
from nas.monitor.log import read_log
from nas.monitor.relearn import Lesson, lesson_dataset, split_labels
from tests.deploy.deployments import FEW
from tests.kills import moments_of, run_kills
from tests.monitor.drifted import ALARM, write_frames, write_log


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measure, "SETTINGS", FEW)


WINDOW = {"kind": "window", "captured": 500, "served": 500, "skipped": 0, "late": 0, "accuracy": 0.61, "trusted": True}


def asked(made: Path, out: Path, **changed: object) -> Calibration:
    usual = Calibration(out, model=made / "run/models/0", epochs=1)
    return replace(usual, **changed)  # type: ignore[arg-type]


def test_without_an_alarm_that_holds_nothing_needs_doing(out: Path) -> None:
    write_log(out, WINDOW)
    said: list[str] = []
    assert calibrate(Calibration(out), tell=said.append).version is None
    assert said == ["version 1, fp32: no alarm of version 1 holds: nothing needs doing"]
    write_log(out, ALARM, {"kind": "clear", "chart": "accuracy"})
    assert not needed(read_log(out), 1).needed
    write_log(out, ALARM | {"chart": "latency"})
    assert not needed(read_log(out), 1).needed, "a network that is slow learns nothing by it"
    write_log(out, ALARM, WINDOW)
    found = needed(read_log(out), 1)
    assert found.needed and not needed(read_log(out), 2).needed
    assert found.why == (
        "alarms of the accuracy hold; expected to cost 12.3 points of accuracy; estimated accuracy 61.0%"
    )


def test_labels_are_asked_for_and_a_dry_run_writes_nothing(made: Path, out: Path) -> None:
    write_log(out, ALARM)
    write_frames(load_dataset(f"folder:{made / 'data'}"), out / "monitor/frames")
    before = sorted(path.name for path in out.rglob("*"))
    said: list[str] = []
    assert calibrate(asked(made, out, dry_run=True), tell=said.append).asked is None
    assert sorted(path.name for path in out.rglob("*")) == before and said[-1] == "nothing is written: --dry-run"
    done = calibrate(asked(made, out, ask=20), tell=said.append)
    assert done.asked == out / "monitor/labels/labels.csv" and done.version is None
    assert len(done.asked.read_text().splitlines()) == 21
    assert "20 of 24 pictures are to be labelled" in said[-1]
    with pytest.raises(UserError, match="exists: fill in"):
        calibrate(asked(made, out))


def test_a_version_is_written_verified_and_not_put_into_use(
    made: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_log(out, ALARM)
    labels = write_frames(load_dataset(f"folder:{made / 'data'}"), out / "monitor/frames")
    rows = [(f"1-{number:02}.png", "red", label) for number, label in enumerate(labels)]
    (out / "monitor/frames/labels.csv").write_text(csv_text(COLUMNS, rows))
    monkeypatch.setattr(module, "_check", lambda verification, most: None)  # of few images, after one epoch
    said: list[str] = []
    given = asked(made, out, labels=out / "monitor/frames/labels.csv")
    done = calibrate(given, tell=said.append)
    assert done.version == 2 and versions_in(out) == [1, 2] and (out / "current").read_text() == "1\n"
    card, before = read_card(version_folder(out, 2)), read_card(version_folder(out, 1))
    assert card.precision == before.precision and card.models.keys() == before.models.keys()
    assert card.steps[:-1] == before.steps and card.steps[-1].startswith("calibrated to ")
    assert card.steps[-1].endswith(" after version 1")
    assert (version_folder(out, 2) / "adapt.npz").is_file()
    assert (out / ".models/2/model.json").is_file() and not list((out / ".calibrating").glob("*/*"))
    assert any("the pictures look like " in line for line in said)
    assert any("old test images: " in line for line in said)
    assert not any("put it into use" in line for line in said)
    monkeypatch.undo()
    monkeypatch.setattr(measure, "SETTINGS", FEW)
    assert module.find_model(Calibration(out), card).lineage.steps == tuple(card.steps), "and so is the next one made"


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"model": None}, "the model of version 1 .* is not found; name its folder with --model"),
        ({"unlabelled": True}, "must be known from at least 8 pictures; got 0: serve with --keep"),
        ({"images": Path("nowhere")}, "must be a folder of pictures; got none"),
    ],
)
def test_what_is_missing_is_one_line(changed: dict[str, object], message: str, made: Path, out: Path) -> None:
    write_log(out, ALARM)
    if "model" in changed:
        write_frames(load_dataset(f"folder:{made / 'data'}"), out / "monitor/frames")
        changed = changed | {"unlabelled": True}
    with pytest.raises(UserError, match=message):
        calibrate(asked(made, out, **changed))
    assert versions_in(out) == [1] and not list(out.glob(".calib*"))


def verified(old: tuple[int, int], new: tuple[float, float]) -> Verification:
    lost, gained = old
    drop = Drop(1000, lost, gained)
    return Verification(
        Comparison("old", 0.7, 0.7 - drop.value, drop), (Comparison("new", *new, Drop(1000, 0, 0)),), None
    )


def test_what_loses_too_much_or_gains_nothing_is_refused() -> None:
    module._check(verified((30, 20), (0.5, 0.6)), 0.01)
    with pytest.raises(UserError, match=r"loses 1\.1 points on old test images, where at most 1 is allowed"):
        module._check(verified((31, 20), (0.5, 0.6)), 0.01)
    with pytest.raises(UserError, match=r"not do better on new: 50\.0% after 50\.0%"):
        module._check(verified((0, 0), (0.5, 0.5)), 0.01)


def test_a_lesson_has_old_pictures_drifted_ones_and_labelled_ones(made: Path) -> None:
    data = load_dataset(f"folder:{made / 'data'}")
    frames = np.random.default_rng(0).integers(0, 256, (6, 24, 24, 3), np.uint8)
    labelled = Labelled(Pictures(tuple(Path(str(n)) for n in range(6)), frames), np.array([0, 0, 0, 1, 1, 2]), ())
    learned, held = split_labels(labelled)
    assert held.labels.tolist() == [0] and len(learned.labels) == 5
    found = lesson_dataset(data, Lesson((Likeness("contrast", 5, 0.1), Likeness("jpeg", 1, 0.2)), learned), 24)
    own = len(data.train)
    new = len(found.train) - 2 * own
    assert new % 5 == 0 and 0.15 < new / len(found.train) < 0.35
    assert found.fingerprint != data.fingerprint and found.test_split() is data.test_split()
    pixels = found.train.images.take(torch.arange(len(found.train)), 24).numpy()
    within = pixels.std(axis=(1, 2)).mean(axis=1)
    assert within[own : own + own // 2].mean() < 0.5 * within[:own].mean(), "half of the drifted ones: less contrast"
    alone = lesson_dataset(data, Lesson((), None), 24)
    assert len(alone.train) == own


def test_kills_at_any_moment_lose_nothing(tmp_path: Path, pytestconfig: pytest.Config) -> None:
    (found,) = run_kills("tests.monitor.calibrate_kills", tmp_path, moments_of(pytestconfig, 4))
    assert found["operations"] >= 50 and found["moments"] >= 4 and found["wrong"] == {}
