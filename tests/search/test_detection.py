"""A search for detection: the same search, of networks with heads, on pictures with boxes."""

from __future__ import annotations

import base64
import json
import shutil
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import nas
from nas.errors import UserError
from nas.models.trained import load_trained
from nas.report.table import accuracy_notes
from nas.run import model_folder
from nas.search.api import resume
from tests.cli.command import call

SPACE = """
name = "small-detector"
title = "t"
source = "a test"
resolution = 64
width = [0.5, 1.0]
precision = ["fp32", "int8"]
stage = [
  { block = "conv", kernel = 3, stride = 2, channels = 8, activation = "relu6" },
  { block = "mbconv", kernel = 3, expand = 2, channels = 16, stride = 2, activation = "relu6" },
  { block = "mbconv", kernel = 3, expand = 2, channels = 16, stride = 2, activation = "relu6", tap = true },
  { block = "mbconv", kernel = 3, expand = 2, channels = 16, stride = 2, activation = "relu6", tap = true },
  { name = "heads", block = "anchor_free", depth = [1, 2], kernel = 3, activation = "relu6", per = "stage" },
]

[hyperparameters]
optimizer = ["adamw"]
learning_rate = [0.01]

[proxy]
epochs = 12
batch_size = 8
"""


def squares(root: Path, pictures: int = 60) -> Path:
    """Pictures of 64 pixels with a red and a blue square each, as a COCO folder."""
    rng = np.random.default_rng(0)
    (root / "images").mkdir(parents=True)
    images, objects = [], []
    for number in range(1, pictures + 1):
        pixels = rng.integers(90, 130, size=(64, 64, 3), dtype=np.uint8)
        for category, channel in ((1, 0), (2, 2)):
            side = int(rng.integers(14, 24))
            x, y = (int(v) for v in rng.integers(0, 64 - side, size=2))
            pixels[y : y + side, x : x + side] = 20
            pixels[y : y + side, x : x + side, channel] = 230
            box = {"bbox": [x, y, side, side], "category_id": category}
            objects.append({"id": len(objects) + 1, "image_id": number, **box})
        Image.fromarray(pixels).save(root / f"images/{number}.png")
        images.append({"id": number, "file_name": f"{number}.png", "width": 64, "height": 64})
    categories = [{"id": 1, "name": "red"}, {"id": 2, "name": "blue"}]
    table = {"images": images, "annotations": objects, "categories": categories}
    (root / "instances_train.json").write_text(json.dumps(table))
    return root


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> nas.Run:
    root = tmp_path_factory.mktemp("detection")
    (root / "small-detector.toml").write_text(SPACE)
    dataset = f"coco:{squares(root / 'squares')}"
    return nas.search(
        "raspberry-pi-4", str(root / "small-detector.toml"), dataset, ("accuracy", "latency"), trials=4,
        sampler="random", seed=1, out=root / "run",
    )  # fmt: skip


def test_detectors_are_searched_like_classifiers(run: nas.Run) -> None:
    assert run.settings.task == "detection" and run.settings.classes == 2
    assert run.settings.validation_images == 20  # ten pictures with two objects each
    trained = [t for t in run.trials if t.state == "trained"]
    assert len(trained) == 4 and run.front_trials
    assert max(t.accuracy or 0 for t in trained) > 0.02  # squares are learned in a few dozens of steps
    assert any("mAP" in note for note in accuracy_notes(run))
    best = run.front_trials[-1]
    model = load_trained(model_folder(run.path, best.trial))
    assert (model.task, model.classes, model.network.detects) == ("detection", ("red", "blue"), True)
    assert best.test_accuracy is not None


def test_a_trial_keeps_what_its_accuracy_is_a_mean_of(run: nas.Run) -> None:
    assert run.settings.class_names == ("red", "blue")
    for trial in run.trials:
        kept = trial.average_precision
        assert kept is not None and trial.accuracy is not None and kept.at_50 >= trial.accuracy >= 0
        assert np.mean([v or 0 for v in kept.of_classes]) == pytest.approx(trial.accuracy, abs=2e-6)
        assert kept.medium is None and kept.large is None  # squares of 14 to 24 pixels
        assert kept.mean == trial.accuracy and kept.small == pytest.approx(trial.accuracy, abs=2e-6)


def test_the_fronts_detectors_have_boxes_on_pictures(run: nas.Run) -> None:
    kept = run.pictures
    assert kept is not None and set(kept.found) == {t.trial for t in run.front_trials}
    assert len(kept.pictures) == 6 and (kept.pictures[0].width, kept.pictures[0].height) == (64, 64)
    assert {name for name, *_ in kept.pictures[0].objects} == {"red", "blue"}
    with Image.open(BytesIO(base64.b64decode("".join(kept.pictures[0].jpeg)))) as picture:
        assert picture.format == "JPEG" and picture.size == (64, 64)
        blue = next(box for name, *box in kept.pictures[0].objects if name == "blue")  # over the red one
        middle = picture.getpixel((round(64 * (blue[0] + blue[2]) / 2), round(64 * (blue[1] + blue[3]) / 2)))
        assert isinstance(middle, tuple) and middle[2] > 180 and middle[0] < 90
    assert (run.path / "pictures.json").stat().st_size < 200_000


