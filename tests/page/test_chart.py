"""Line charts: where a point lies, and the numbers beside the axes."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest

from nas.page.chart import BOTTOM, HEIGHT, LEFT, MOST_POINTS, RIGHT, TOP, WIDTH, line_chart, ticks


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0.0, 1.0, [0, 0.2, 0.4, 0.6, 0.8, 1.0]), (12.0, 98.0, [0, 20, 40, 60, 80, 100]),
        (3.0, 3.0, [3, 4]), (0.0, 0.0, [0, 0.2]), (-5.0, 5.0, [-6, -4, -2, 0, 2, 4, 6]),
    ],
)  # fmt: skip
def test_ticks_are_round_and_hold_all(low: float, high: float, expected: list[float]) -> None:
    found = ticks(low, high)
    assert found[0] <= low and found[-1] >= high and len(found) >= 2
    assert found == pytest.approx(expected) or (low == high and found[0] <= low < found[-1])


def test_the_first_and_the_last_point_lie_at_the_ends() -> None:
    page = line_chart("Accuracy <of> it", "epoch", [1, 2, 3], {"a & b": [0.0, 50.0, 100.0], "c": [100.0, 0.0, 0.0]})
    first, second = re.findall(r'points="([^"]*)"', page)
    assert first.split() == [
        f"{LEFT:.1f},{HEIGHT - BOTTOM:.1f}",
        f"{(LEFT + WIDTH - RIGHT) / 2:.1f},{(TOP + HEIGHT - BOTTOM) / 2:.1f}", f"{WIDTH - RIGHT:.1f},{TOP:.1f}",
    ]  # fmt: skip
    assert second.split()[0] == f"{LEFT:.1f},{TOP:.1f}"
    assert "a &amp; b" in page and "<of>" not in page and "var(--series-1)" in page
    ElementTree.fromstring(page.replace("&nbsp;", " "))


def test_one_point_is_a_dot_and_a_long_line_is_thinned() -> None:
    assert "<circle" in line_chart("x", "epoch", [1], {"a": [2.0]})
    page = line_chart("x", "epoch", list(range(5000)), {"a": [float(n) for n in range(5000)]})
    (points,) = re.findall(r'points="([^"]*)"', page)
    assert len(points.split()) <= MOST_POINTS + 1 and points.endswith(f"{WIDTH - RIGHT:.1f},{TOP:.1f}")
    with pytest.raises(ValueError, match="at least one point"):
        line_chart("x", "epoch", [], {"a": []})
