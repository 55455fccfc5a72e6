"""Pictures that a report shows: always the same, without their grey, and as small as they have to be."""

from __future__ import annotations

import base64
from io import BytesIO

import numpy as np
import pytest
import torch
from PIL import Image

from nas.data.boxes import Detections
from nas.data.pixels import PADDING
from nas.data.shown import chosen, shown_boxes, shown_picture
from nas.run.pictures import MOST_BOXES

RNG = np.random.default_rng(0)


def objects(classes: list[list[int]], crowd: int = -1) -> torch.Tensor:
    """A picture for each list of classes; an object of class `crowd` is one."""
    labels = np.zeros((len(classes), 4, 8), np.float32)
    labels[:, :, 0] = -1
    for row, own in zip(labels, classes, strict=True):
        row[: len(own), 0] = own
        row[: len(own), 5] = np.array(own) == crowd
    return torch.from_numpy(labels)


def test_pictures_with_objects_of_all_classes_are_chosen() -> None:
    made = objects([[], [0], [0], [0, 1], [0], [2], [9], [], [0]], crowd=9)
    numbers = chosen(made, 2).tolist()
    assert sorted(numbers) == [3, 5] and chosen(made, 2).tolist() == numbers
    assert set(chosen(made, 50).tolist()) == {1, 2, 3, 4, 5, 8}  # never one where nothing is to be found
    assert chosen(objects([[], []])).tolist() == []


@pytest.mark.parametrize(("height", "width"), [(480, 640), (640, 480), (640, 640), (1, 640)])
def test_the_grey_beside_a_picture_is_cut_off(height: int, width: int) -> None:
    square = np.full((640, 640, 3), PADDING, np.uint8)
    square[:height, :width] = RNG.integers(256, size=(height, width, 3), dtype=np.uint8)
    square[height - 1, width - 1] = 255
    made = shown_picture(square, np.array([[1, 0.5, 0.25, 0.75, 1.0, 1, 640, 9], [-1] * 8], np.float32), ("a", "b"))
    assert (made.width, made.height) == (width // 2, max(1, height // 2)) and made.side == 320
    assert made.objects == [("b", 0.5, 0.25, 0.75, 1.0, True)]
    with Image.open(BytesIO(base64.b64decode("".join(made.jpeg)))) as image:
        assert image.size == (made.width, made.height)
    assert all(len(line) <= 4000 for line in made.jpeg) and made.uri.startswith("data:image/jpeg;base64,/9j/")


def test_an_all_grey_picture_is_a_picture() -> None:
    made = shown_picture(np.full((64, 64, 3), PADDING, np.uint8), np.empty((0, 8), np.float32), ())
    assert max(made.width, made.height) == 64


def test_only_likely_boxes_are_kept() -> None:
    boxes = np.tile(np.array([[0, 0, 0.5, 1.0]], np.float32), (99, 1))
    scores = np.linspace(0.9, 0.05, 99).astype(np.float32)
    kept = shown_boxes(Detections(np.zeros(99, np.int64), scores, boxes), ("a",))
    assert len(kept) == MOST_BOXES and kept[0] == ("a", 0.9, 0.0, 0.0, 0.5, 1.0)
    assert shown_boxes(Detections(np.zeros(9, np.int64), scores[-9:] - 0.04, boxes[:9]), ("a",)) == []
