"""What a run says of its own ranking, against simulated truths, of which every tau is known."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import kendalltau

from nas.estimate.rank_quality import rank_quality
from nas.estimate.uncertainty import believe

NETWORKS, REPEATED = 40, 8


def simulated(rng: np.random.Generator, spread: float, images: int) -> tuple[np.ndarray, list[list[float]], np.ndarray]:
    """True accuracies (n,), whose errors differ by a factor of about exp(spread), and those of n + 8 trainings; one
    feature (n, 1), which tells half of a network's error."""
    told, own = rng.standard_normal((2, NETWORKS))
    truth = 1 - 0.15 * np.exp(spread * (told + own) / np.sqrt(2))
    trainings = [[float(rng.binomial(images, p) / images)] for p in truth]
    for i in np.argsort([-each[0] for each in trainings])[:REPEATED]:  # the best, as a search would
        trainings[i].append(float(rng.binomial(images, truth[i]) / images))
    return truth, trainings, told[:, None]


def averages(spread: float, images: int) -> tuple[np.ndarray, np.ndarray, float]:
    """Of fifteen runs on average: the three taus that are said, the true ones, and that of repeated networks."""
    rng = np.random.default_rng(0)
    said, true, measured = [], [], []
    for seed in range(15):
        truth, trainings, features = simulated(rng, spread, images)
        beliefs = believe(trainings, features, images)
        found = rank_quality(trainings, beliefs, images, seed=seed)
        assert found is not None and (found.networks, found.repeated) == (NETWORKS, REPEATED)
        said.append((found.two_trainings, found.one_training, found.expected))
        measured.append(found.first_second)
        again = [rng.binomial(images, truth) / images for _ in range(20)]
        true.append((
            np.mean([kendalltau(a, b)[0] for a, b in zip(again[:10], again[10:], strict=True)]),
            np.mean([kendalltau(a, truth)[0] for a in again]),
            kendalltau(beliefs.mean, truth)[0],
        ))  # fmt: skip
    return np.mean(said, axis=0), np.mean(true, axis=0), float(np.mean(measured))


@pytest.mark.parametrize(("spread", "images", "about"), [(0.2, 300, 0.5), (0.5, 300, 0.77), (0.2, 3000, 0.82)])
def test_taus_are_near_the_true_ones_on_average(spread: float, images: int, about: float) -> None:
    said, true, measured = averages(spread, images)
    assert true[0] == pytest.approx(about, abs=0.05)  # without noise all three would be 1
    assert said == pytest.approx(true, abs=0.05)
    assert said[0] < said[1] < said[2]
    assert measured < said[0] - 0.1  # of the best alone: they differ less than all do


def test_networks_that_hardly_differ_are_not_said_to_be_ranked() -> None:
    said, true, _ = averages(0.05, 300)
    assert true[0] < 0.1 and true[0] < said[0] < 0.25  # nobody can tell that they do not differ at all


def test_what_was_measured_is_the_tau_of_first_and_second_trainings() -> None:
    trainings = [[0.5, 0.6], [0.6, 0.5, 0.99], [0.7, 0.7], [0.8, 0.8], [0.9, 0.9], [0.4], [0.45]]
    beliefs = believe(trainings, np.zeros((7, 1)), 100)
    found = rank_quality(trainings, beliefs, 100, seed=0)
    assert found is not None and (found.networks, found.repeated) == (7, 5)
    assert found.first_second == pytest.approx(0.8)  # of ten pairs one is the other way round
    assert found.low is not None and found.high is not None and found.low < 0.8 <= found.high <= 1
    assert rank_quality(trainings, beliefs, 100, seed=0) == found
    four = rank_quality([*trainings[1:], [0.3]], beliefs, 100, seed=0)
    assert four is not None and four.repeated == 4 and four.first_second is four.low is four.high is None


def test_nothing_is_said_where_nothing_was_trained_twice_or_little_was_trained() -> None:
    once = [[0.5], [0.6], [0.7], [0.8], [0.9]]
    assert rank_quality(once, believe(once, np.zeros((5, 1)), 100), 100, seed=0) is None
    few = [[0.5, 0.6], [0.6], [0.7], [0.8]]
    assert rank_quality(few, believe(few, np.zeros((4, 1)), 100), 100, seed=0) is None


def test_a_run_of_many_networks_takes_a_sample() -> None:
    rng = np.random.default_rng(1)
    truth = rng.uniform(0.5, 0.9, 600)
    trainings = [[float(rng.binomial(400, p) / 400)] for p in truth]
    trainings[0].append(0.7)
    found = rank_quality(trainings, believe(trainings, np.zeros((600, 1)), 400), 400, seed=0)
    assert found is not None and found.networks == 600
    one = kendalltau([each[0] for each in trainings], truth)[0]
    assert found.one_training == pytest.approx(one, abs=0.05)
