"""A search for detection: the same search, of networks with heads, on pictures with boxes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import nas
from nas.errors import UserError
from nas.models.trained import load_trained
from nas.report.table import accuracy_notes
from nas.run import model_folder

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
    import json

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
