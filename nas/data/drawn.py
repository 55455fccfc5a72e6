"""A drawn set with boxes, to try detection on without any data: handwritten digits pasted on photographs.

It is made by code from what scikit-learn brings along: 1,797 digits (Alpaydin and Kaynak, UCI, 1998) and two
photographs. Boxes are exact. It shows that everything works; how good a detector is it does not show, as a pasted
digit is told from a photograph by its edge.
"""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image

from nas.data.dataset import Found, Split
from nas.data.images import ImagesInMemory

PICTURES, SIDE = 600, 160
MOST_DIGITS = 4  # of a picture; one of ten has none
SIDES = (24, 72)  # pixels of a digit
APART = 0.2  # of the union, that two digits may overlap at most
SEED = 0


def read_drawn() -> Found:
    """600 pictures of 160 pixels with up to four digits each, the same at each call."""
    from sklearn.datasets import load_digits, load_sample_images

    from nas.data.boxes import overlaps

    rng, digits, photographs = np.random.default_rng(SEED), load_digits(), load_sample_images().images
    pixels = np.empty((PICTURES, SIDE, SIDE, 3), np.uint8)
    labels = np.zeros((PICTURES, MOST_DIGITS, 8), np.float32)
    labels[:, :, 0], labels[:, :, 6] = -1, SIDE
    for picture, row in zip(pixels, labels, strict=True):
        picture[:] = _texture(photographs[rng.integers(len(photographs))], rng)
        boxes: list[np.ndarray] = []
        for place in range(int(rng.integers(1, MOST_DIGITS + 1)) if rng.random() < 0.9 else 0):
            which, side = int(rng.integers(len(digits.images))), int(rng.integers(*SIDES))
            x, y = (int(v) for v in rng.integers(0, SIDE - side, size=2))
            mask = _mask(digits.images[which], side)
            box = _around(mask, x, y) / SIDE
            if boxes and overlaps(box[None], np.stack(boxes)).max() > APART:
                continue
            boxes.append(box)
            under = picture[y : y + side, x : x + side].astype(np.float32)
            color = rng.integers(96, size=3) + (160 if under.mean() < 128 else 0)  # dark on bright, bright on dark
            picture[y : y + side, x : x + side] = under + mask[:, :, None] * (color - under)
            row[place, 0], row[place, 1:5] = digits.target[which], box
            row[place, 7] = SIDE**2 * (box[2:] - box[:2]).prod()
    split = Split(ImagesInMemory(torch.from_numpy(pixels)), torch.from_numpy(labels))
    return Found(tuple("0123456789"), split, task="detection")


def _texture(photograph: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A random part of a photograph, uint8 (SIDE, SIDE, 3)."""
    height, width = photograph.shape[:2]
    side = int(rng.integers(SIDE // 2, min(height, width)))
    top, left = int(rng.integers(height - side)), int(rng.integers(width - side))
    part = Image.fromarray(photograph[top : top + side, left : left + side])
    return np.asarray(part.resize((SIDE, SIDE), Image.Resampling.BILINEAR))


def _mask(digit: np.ndarray, side: int) -> np.ndarray:
    """How much of each pixel a digit of 8 x 8 values from 0 to 16 covers, float32 (side, side)."""
    grey = Image.fromarray(np.rint(digit * (255 / 16)).astype(np.uint8))
    return np.asarray(grey.resize((side, side), Image.Resampling.BICUBIC), np.float32) / 255


def _around(mask: np.ndarray, x: int, y: int) -> np.ndarray:
    """The box of what is at least half covered, in pixels."""
    rows, columns = np.nonzero(mask >= 0.5)
    return np.array([x + columns.min(), y + rows.min(), x + columns.max() + 1, y + rows.max() + 1], np.float32)
