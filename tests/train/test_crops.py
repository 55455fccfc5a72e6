"""A detector's body learns from what the boxes hold, and the detector takes its weights."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from nas.data.catalog import load_dataset
from nas.data.dataset import Dataset
from nas.errors import UserError
from nas.models.builder import build
from nas.models.trained import load_trained
from nas.space.search_space import parse_space
from nas.train.crops import AROUND, SIDE, classifier_of, crops_of, trained_body
from nas.train.full import train_full
from nas.train.full_recipe import full_recipe
from tests.search.test_detection import SPACE, squares

NETWORK = parse_space(SPACE, Path("d.toml"))
DETECTOR = NETWORK.network(NETWORK.sample(np.random.default_rng(0)), 2)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return load_dataset(f"coco:{squares(tmp_path_factory.mktemp('crops') / 'squares')}")


def test_crops_hold_the_objects(data: Dataset) -> None:
    """The squares are red and blue: in the middle of a crop the channel of its class is bright."""
    crops = crops_of(data)
    assert crops.classes == ("red", "blue", "background")
    counts = torch.bincount(crops.train.labels).tolist()
    assert counts[0] == counts[1] == len(data.train) and 0 < counts[2] <= len(data.train)
    pixels = crops.train.images.take(torch.arange(len(crops.train)), SIDE).float()
    middle = pixels[:, SIDE // 2 - 4 : SIDE // 2 + 4, SIDE // 2 - 4 : SIDE // 2 + 4].mean((1, 2))
    for label, channel in ((0, 0), (1, 2)):
        # another square may lie on top of one
        assert float((middle[crops.train.labels == label, channel] > 140).float().mean()) > 0.7
    edge = pixels[crops.train.labels < 2, 2:4, 2:4].mean((1, 2, 3))  # the margin of 1.3 is of the background
    assert AROUND > 1.2 and float((edge > 80).float().mean()) > 0.7


def test_the_detector_has_the_classifiers_body_and_a_stopped_call_goes_on(data: Dataset, tmp_path: Path) -> None:
    made = trained_body(DETECTOR, data, tmp_path / "body", epochs=2)
    classifier, fresh = load_trained(tmp_path / "body"), build(DETECTOR, seed=0).state_dict()
    assert classifier.network.classes == 3 and classifier.network == classifier_of(DETECTOR, 3)
    for name, tensor in made.weights.items():
        assert torch.equal(tensor, fresh[name] if name.startswith("heads") else classifier.weights[name])
    again = trained_body(DETECTOR, data, tmp_path / "body", epochs=2)
    assert all(torch.equal(made.weights[name], again.weights[name]) for name in made.weights)
    assert made.preprocessing.resize == "whole, bilinear"


def test_a_detector_is_trained_in_full_and_only_as_detectors_are(data: Dataset, tmp_path: Path) -> None:
    options = {"images": len(data.train), "resolution": 64, "batch_size": 8, "epochs": 12}
    recipe = full_recipe({"optimizer": "adamw", "learning_rate": 0.01}, mixup=0.0, **options)
    model = train_full(DETECTOR, data, recipe, tmp_path / "model")
    assert (model.task, model.preprocessing.resize) == ("detection", "whole, bilinear")
    curve = (tmp_path / "model/curve.csv").read_text().splitlines()
    assert float(curve[-1].split(",")[2]) > 0.02
    for wrong, said in (({"mixup": 0.2}, "mixup"), ({"mixup": 0.0, "class_weights": "balanced"}, "class weights")):
        with pytest.raises(UserError, match=f"{said} is for classification"):
            train_full(DETECTOR, data, full_recipe({}, **options, **wrong), tmp_path / "other")
    assert not (tmp_path / "other").exists()
