"""COCO folders: what is read is what the file says, and every fault of a file is one line that names it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from nas.data.catalog import load_dataset, load_found
from nas.errors import UserError
from tests.shared_data import shared_data

Table = dict[str, Any]


def folder(path: Path, change: Callable[[Table], object] = lambda table: None, *, split: str = "train") -> Path:
    """Three pictures of 40 x 20 pixels: with two objects, with one, and with none."""
    (path / "images").mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    for number in (1, 2, 3):
        Image.fromarray(rng.integers(256, size=(20, 40, 3), dtype=np.uint8)).save(path / f"images/{number}.png")
    table: Table = {
        "images": [{"id": n, "file_name": f"{n}.png", "width": 40, "height": 20} for n in (1, 2, 3)],
        "categories": [{"id": 7, "name": "dog"}, {"id": 3, "name": "cat"}],
        "annotations": [
            {"id": 1, "image_id": 1, "category_id": 3, "bbox": [0, 0, 10, 20], "iscrowd": 0},
            {"id": 2, "image_id": 1, "category_id": 7, "bbox": [20, 10, 20, 10.5], "iscrowd": 1},
            {"id": 3, "image_id": 2, "category_id": 7, "bbox": [4, 4, 0, 5]},
            {"id": 4, "image_id": 2, "category_id": 7, "bbox": [4, 4, 8, 8], "area": 50.0},
        ],
    }
    change(table)
    (path / f"instances_{split}.json").write_text(json.dumps(table))
    return path


def test_boxes_are_shares_of_the_square_that_the_picture_lies_in(tmp_path: Path) -> None:
    found = load_found(f"coco:{folder(tmp_path)}")
    assert (found.classes, found.task) == (("cat", "dog"), "detection")  # in the order of their ids
    labels = found.train.labels
    assert labels.shape == (3, 2, 8)
    cut_off = [1, 0.5, 0.25, 1.0, 0.5, 1, 40, 210]
    assert labels[0].tolist() == [[0, 0, 0, 0.25, 0.5, 0, 40, 200], cut_off]
    torch.testing.assert_close(labels[1, 0], torch.tensor([1, 0.1, 0.1, 0.3, 0.3, 0, 40, 50]))
    assert labels[1, 1, 0] == -1 and labels[2, :, 0].tolist() == [-1, -1]
    assert found.left_out == ("1 boxes without an area",)
    pixels = found.train.images.take(torch.tensor([0]), 40)
    assert pixels.shape == (1, 40, 40, 3) and bool((pixels[:, 20:] == 114).all())
    assert np.array_equal(pixels[0, :20], np.asarray(Image.open(tmp_path / "images/1.png")))
    in_files = load_found(f"coco:{tmp_path}", in_files=True).train.images
    assert torch.equal(in_files.take(torch.tensor([0]), 40), pixels)
    data = load_dataset(f"coco:{tmp_path}")
    assert (len(data.train), len(data.validation), len(data.test_split()), data.task) == (1, 1, 1, "detection")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda t: t.pop("annotations"), "it has no list of annotations"),
        (lambda t: t["images"].append(dict(t["images"][0])), "images id 1: an id must be there once"),
        (lambda t: t["annotations"][0].update(image_id=9), "annotations id 1: image_id must be one of images; got '9'"),
        (
            lambda t: t["annotations"][0].update(category_id=9),
            "annotations id 1: category_id must be one of categories",
        ),
        (lambda t: t["annotations"][0].update(bbox=[0, 0, 90, 5]), "annotations id 1: bbox must lie in its picture"),
        (lambda t: t["annotations"][0].update(bbox=[0, 0, "a", 5]), "annotations id 1: bbox must be"),
        (lambda t: t["annotations"][0].update(bbox=[-30, 0, 5, 5]), "annotations id 1: bbox must lie in its picture"),
        (lambda t: t["images"][0].update(file_name="none.png"), "images id 1: the picture 'none.png' is missing"),
        (lambda t: t["images"][0].update(file_name="../../etc/passwd"), "images id 1: the picture"),
        (lambda t: t["images"][0].update(width=50), "images id 1: 1.png must have 50 x 20 pixels, as it says; got 40"),
        (lambda t: t["images"][0].update(width="x"), "images id 1: width and height must be whole pixels"),
        (lambda t: t["images"][2].pop("width"), "images id 3: width and height must be whole pixels"),  # has no boxes
        (lambda t: t["annotations"][0].update(image_id=[1]), "annotations id 1: image_id must be one of images"),
        (lambda t: t["annotations"][0].update(category_id={}), "annotations id 1: category_id must be one of"),
        (lambda t: t["annotations"][0].update(area="a"), "annotations id 1: area must be a number of pixels; got 'a'"),
        (lambda t: t["annotations"][0].update(area=-1), "annotations id 1: area must be a number of pixels; got '-1'"),
        (lambda t: t["images"][0].pop("id"), "images 0: id must be a whole number"),
        (lambda t: t.update(annotations=[]), "its train pictures must have at least one box"),
        (lambda t: t["categories"][0].pop("name"), "categories id 7: name must be a text"),
    ],
)
def test_a_fault_is_one_line_that_names_file_and_id(
    tmp_path: Path, change: Callable[[Table], object], said: str
) -> None:
    with pytest.raises(UserError) as error:
        load_found(f"coco:{folder(tmp_path, change)}")
    assert said in str(error.value) and str(tmp_path) in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("cat", "two classes are called 'cat'"),
        ("a\tb", "the name of a class must be 1 to 200 printable characters; got 'a\\tb'"),
        ("\x1b[31m", "printable characters"),
        ("d" * 201, "1 to 200 printable characters"),
    ],
)
def test_names_of_classes_that_cannot_be_shown_are_refused(tmp_path: Path, name: str, said: str) -> None:
    folder(tmp_path, lambda t: t["categories"][0].update(name=name))
    with pytest.raises(UserError) as error:
        load_dataset(f"coco:{tmp_path}")
    assert said in str(error.value) and str(tmp_path) in str(error.value)


def test_one_class_is_enough_and_areas_name_no_other_dataset(tmp_path: Path) -> None:
    def only_dogs(table: Table) -> None:
        table["categories"].pop()
        table["annotations"].pop(0)
        table["annotations"][0]["image_id"] = 2

    data = load_dataset(f"coco:{folder(tmp_path, only_dogs)}")
    assert data.classes == ("dog",)
    for_area = folder(tmp_path / "b", lambda t: (only_dogs(t), t["annotations"][-1].update(area=20)))
    assert load_dataset(f"coco:{for_area}").fingerprint == data.fingerprint


def test_classes_that_differ_between_splits_are_refused(tmp_path: Path) -> None:
    folder(tmp_path)
    folder(tmp_path, lambda t: t["categories"][0].update(name="wolf"), split="val")
    with pytest.raises(UserError, match=r"instances_val.json: its categories must be those of instances_train.json"):
        load_found(f"coco:{tmp_path}")


def test_other_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such folder"):
        load_found(f"coco:{tmp_path / 'none'}")
    with pytest.raises(UserError, match=r"must have instances_train\.json"):
        load_found(f"coco:{tmp_path}")
    (tmp_path / "instances_train.json").write_text("[]")
    with pytest.raises(UserError, match="must be COCO's format"):
        load_found(f"coco:{tmp_path}")


def test_blood_cells() -> None:
    """The counts of its README: 205 and 87 pictures of 640 x 480; 2,804 and 1,137 boxes."""
    root = shared_data("bccd/instances_train.json").parent
    found = load_found(f"coco:{root}", in_files=True)
    assert found.validation is not None
    assert found.classes == ("RBC", "WBC", "Platelets")
    assert (len(found.train), len(found.validation)) == (205, 87)
    boxes = [int((split.labels[..., 0] >= 0).sum()) for split in (found.train, found.validation)]
    without_area = sum(int(text.split()[0]) for text in found.left_out)
    assert sum(boxes) + without_area == 2804 + 1137
