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


def draw_strange(folder: Path) -> None:
    """Pictures of every mode that a camera or a tool writes, from 9 to 700 pixels a side."""
    rng = np.random.default_rng(3)
    noise = Image.fromarray(rng.integers(0, 256, (61, 47, 3), dtype=np.uint8))
    noise.convert("L").save(folder / "grey.png")
    noise.convert("RGBA").save(folder / "rgba.png")
    noise.convert("P").save(folder / "palette.gif")
    noise.convert("CMYK").save(folder / "cmyk.jpg")
    noise.convert("1").save(folder / "bits.png")
    noise.resize((9, 9)).save(folder / "tiny.bmp")
    noise.resize((700, 411)).save(folder / "large.jpg", quality=60)
    Image.fromarray(rng.integers(0, 65536, (50, 33), dtype=np.uint16)).save(folder / "deep.png")
    for turn in range(1, 9):
        exif = Image.Exif()
        exif[274] = turn
        noise.save(folder / f"turned{turn}.jpg", exif=exif)
