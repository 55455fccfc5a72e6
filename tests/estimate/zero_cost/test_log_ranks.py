"""Ranks in a pool, by hand, and as a search needs them."""

from __future__ import annotations

from itertools import pairwise
from math import log

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nas.estimate.zero_cost.log_ranks import LogRanks, rank_share

POOL = np.array([10.0, 20.0, 20.0, 40.0])


@pytest.mark.parametrize(
    ("score", "share"), [(10, 0.2), (20, 0.5), (40, 0.8), (30, 0.65), (60, 1.2), (0, 0.1), (-np.inf, 0.0)]
)
def test_a_rank_is_a_share_of_the_pool(score: float, share: float) -> None:
    """Ranks 1, 2.5, 2.5, 4 of 5; halfway between 20 and 40 halfway; as far above 40 as 40 is above the median."""
    assert rank_share(POOL, score) == pytest.approx(share)


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=20), st.lists(st.floats(-1e7, 1e7), min_size=2, max_size=20))
def test_a_higher_score_never_ranks_lower(pool: list[float], scores: list[float]) -> None:
    shares = [rank_share(np.array(pool), score) for score in sorted(scores)]
    assert all(a <= b * (1 + 1e-12) for a, b in pairwise(shares)) and shares[0] >= 0


def test_log_ranks_are_weighed_and_added() -> None:
    ranks = LogRanks({"a": POOL, "b": POOL}, {"a": 1.0, "b": 2.0})
    assert ranks.value({"a": 10, "b": 40}) == pytest.approx(log(0.2) + 2 * log(0.8))


def test_one_bad_rank_outweighs_middling_ones() -> None:
    """Plain ranks would add to 4 for each of three networks."""
    ranks = LogRanks({"a": np.arange(1.0, 4), "b": np.arange(1.0, 4)}, {"a": 1.0, "b": 1.0})
    total = [ranks.value({"a": a, "b": 4 - a}) for a in (1, 2, 3)]
    assert total == pytest.approx([log(1 / 4 * 3 / 4), log(1 / 4), log(1 / 4 * 3 / 4)]) and max(total) == total[1]
