"""A drift is recognized among the known corruptions by the statistics of other pictures than it was made of."""

from __future__ import annotations

import numpy as np
import pytest

from nas.data.corruptions import corrupt
from nas.monitor.likeness import likenesses, nearest
from tests.shared_data import shared_data


@pytest.fixture(scope="module")
def pictures() -> np.ndarray:
    with np.load(shared_data("cifar10/cifar10_small.npz")) as data:
        return data["x_test"][:600]


@pytest.mark.parametrize(
    ("corruption", "severity", "alike"),
    [
        ("gaussian-noise", 5, {"gaussian-noise"}),
        ("gaussian-blur", 4, {"gaussian-blur", "defocus-blur"}),
        ("brightness", 5, {"brightness"}),
        ("contrast", 4, {"contrast"}),
    ],
)
def test_a_drift_is_recognized(corruption: str, severity: int, alike: set[str], pictures: np.ndarray) -> None:
    frames = corrupt(pictures[300:], corruption, severity, seed=7)
    found = likenesses(frames, pictures[:300])
    chosen = nearest(found)
    assert chosen[0].corruption in alike and abs(chosen[0].severity - severity) <= 1
    assert len({one.corruption for one in chosen}) == len(chosen) == 3
    plain = next(one for one in found if one.corruption == "clean")
    assert plain.distance > 2 * chosen[0].distance


def test_clean_pictures_look_clean(pictures: np.ndarray) -> None:
    found = likenesses(pictures[300:], pictures[:300])
    plain = next(one for one in found if one.corruption == "clean")
    assert plain.distance < 2 * found[0].distance, "weak corruptions look the same"
