"""The paired difference of two classifiers on the same images."""

import numpy as np
import pytest

from nas.compress.drop import Drop, answers, drop_of


def test_a_drop_counts_images_that_only_one_gets_right() -> None:
    labels, before, after = (np.array(list(map(int, row))) for row in ("0123456789", "0123456700", "0100456789"))
    assert drop_of(labels, before, after) == Drop(10, 2, 2)
    assert drop_of(labels, before, before).value == 0 and drop_of(labels, labels, after).value == pytest.approx(0.2)


def test_its_interval_is_the_published_one() -> None:
    """By hand: 20 lost, 10 gained of 198: gap 10/200, deviation sqrt(31 - 0.5)/200 = 0.02761."""
    drop = Drop(198, 20, 10)
    assert drop.value == pytest.approx(10 / 198)
    assert drop.interval == pytest.approx((0.05 - 1.96 * 0.027613, 0.05 + 1.96 * 0.027613), abs=1e-5)
    assert Drop(100, 0, 0).interval[1] > 0  # no difference among 100 images does not prove that there is none
    assert drop.text == "loses 5.1 points (95%: -0.4 to 10.4) on 198 images"


def test_the_interval_covers_the_truth() -> None:
    rng = np.random.default_rng(0)
    drawn = rng.multinomial(300, [0.03, 0.01, 0.96], 2000)
    covered = [low <= 0.02 <= high for low, high in (Drop(300, a, b).interval for a, b, _ in drawn)]
    assert 0.93 <= np.mean(covered) <= 0.99


def test_a_score_that_is_not_finite_is_no_answer() -> None:
    scores = {0.0: [[1.0, 2.0]], 1.0: [[np.nan, 2.0]], 2.0: [[3.0, 2.0]]}
    images = [np.full((1, 3, 2, 2), value, np.float32) for value in scores]
    assert answers(lambda image: np.array(scores[float(image[0, 0, 0, 0])]), images).tolist() == [1, -1, 0]
