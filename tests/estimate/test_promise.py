"""What a guide and trainings promise together: ranks in the space, on a guide and accuracies that are made up."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import kendalltau

from nas.estimate.guide import Guide
from nas.estimate.promise import Promise
from nas.estimate.structure import Structure
from nas.pareto import Array
from nas.space.search_space import load_space

SPACE = load_space("nas-bench-macro")
CODES = SPACE.canonical_codes(SPACE.sample_codes(600, np.random.default_rng(0)))
DEPTH = np.array([sum(1 for b in SPACE.network(SPACE.decode(code), 10).blocks if b.layers) for code in CODES], float)
MACS = np.log([SPACE.network(SPACE.decode(code), 10).macs for code in CODES])


class Told(Guide):
    """Knows the truth but for some noise."""

    def of_codes(self, codes: Array) -> Array:
        return np.array([GUIDED[code.tobytes()] for code in codes])


TRUTH = (DEPTH - DEPTH.mean()) / DEPTH.std() + (MACS - MACS.mean()) / MACS.std()
NOISY = TRUTH + np.random.default_rng(1).normal(0, 0.8, len(TRUTH))
GUIDED = {code.tobytes(): float(np.exp(x / 8)) for code, x in zip(CODES, NOISY, strict=True)}
SHORT = 0.5 + 0.02 * (TRUTH - 1.3 * (DEPTH - DEPTH.mean()) / DEPTH.std())  # trainings that favor shallow networks


def promise(weight: float) -> Promise:
    return Promise(Told(Structure(SPACE, 10), None, 0), CODES, weight)  # type: ignore[arg-type]


def taus(weight: float) -> float:
    found = promise(weight).of_trained(CODES[:60], SHORT[:60].tolist())
    assert found is not None and found.shape == (60,)
    return float(kendalltau(found, TRUTH[:60]).statistic)


def test_both_together_rank_better_than_either() -> None:
    guide, trainings, both = taus(1.0), taus(0.0), taus(0.5)
    assert both > max(guide, trainings) + 0.02


def test_ranks_are_those_in_the_space() -> None:
    """Of networks that lie along a front too, not among these few."""
    best = np.argsort(-TRUTH)[:12]
    found = promise(0.5).of_trained(CODES[best], SHORT[best].tolist())
    assert found is not None and found.min() > 0.6
    alone = promise(1.0).of_trained(CODES[best], SHORT[best].tolist())
    expected = [(NOISY[i] > NOISY).mean() for i in best]
    assert alone == pytest.approx(expected, abs=0.02)


def test_too_few_trainings_promise_nothing() -> None:
    assert promise(0.5).of_trained(CODES[:2], [0.4, 0.5]) is None
