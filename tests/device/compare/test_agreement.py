"""Errors, shares, rank correlations and baselines, by hand."""

from __future__ import annotations

import pytest

from nas.device.compare.agreement import agreement, rank_correlation


def test_errors_and_shares_of_five_networks() -> None:
    """Off by 0, 4, 10, 20 and -50 per cent."""
    found = agreement([10, 20.8, 33, 48, 25], [10, 20, 30, 40, 50], [1, 2, 3, 4, 5])
    assert found.networks == 5
    assert found.mean == pytest.approx(0.84 / 5)
    assert (found.within_5, found.within_10) == (pytest.approx(0.4), pytest.approx(0.6))
    assert found.ratio == pytest.approx(20 / 20.8)  # the middle one of 1, 0.96, 0.91, 0.83 and 2


def test_rank_correlations_of_one_swap_and_one_fall() -> None:
    """Ranks 1 2 4 5 3 against 1 to 5: squared differences 0 0 1 1 4, so 1 - 6 * 6 / 120; 2 of 10 pairs are turned."""
    found = agreement([10, 20.8, 33, 48, 25], [10, 20, 30, 40, 50], [1, 2, 3, 4, 5])
    assert found.spearman == pytest.approx(0.7)
    assert found.kendall == pytest.approx(0.6)


def test_the_constant_never_sees_its_network() -> None:
    """The medians of the others of 1, 2, 4, 8 are 4, 4, 2, 2: off by 3/1, 2/2, 2/4 and 6/8."""
    found = agreement([1, 2, 4, 8], [1, 2, 4, 8], [1, 1, 1, 1])
    assert found.constant == pytest.approx((3 + 1 + 0.5 + 0.75) / 4)


def test_macs_predict_what_lies_on_a_line_through_them() -> None:
    """Costs of 2 + 3 x MACs; then the last one doubled, which the other four still put at 17, a half of 34."""
    macs = [1, 2, 3, 4, 5]
    straight = agreement([1] * 5, [5, 8, 11, 14, 17], macs)
    assert straight.macs == pytest.approx(0, abs=1e-9)
    bent = agreement([1] * 5, [5, 8, 11, 14, 34], macs)
    assert bent.macs is not None and bent.macs > 0.5 / 5  # and the last draws the line for the others


def test_too_few_networks_have_an_error_and_no_more() -> None:
    found = agreement([1.1, 2.0], [1.0, 2.0], [1, 2])
    assert found.mean == pytest.approx(0.05)
    assert (found.spearman, found.kendall, found.constant, found.macs) == (None, None, None, None)


def test_a_constant_prediction_has_no_rank() -> None:
    found = agreement([5, 5, 5, 5], [1, 2, 3, 4], [1, 2, 3, 4])
    assert (found.spearman, found.kendall) == (None, None)
    assert rank_correlation([1, 2, 3], [1, 2, 3]) is None
    assert rank_correlation([1, 2, 3, 4], [8, 7, 6, 5]) == pytest.approx(-1)
