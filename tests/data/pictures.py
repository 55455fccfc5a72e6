"""Small PNG folders for the tests: each class its own color, with noise, in mixed sizes."""

from pathlib import Path

import numpy as np
from PIL import Image

COLORS = {"red": (200, 40, 40), "green": (40, 200, 40), "blue": (40, 40, 200)}


def write_folder(root: Path, count: int, classes: tuple[str, ...] = ("blue", "green", "red")) -> Path:
    """`count` images of each class below `root`, from 12x16 pixels upwards, in RGB, grey and palette modes."""
    rng = np.random.default_rng(0)
    for name in classes:
        (root / name).mkdir(parents=True)
        for index in range(count):
            height, width = 12 + index % 3, 16 + 2 * (index % 2)
            noise = rng.integers(-40, 40, (height, width, 3))
            image = Image.fromarray(np.clip(noise + COLORS[name], 0, 255).astype(np.uint8))
            image.convert("P" if index == 1 else "RGB").save(root / name / f"{index:03}.png")
    return root
