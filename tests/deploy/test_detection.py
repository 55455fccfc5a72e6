"""A detector's deployment: its files, its program on pictures, and mAP that is that of the card."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from nas.compress.prune import Prune
from nas.compress.share import Share
from nas.compress.step import Given
from nas.data.catalog import load_dataset
from nas.data.dataset import Dataset
from nas.deploy import measure
from nas.deploy.card import read_card
from nas.deploy.job import Job, deploy
from nas.deploy.judgment import joined, judged, judged_less
from nas.device.profile import load_device
from nas.errors import UserError
from nas.models.trained import TrainedModel, load_trained
from nas.monitor.calibrate import Calibration, calibrate
from nas.monitor.log import Window, read_log
from nas.monitor.reference import watch_files
from nas.space.search_space import parse_space
from nas.tasks.detection import Detection
from nas.train.full import train_full
from nas.train.full_recipe import full_recipe
from nas.train.loop import evaluate
from tests.deploy.deployments import FEW
from tests.search.test_detection import SPACE, squares


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Dataset, TrainedModel]:
    """A folder with squares/, a trained detector model/ and its deployment out/."""
    folder = tmp_path_factory.mktemp("detector")
    data = load_dataset(f"coco:{squares(folder / 'squares')}")
    space = parse_space(SPACE, Path("d.toml"))
    network = space.network(space.sample(np.random.default_rng(0)), 2)
    recipe = full_recipe(
        {"optimizer": "adamw", "learning_rate": 0.01}, images=len(data.train), resolution=64, batch_size=8, epochs=25,
        mixup=0.0,
    )  # fmt: skip
    train_full(network, data, recipe, folder / "model", recorded={"dataset": data.name, "dataset_seed": 0})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(measure, "SETTINGS", FEW)
        job = Job(folder / "model", None, ("int8", "fp32"), training=None, device="raspberry-pi-4")
        deploy(job, folder / "out")
    return folder, data, load_trained(folder / "model")


def test_the_card_has_the_map_of_the_files(made: tuple[Path, Dataset, TrainedModel]) -> None:
    folder, data, model = made
    card, task = read_card(folder / "out/versions/1"), Detection(data.classes, model.network)
    wanted = evaluate(model.module(), task, data.test_split(), 64)
    found = card.models["fp32"].test
    assert found is not None and found.value == pytest.approx(wanted, abs=0.005)
    assert found.low < found.value < found.high and wanted > 0.05
    rounded = card.models["int8"].test
    assert rounded is not None and abs(rounded.value - wanted) < 0.1
    facts = json.loads((folder / "out/versions/1/preprocess.json").read_text())
    assert facts["heads"]["kind"] == "anchor_free" and facts["resize"] == "whole, bilinear"
    words = (folder / "out/versions/1/README.md").read_text()
    assert words.startswith("# Object detector, version 1") and "mAP" in words and "classifies" not in words


def test_the_program_names_and_draws_objects_in_the_pictures_own_pixels(
    made: tuple[Path, Dataset, TrainedModel], tmp_path: Path
) -> None:
    """A picture of twice the size, with room beside it: its boxes are where the objects are in that picture."""
    folder, data, _ = made
    test = data.test_split()
    small = test.images.take(torch.arange(len(test)), 64).numpy()
    paths = []
    for number, pixels in enumerate(small):
        wide = Image.new("RGB", (256, 128), (114, 114, 114))
        wide.paste(Image.fromarray(pixels).resize((128, 128), Image.Resampling.NEAREST), (0, 0))
        wide.save(tmp_path / f"{number}.png")
        paths.append(str(tmp_path / f"{number}.png"))
    run = [sys.executable, str(folder / "out/run.py"), "--json", "--least", "0.3", "--draw", str(tmp_path / "drawn")]
    lines = subprocess.run([*run, *paths], capture_output=True, text=True, check=True, timeout=120).stdout.splitlines()
    assert len(lines) == len(small)
    objects = [thing for line in lines for thing in json.loads(line)["objects"]]
    assert objects and {thing["class"] for thing in objects} <= {"red", "blue"}
    assert all(0 <= x1 < x2 <= 256 and 0 <= y1 < y2 <= 128 for x1, y1, x2, y2 in (thing["box"] for thing in objects))
    assert np.median([thing["box"][2] for thing in objects]) < 150  # the objects are in the left half
    with Image.open(tmp_path / "drawn/0.png") as drawn:
        assert drawn.size == (256, 128)
    words = subprocess.run(
        [sys.executable, str(folder / "out/run.py"), paths[0]], capture_output=True, text=True, check=True, timeout=120
    ).stdout
    assert words.startswith(paths[0]) and (" at " in words or "nothing found" in words)
    refused = subprocess.run(
        [*run[:2], "--least", "2", paths[0]], capture_output=True, text=True, check=False, timeout=60
    )
    assert refused.returncode == 2 and "--least must be between 0 and 1" in refused.stderr


def test_answers_are_judged_by_what_is_there() -> None:
    """One picture with two objects, one with none: finding both is 1, finding one of the two classes half."""
    labels = np.full((2, 2, 8), 0, np.float32)
    labels[0, :, 0], labels[0, 0, 1:5], labels[0, 1, 1:5] = (0, 1), (0.1, 0.1, 0.4, 0.4), (0.5, 0.5, 0.9, 0.9)
    labels[1, :, 0] = -1
    labels[:, :, 6] = 100
    both = [[[0, 0.9, 0.1, 0.1, 0.4, 0.4], [1, 0.8, 0.5, 0.5, 0.9, 0.9]], []]
    one = [both[0][:1], []]
    assert judged(both, labels, ("a", "b")).value == pytest.approx(1)
    assert judged(one, labels, ("a", "b")).value == pytest.approx(0.5)
    less = judged_less(one, both, labels, ("a", "b"))
    assert less.value == pytest.approx(-0.5) and less.low <= less.value <= less.high
    more = joined(labels, np.concatenate([labels, labels[:, :1]], axis=1))
    assert more.shape == (4, 3, 8) and more[0, 2, 0] == -1
    assert judged([3, 1, 2], np.array([3, 1, 1]), tuple("abcd")).value == pytest.approx(2 / 3)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"most": 0.01}, "a largest drop is one of classes"),
        ({"runtimes": ("litert",)}, "a detector is exported for ONNX Runtime"),
    ],
)
def test_what_a_detector_cannot_have_is_one_line(
    made: tuple[Path, Dataset, TrainedModel], tmp_path: Path, change: dict[str, object], said: str
) -> None:
    folder, _, _ = made
    job = Job(folder / "model", None, ("int8", "fp32"), training=None, device="raspberry-pi-4", **change)  # type: ignore[arg-type]
    with pytest.raises(UserError, match=said):
        deploy(job, tmp_path / "out")
    assert not list((tmp_path / "out").glob("versions/*"))
    assert "runtimes" not in change or not (tmp_path / "out").exists()


def test_only_classifiers_are_compressed_by_training(made: tuple[Path, Dataset, TrainedModel], tmp_path: Path) -> None:
    _, data, model = made
    given = Given(data, 0, tmp_path / "work", load_device("raspberry-pi-4"))
    for step in (Prune(0.3), Share()):
        with pytest.raises(UserError, match="only classifiers are pruned"):
            step.apply(model, given)


def test_a_detector_is_served_and_not_calibrated(made: tuple[Path, Dataset, TrainedModel], tmp_path: Path) -> None:
    """Its boxes are those of run.py, which are those of the evaluation."""
    folder, data, model = made
    out, pictures = folder / "out", folder / "squares/images"
    shown = tmp_path / "pictures"
    shown.mkdir()
    for path in sorted(pictures.iterdir())[:6]:
        shutil.copy(path, shown)
    once = [sys.executable, str(out / "run.py"), "--json", *map(str, sorted(shown.iterdir()))]
    served = [sys.executable, str(out / "serve.pyz"), str(out), "--json", "--images", str(shown)]
    lines = [
        [json.loads(line) for line in subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
         .stdout.splitlines()]
        for command in (once, served)
    ]  # fmt: skip
    assert [line["objects"] for line in lines[0]] == [line["objects"] for line in lines[1]]
    assert sum(len(line["objects"]) for line in lines[1]) > 3
    (window,) = read_log(out).of(Window)
    assert window.objects is not None and window.objects.mean > 0 and set(window.objects_of) == {"red", "blue"}
    with pytest.raises(UserError, match="only classifiers learn again"):
        calibrate(Calibration(folder / "out"))
    said: list[str] = []
    assert watch_files(model, {}, data.validation, said.append) == {} and said == [
        "not watched: a detector is not served yet"
    ]
