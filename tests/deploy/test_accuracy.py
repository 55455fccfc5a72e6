"""Accuracies and their differences against published numbers and hand arithmetic."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nas.deploy.accuracy import accuracy_of, difference_of


def test_an_interval_is_wilsons() -> None:
    """Newcombe (Statistics in Medicine 1998), table I, method 3: 81 of 263, 15 of 148, 0 of 20, 1 of 29."""
    for right, n, low, high in ((81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0, 0.1611),
                                (1, 29, 0.0061, 0.1718)):  # fmt: skip
        found = accuracy_of([True] * right + [False] * (n - right))
        assert (found.value, found.images) == (right / n, n)
        assert (found.low, found.high) == (pytest.approx(low, abs=5e-5), pytest.approx(high, abs=5e-5))


def test_a_difference_is_of_pairs() -> None:
    """Of 98 images, 2 gained and 10 lost: (2 - 10) / 100 with an image added to each, less and more 1.96 times
    sqrt(2 + 10 + 1 - 64 / 100) / 100."""
    before = [False] * 2 + [True] * 10 + [True] * 80 + [False] * 6
    now = [True] * 2 + [False] * 10 + [True] * 80 + [False] * 6
    found = difference_of(now, before)
    assert found.value == -8 / 98 and found.images == 98
    assert found.low == pytest.approx(-0.08 - 1.96 * 12.36**0.5 / 100)
    assert found.high == pytest.approx(-0.08 + 1.96 * 12.36**0.5 / 100)


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=60))
def test_intervals_hold_their_values_and_turn_with_the_order(pairs: list[tuple[bool, bool]]) -> None:
    one, other = [a for a, _ in pairs], [b for _, b in pairs]
    found = accuracy_of(one)
    assert 0 <= found.low <= found.value + 1e-12 and found.value <= found.high + 1e-12 <= 1 + 1e-12
    there, back = difference_of(one, other), difference_of(other, one)
    assert there.value == -back.value and there.low == pytest.approx(-back.high)
    assert there.low - 1e-12 <= there.value * len(pairs) / (len(pairs) + 2) <= there.high + 1e-12


def test_no_images_have_no_accuracy() -> None:
    for call in (lambda: accuracy_of([]), lambda: difference_of([], []), lambda: difference_of([True], [])):
        with pytest.raises(ValueError, match="needs"):
            call()
