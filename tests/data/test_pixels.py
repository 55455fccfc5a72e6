"""What a board makes of a picture file is what training and evaluation saw of it, equal to the bit."""

from __future__ import annotations

import ast
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
import vermin

import nas.data.pixels as module
from nas.data.catalog import load_dataset
from nas.data.dataset import Split
from nas.data.pixels import as_input, read_image, scaled
from nas.train.loop import normalize
from tests.data.pictures import draw_strange, write_folder
from tests.shared_data import shared_data

MEAN = STD = (127.5, 127.5, 127.5)


def same_bits(test: Split, root: Path, resolution: int) -> int:
    """Holds the images of a split to the files below `root`; gives how many there were."""
    paths = [path for folder in sorted(root.iterdir()) for path in sorted(folder.iterdir())]
    seen = normalize(test.images.take(torch.arange(len(test)), resolution)).numpy()
    assert len(paths) == len(test)
    for path, image in zip(paths, seen, strict=True):
        made = as_input(read_image(path, test.images.side, resolution), MEAN, STD)
        assert made.dtype == np.float32 and made.shape == (1, 3, resolution, resolution)
        assert np.array_equal(made[0], image), path.name
    return len(paths)


@pytest.mark.parametrize("in_memory", [True, False])
def test_a_board_sees_what_training_saw_of_any_picture(
    tmp_path: Path, in_memory: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not in_memory:
        monkeypatch.setattr("nas.data.folder.MEMORY_BYTES", 1000)
    for split in ("train", "test"):
        write_folder(tmp_path / split, 4)
    draw_strange(tmp_path / "test/red")
    data = load_dataset(f"folder:{tmp_path}")
    test = data.test_split()
    assert (test.images.side > 0) == in_memory
    for resolution in (28, test.images.side or 13, 65):
        assert same_bits(test, tmp_path / "test", resolution) == 12 + 16


def test_a_board_sees_what_training_saw_of_real_photographs(tmp_path: Path) -> None:
    photographs = sorted(shared_data("bccd/images").glob("*.jpg"))[:8]
    for split in ("train", "test"):
        for number, path in enumerate(photographs):
            place = tmp_path / split / f"class{number % 2}"
            place.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, place)
    test = load_dataset(f"folder:{tmp_path}").test_split()
    assert test.images.side == 224  # of 640 x 480: they are scaled twice
    for resolution in (96, 128, 160, 224):  # 128 and 160 are those that torch's own resize does otherwise
        assert same_bits(test, tmp_path / "test", resolution) == 8


def test_scaling_is_by_hand_arithmetic_where_that_is_easy() -> None:
    """Halving with antialiasing weighs four neighbours in a row 1, 3, 3, 1, over their sum."""
    row = np.zeros((8, 8, 3), np.uint8)
    row[:, 3] = 80
    half = scaled(row, 4)[1, :, 0]
    assert half.tolist() == [0, 30, 10, 0]  # 80 times 3/8 and 1/8
    assert np.array_equal(scaled(row, 8), row)


def test_the_file_runs_on_a_board() -> None:
    """Python 3.8, and nothing but NumPy, Pillow and the standard library."""
    source = Path(module.__file__ or "").read_text("utf-8")
    least = vermin.detect(source)[1]
    assert least is not None and least <= (3, 8)
    names = {
        (node.module or "") if isinstance(node, ast.ImportFrom) else alias.name
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
    }
    assert not [name for name in names if name.startswith(("nas", "torch"))]