def test_more_trials_make_the_pictures_anew_and_a_strange_model_is_refused(run: nas.Run, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    shutil.copytree(run.path, folder)
    (folder / "pictures.json").unlink()
    resume(folder, trials=4)
    assert (folder / "pictures.json").read_text() == (run.path / "pictures.json").read_text()
    (folder / "pictures.json").write_text('{"format": 1, "pictures": [], "found": {"1": [[["a", 2, 0, 0, 1, 1]]]}}')
    with pytest.raises(UserError, match=r"pictures.json: found.1.*less than or equal to 1"):
        _ = nas.load_run(folder).pictures
    (folder / "pictures.json").write_text('{"format": 1, "pictures": [], "found": {"1": [[]]}}')
    with pytest.raises(UserError, match=r"pictures.json: found: must have boxes for each of 0 pictures; trial 1 has 1"):
        _ = nas.load_run(folder).pictures


def coco2017(root: Path, train: int = 24, validation: int = 8) -> Path:
    """A subset in COCO's own form: its file names, folders and keys, 80 classes whose ids leave gaps, odd ids.

    Drawn by code. Objects of the last class are in no validation picture; one picture is wide, one has a crowd and one
    nothing.
    """
    rng = np.random.default_rng(0)
    ids = [n for n in range(1, 91) if n not in (12, 26, 29, 30, 45, 66, 68, 69, 71, 83)]
    categories = [{"supercategory": "thing", "id": n, "name": f"thing {n}"} for n in ids]
    (root / "annotations").mkdir(parents=True)
    for split, number in (("train2017", train), ("val2017", validation)):
        (root / split).mkdir()
        images, objects = [], []
        for place in range(number):
            image, width, height = 900_000_000 + 7919 * place, 96 if place else 128, 64
            name = f"{image:012d}.jpg"
            pixels = rng.integers(90, 130, size=(height, width, 3), dtype=np.uint8)
            for k in range(0 if place == 1 else 4):
                at = (4 * place + k) % (len(ids) if split == "train2017" else len(ids) - 1)
                w, h = (int(v) for v in rng.integers(10, 30, size=2))
                x, y = int(rng.integers(0, width - w)), int(rng.integers(0, height - h))
                pixels[y : y + h, x : x + w] = (3 * at, 255 - 3 * at, 40 * (at % 6))
                crowd = int(place == 2 and k == 0)
                mask = {"counts": [0, 1], "size": [height, width]} if crowd else [[x, y, x + w, y, x + w, y + h]]
                objects.append({
                    "segmentation": mask, "area": 0.8 * w * h, "iscrowd": crowd, "image_id": image,
                    "bbox": [x + 0.25, y, w - 0.5, h], "category_id": ids[at], "id": 9_000_000_001 + 13 * len(objects),
                })  # fmt: skip
            Image.fromarray(pixels).save(root / split / name, quality=95)
            images.append({
                "license": 1, "file_name": name, "height": height, "width": width, "id": image,
                "coco_url": f"http://images.example/{name}", "date_captured": "2013-11-14 17:02:52",
            })  # fmt: skip
        table = {"info": {"year": 2017}, "licenses": [{"id": 1, "name": "x", "url": ""}], "images": images,
                 "annotations": objects, "categories": categories}  # fmt: skip
        (root / f"annotations/instances_{split}.json").write_text(json.dumps(table))
    return root


def test_coco_is_searched_by_the_same_command(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    space = SPACE.replace("epochs = 12", "epochs = 1").replace("small-detector", "one-epoch")
    (tmp_path / "one-epoch.toml").write_text(space)
    root, out = coco2017(tmp_path / "coco"), tmp_path / "run"
    command = ["search", "--task", "detection", "--device", "raspberry-pi-4", "--space"]
    command += [str(tmp_path / "one-epoch.toml"), "--dataset", f"coco:{root}", "--trials", "2", "--out", str(out)]
    said = call(capsys, monkeypatch, *command)
    assert not said.status, said.err
    run = nas.load_run(out)
    assert run.settings.classes == len(run.settings.class_names) == 80 and run.settings.class_names[-1] == "thing 90"
    for trial in run.trials:
        kept = trial.average_precision
        assert kept is not None and len(kept.of_classes) == 80
        absent = [k for k, value in enumerate(kept.of_classes) if value is None]
        assert absent == [*range(4, 9), *range(32, 80)]  # no picture, the crowd alone, and what eight pictures lack
    assert run.pictures is not None and len(run.pictures.pictures) == 6
    assert {(p.width, p.height) for p in run.pictures.pictures} <= {(128, 85), (128, 64)}
    page = (out / "report.html").read_text()
    assert page.count('class="boxes"') == 6 * len(run.front_trials) and len(page) < 5_000_000
    assert "| AP50 |" in (out / "report.md").read_text()
    picked = call(capsys, monkeypatch, "pick", str(out), "--knee").out
    assert "mAP of each of the 80 classes: --json" in picked and "medium none, large none" in picked


def test_a_space_of_another_task_is_refused(tmp_path: Path) -> None:
    dataset = f"coco:{squares(tmp_path / 'squares', 6)}"
    with pytest.raises(UserError, match="space tiny is for classification, and dataset coco"):
        nas.search("raspberry-pi-4", "tiny", dataset, trials=1, out=tmp_path / "run")
    with pytest.raises(UserError, match="space mobiledet is for detection, and dataset digits for classification"):
        nas.search("raspberry-pi-4", "mobiledet", "digits", trials=1, out=tmp_path / "run")
    with pytest.raises(UserError, match="space tiny-detector is for detection, and dataset digits for classification"):
        nas.search("raspberry-pi-4", dataset="digits", task="detection", trials=1, out=tmp_path / "run")
    with pytest.raises(UserError, match="guide zero-cost scores classifiers"):
        nas.search("raspberry-pi-4", "mobiledet", dataset, trials=1, guide="zero-cost", out=tmp_path / "run")
    assert not (tmp_path / "run").exists()
