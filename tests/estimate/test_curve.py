"""The estimator `curve`: the first epochs and structure tell what a whole training reaches."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.stats import kendalltau

from nas.errors import UserError
from nas.estimate.curve import CurveExtrapolation, curve_features
from nas.estimate.labels import KnownLabels, Label, TrainedLabels
from nas.estimate.structure import Structure
from nas.space.search_space import load_space
from tests.estimate.test_combined import networks
from tests.estimate.trained import Trained, reached

STRUCTURE = Structure(load_space("nas-bench-macro"))


def test_candidates_are_trained_for_the_first_epochs_alone(tmp_path: Path) -> None:
    training = Trained(epochs=6)
    labels = TrainedLabels(STRUCTURE, training, tmp_path / "labels.csv", 20)
    curve = CurveExtrapolation(STRUCTURE, training, labels, first=2)
    curve.prepare()
    assert training.lengths == [6] * 20
    there = networks(40, seed=5)
    told = [curve.estimate(x, {}, seed=0) for x in there]
    assert training.lengths[20:] == [2] * 40 and all(len(t.curve) == 2 for t in told)
    truth = np.array([reached(x) for x in there])
    assert kendalltau([t.accuracy for t in told], truth).statistic > 0.9
    assert np.abs(np.array([t.value for t in told]) - truth).mean() < 0.02  # of the whole training, not of two epochs
    assert all(t.standard_deviation is not None and 0 < t.standard_deviation < 0.1 for t in told)
    with pytest.raises(UserError, match="there is no test accuracy"):
        curve.test_accuracy(None)  # type: ignore[arg-type]


def test_a_training_that_the_search_ends_has_the_value_it_reached() -> None:
    training = Trained(epochs=6)
    labels = KnownLabels(tuple(Label(x, {}, reached(x), curve=((1.0, 0.5),) * 6) for x in networks(5)))
    curve = CurveExtrapolation(STRUCTURE, training, labels, first=3)
    network = networks(1, seed=9)[0]
    heard: list[int] = []
    stopped = curve.estimate(network, {}, seed=0, on_epoch=lambda number, epoch: heard.append(number) or number == 1)
    assert heard == [1] and stopped.value == stopped.curve[-1].validation_accuracy
    assert stopped.standard_deviation is None and training.lengths == [1]
    curve.estimate(network, {}, seed=0, on_epoch=lambda number, epoch: heard.append(number))
    assert heard == [1, 1, 2, 3]


def test_labels_without_curves_are_no_labels() -> None:
    labels = KnownLabels(tuple(Label(x, {}, reached(x)) for x in networks(5)))
    with pytest.raises(UserError, match="needs at least 3 labels with curves; got 0"):
        CurveExtrapolation(STRUCTURE, Trained(), labels, first=3).prepare()


def test_features_of_a_curve_by_hand() -> None:
    found = curve_features(np.array([[[1.0, 0.5], [np.exp(-1), 0.25], [np.exp(-2), 0.75]]]))
    assert found == pytest.approx(np.array([[0.0, 1.0, 2.0, np.log(2), np.log(2), np.log(4)]]))  # the best so far
    assert np.isfinite(curve_features(np.array([[[0.0, 1.0]]]))).all()
