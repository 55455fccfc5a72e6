"""Statistics of pictures against hand arithmetic, and what moves them."""

from __future__ import annotations

import math
import tracemalloc

import numpy as np
import pytest

from nas.data.corruptions import corrupt
from nas.monitor.serve.picture import NAMES, SIDE, Pictures


def of(pixels: np.ndarray) -> dict[str, float]:
    seen = Pictures(*pixels.shape[:2])
    found = seen.statistics(np.stack([seen.part(pixels)]))
    assert found.shape == (1, len(NAMES)) and np.isfinite(found).all()
    return dict(zip(NAMES, found[0], strict=True))


def test_a_ramp_by_hand() -> None:
    """Columns 0, 4, 8, ... 124 in green, red 10 above, blue 20 below, clipped at 0."""
    ramp = np.tile(4 * np.arange(32), (32, 1))
    found = of(np.stack([ramp + 10, ramp, np.maximum(ramp - 20, 0)], axis=-1).astype(np.uint8))
    assert found["mean"] == pytest.approx(62)
    assert found["red"] == pytest.approx(10)
    assert found["blue"] == pytest.approx((27 * -20 + sum(-4 * n for n in range(5))) / 32)
    assert found["contrast"] == pytest.approx(math.log(4 * math.sqrt((32**2 - 1) / 12) + 1), abs=1e-3)
    assert found["darkest"] == 0 and found["lightest"] == pytest.approx(math.sqrt(255 - 124))
    assert found["gradient across"] == pytest.approx(math.log(4.5), abs=1e-6)
    assert found["gradient down"] == pytest.approx(math.log(0.5), abs=1e-6)
    assert found["curvature"] == pytest.approx(math.log(0.5 / 4.5), abs=1e-5)
    assert found["color gradient"] == pytest.approx(math.log(0.25 / 4.5), abs=1e-5)
    assert found["block borders"] == pytest.approx(0, abs=1e-5)
    assert found["flat"] == pytest.approx(math.log(0.05 / 2.05), abs=1e-5)
    assert found["clipped"] == pytest.approx(math.log((5 + 1) / 32 + 0.02), abs=1e-3)  # 0 is 5 below 5, 4 is 1 below


def test_a_grey_picture_and_sizes_that_fit_no_block_are_finite() -> None:
    for shape in ((1, 8, 3), (5, 7, 3), (8, 8, 3), (33, 200, 3), (224, 224, 3)):
        of(np.full(shape, 128, np.uint8))


@pytest.mark.parametrize("size", [(224, 224), (24, 90), (90, 24), (47, 48), (600, 35), (32, 32)])
def test_what_is_looked_at_is_those_rows_and_columns(size: tuple[int, int]) -> None:
    seen, pixels = Pictures(*size), np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)
    for one in (pixels, pixels[:, ::-1], pixels[::-1]):  # also of a view, whose rows lie otherwise in memory
        assert (seen.part(one) == one[seen.rows[:, None], seen.columns]).all()


def test_pictures_of_one_call_know_nothing_of_each_other_nor_of_the_call_before() -> None:
    rng = np.random.default_rng(0)
    for size in ((32, 32), (24, 24), (5, 7), (1, 8), (1, 1)):
        pixels, seen = rng.integers(0, 256, (16, *size, 3), np.uint8), Pictures(*size)
        whole = seen.statistics(pixels)
        seen.statistics(255 - pixels)
        alone = np.concatenate([Pictures(*size).statistics(one[None]) for one in pixels])
        assert seen.statistics(pixels) == pytest.approx(whole, abs=0) and whole == pytest.approx(alone, abs=1e-3)


def test_a_group_after_the_first_one_asks_for_little_memory() -> None:
    """Memory that is asked for again and again took two thirds of the time."""
    seen, parts = Pictures(224, 224), np.zeros((16, SIDE, SIDE, 3), np.uint8)
    seen.statistics(parts)
    tracemalloc.start()
    seen.statistics(parts)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < 50_000


def test_of_a_large_picture_a_small_part_on_the_grid_of_blocks_is_looked_at() -> None:
    seen = Pictures(224, 160)
    assert seen.shape == (SIDE, SIDE, 3)
    assert seen.rows[0] % 8 == 0 and (np.diff(seen.rows)[:15] == 1).all() and seen.rows.max() < 224


@pytest.mark.parametrize(
    ("corruption", "name", "sign"),
    [("gaussian-noise", "curvature", 1), ("gaussian-blur", "curvature", -1), ("brightness", "mean", 1),
     ("contrast", "contrast", -1), ("jpeg", "fine detail", -1)],
)  # fmt: skip
def test_a_corruption_moves_the_statistic_that_is_meant_for_it(corruption: str, name: str, sign: int) -> None:
    rng = np.random.default_rng(0)
    soft = np.cumsum(np.cumsum(rng.standard_normal((20, 32, 32, 3)), axis=1), axis=2)
    clean = np.clip(128 + 12 * soft / 4 + 6 * rng.standard_normal(soft.shape), 0, 255).astype(np.uint8)
    changed = corrupt(clean, corruption, 5, seed=1)
    moved = [of(after)[name] - of(before)[name] for before, after in zip(clean, changed, strict=True)]
    assert np.mean(np.sign(moved) == sign) >= 0.9
