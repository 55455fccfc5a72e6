"""The drawn set is what it says: every box is around a digit, and it is the same at each call."""

import numpy as np
import torch

from nas.data.catalog import load_dataset, load_found
from nas.data.drawn import MOST_DIGITS, PICTURES, SIDE


def test_boxes_are_in_their_pictures_and_the_set_is_always_the_same() -> None:
    found, again = load_found("drawn"), load_found("drawn")
    labels = found.train.labels
    assert torch.equal(labels, again.train.labels) and found.train.images.digest() == again.train.images.digest()
    assert labels.shape == (PICTURES, MOST_DIGITS, 8) and found.task == "detection"
    there = labels[labels[..., 0] >= 0]
    assert len(there) > PICTURES and set(there[:, 0].tolist()) == set(map(float, range(10)))
    assert float(there[:, 1:5].min()) >= 0 and float(there[:, 1:5].max()) <= 1
    sides = (there[:, 3:5] - there[:, 1:3]) * SIDE
    assert float(sides.min()) >= 4 and float(sides.max()) <= 72
    assert int((labels[..., 0] >= 0).any(1).sum()) < PICTURES  # some pictures show nothing


def test_what_is_drawn_differs_from_what_is_around_it() -> None:
    data = load_dataset("drawn")
    pixels = data.train.images.take(torch.arange(100), SIDE).float()
    inside, outside = [], []
    for picture, row in zip(pixels, data.train.labels[:100], strict=True):
        for thing in row[row[:, 0] >= 0]:
            x1, y1, x2, y2 = (round(float(v) * SIDE) for v in thing[1:5])
            inside.append(float(picture[y1:y2, x1:x2].std()))
        outside.append(float(picture.std()))
    assert np.isfinite(inside).all() and len(inside) > 100
    assert (len(data.train), len(data.validation), len(data.test_split())) == (384, 96, 120)
