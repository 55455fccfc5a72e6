"""The three models together: what they predict of networks that have no label, and how sure that is."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import kendalltau

from nas.estimate.ensemble import fit_ensemble


def networks(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Features (200, 5) in odd units and what is true of them."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(200, 5))
    return x * [1e6, 1, 1, 1e-3, 1] + [1e7, 0, 0, 0, 0], x[:, 0] + np.sin(x[:, 1]) - 0.5 * x[:, 3]


def test_unlabelled_networks_are_ranked_and_the_deviation_holds() -> None:
    features, truth = networks()
    noisy = truth + 0.1 * np.random.default_rng(1).normal(size=200)
    few, more = (fit_ensemble(features[:n], noisy[:n], features) for n in (15, 80))
    taus, widths = [], []
    for model in (few, more):
        mean, deviation = model.predict(features[80:])
        taus.append(kendalltau(mean, truth[80:]).statistic)
        widths.append(deviation.mean())
        assert np.mean(np.abs(mean - truth[80:]) < 1.645 * deviation) > 0.75
    assert taus[0] > 0.5 and taus[1] > 0.75 and taus[1] > taus[0] and widths[1] < widths[0]


def test_units_of_features_do_not_matter() -> None:
    features, truth = networks()
    one = fit_ensemble(features[:30], truth[:30], features).predict(features)
    other = fit_ensemble(features[:30] * 7 + 3, truth[:30], features * 7 + 3).predict(features * 7 + 3)
    assert one[0] == pytest.approx(other[0], abs=1e-6) and one[1] == pytest.approx(other[1], abs=1e-6)


def test_a_score_of_its_own_group_is_heard_among_many_features() -> None:
    """Ten labels, forty features that tell nothing, and one score that tells the truth."""
    rng = np.random.default_rng(0)
    truth = rng.normal(size=150)
    features = np.concatenate([rng.normal(size=(150, 40)), truth[:, None] + 0.3 * rng.normal(size=(150, 1))], axis=1)
    groups = np.array([0] * 40 + [1])
    together, apart = (
        kendalltau(fit_ensemble(features[:10], truth[:10], features, g).predict(features[10:])[0], truth[10:]).statistic
        for g in (None, groups)
    )
    assert apart > 0.6 and apart > together + 0.1


def test_a_ranker_alone_is_brought_to_the_targets_units() -> None:
    features, truth = networks()
    targets = 40 + 0.01 * truth
    mean, deviation = fit_ensemble(features[:60], targets[:60], features).predict(features)
    assert abs(mean - targets).max() < 0.05 and (deviation < 0.05).all()


def test_few_labels_are_refused_and_constant_ones_are_no_error() -> None:
    features, truth = networks()
    with pytest.raises(ValueError, match="at least 3 labels are needed; got 2"):
        fit_ensemble(features[:2], truth[:2], features)
    features[:, 2] = 1.0
    mean, deviation = fit_ensemble(features[:5], np.ones(5), features).predict(features)
    assert mean == pytest.approx(1.0) and np.isfinite(deviation).all()
