"""The chart of predicted against measured: drawn of anything that was measured, refused otherwise."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from nas.device.compare.chart import draw_validation
from nas.device.profile import load_device
from nas.device.tables.validation import Validation
from nas.errors import UserError

ONE = (Validation("only", "fp32", "held-out", 2.0, 3.0),)


def size(path: Path) -> tuple[int, int]:
    """Width and height of a PNG, from its header."""
    head = path.read_bytes()[:24]
    assert head.startswith(b"\x89PNG")
    return int.from_bytes(head[16:20]), int.from_bytes(head[20:24])


def test_energy_has_a_panel_of_its_own(tmp_path: Path) -> None:
    draw_validation(load_device("raspberry-pi-4").validation, "pi", tmp_path / "both.png")
    draw_validation(ONE, "one", tmp_path / "one.png")
    both, one = size(tmp_path / "both.png"), size(tmp_path / "one.png")
    assert both[0] > 1.5 * one[0] and both[1] == one[1]


def test_both_precisions_and_the_band_are_in_their_colors(tmp_path: Path) -> None:
    from matplotlib.image import imread

    draw_validation(load_device("raspberry-pi-4").validation, "pi", tmp_path / "pi.png")
    pixels = (imread(tmp_path / "pi.png")[..., :3] * 255).round().astype(int)
    for color in ((0, 114, 178), (213, 94, 0), (224, 224, 224)):
        assert (np.abs(pixels - color).max(axis=-1) < 25).sum() > 200


def test_names_are_drawn_as_they_are(tmp_path: Path) -> None:
    draw_validation((Validation(r"$\frac{a}$_{", "fp32", "network", 2.0, 9.0),), r"$\undefined", tmp_path / "n.png")
    assert size(tmp_path / "n.png")[0] > 0


@pytest.mark.parametrize(
    ("rows", "name", "message"),
    [
        ((), "a.png", "no whole network to draw"),
        (ONE, "a.jpg", r"must end in \.png; got"),
        (ONE, "gone/a.png", "cannot write .*No such file"),
    ],
)
def test_what_cannot_be_drawn_is_said(rows: tuple, name: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=message):
        draw_validation(rows, "title", tmp_path / name)
    assert list(tmp_path.iterdir()) == []
