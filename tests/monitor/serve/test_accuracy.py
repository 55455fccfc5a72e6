"""Transport against SciPy's assignment, the estimate's arithmetic, and what labels add to it."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment

from nas.monitor.estimates import temperature_of
from nas.monitor.serve.accuracy import NAMES, Estimate, Estimator, Frames, Labeled, softmax, statistics, transport


def probabilities(count: int, classes: int, *, seed: int, sure: float = 3.0, toward: float = 0.0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    scores = sure * rng.standard_normal((count, classes))
    scores[:, 0] += toward
    return softmax(scores)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("sure", "toward"), [(1.0, 0.0), (4.0, 0.0), (3.0, 6.0)])
@pytest.mark.parametrize("classes", [2, 10, 25])
def test_transport_is_within_two_thousandths_of_the_best_assignment(
    classes: int, sure: float, toward: float, seed: int
) -> None:
    cost = 1 - probabilities(500, classes, seed=seed, sure=sure, toward=toward)
    each = cost[:, np.repeat(np.arange(classes), 500 // classes)]
    best = each[linear_sum_assignment(each)].mean()
    found, parts = transport(cost, np.full(classes, 1 / classes))
    assert best - 2e-3 <= found <= best + 1e-9  # the dual is a lower bound
    assert parts.mean() == pytest.approx(found)


def test_transport_by_hand() -> None:
    """Two images that are sure of class 0, where each class takes one: one of them has to go to class 1, at 0.9."""
    found, _ = transport(np.array([[0.1, 0.9], [0.1, 0.9]]), np.array([0.5, 0.5]))
    assert found == pytest.approx(0.5, abs=1e-3)


def test_statistics_by_hand() -> None:
    p = np.array([[0.8, 0.2], [0.4, 0.6]])
    found = dict(zip(NAMES, statistics(Frames(p, np.array([1.0, 3.0])), np.array([0.5, 0.5])), strict=True))
    assert found["confidence"] == pytest.approx(0.7) and found["transport"] == pytest.approx(0.7, abs=1e-3)
    assert found["mix"] == pytest.approx(0.1) and found["distance"] == 2
    entropies = [-(a * np.log(a) + (1 - a) * np.log(1 - a)) for a in (0.8, 0.4)]
    assert found["entropy"] == pytest.approx(np.mean(entropies))


def test_the_temperature_of_scores_that_are_too_sure_is_found() -> None:
    rng = np.random.default_rng(0)
    scores = 2 * rng.standard_normal((4000, 10))
    labels = np.array([rng.choice(10, p=row) for row in softmax(scores)])
    assert temperature_of(2 * scores, labels) == pytest.approx(2, rel=0.1)


def estimator() -> Estimator:
    """Reads the transport as the accuracy."""
    return Estimator(
        {
            "accuracy": np.array(0.7), "temperature": np.array(1.0), "prior": np.full(4, 0.25), "seen": np.array(True),
            "usual_mix": np.array(0.1), "middle": np.zeros(5), "scale": np.ones(5), "lowest": np.full(5, -1.0),
            "highest": np.full(5, 1.5), "mixed/weights": np.array([1.0, 0, 0, 0, 0, 0]), "mixed/error": np.array(0.05),
            "plain/weights": np.array([0, 0, 1.0, 0, 0, 0]), "plain/error": np.array(0.1),
        }
    )  # fmt: skip


def test_an_estimate_is_less_sure_where_much_is_lost() -> None:
    """Half of the 20 points from which on the whole error of large losses is given: an interval half of the way."""
    given = estimator()
    given.errors["mixed"] = np.array([0.04, 0.08])
    given.weights["mixed"] = np.zeros(6)
    for accuracy, error in ((0.75, 0.04), (0.7, 0.04), (0.6, 0.06), (0.5, 0.08), (0.2, 0.08)):
        given.weights["mixed"][-1] = accuracy
        found = given.estimate(Frames(probabilities(500, 4, seed=1), None), mixed=True)
        assert found.high - found.accuracy == pytest.approx(error) == pytest.approx(found.accuracy - found.low)


def test_an_adapted_network_is_read_by_its_own_regression_and_without_one_its_estimate_is_not_trusted() -> None:
    frames = Frames(probabilities(500, 4, seed=1), None)
    plain = estimator().estimate(frames, mixed=True, adapted=True)
    assert plain.accuracy == estimator().estimate(frames, mixed=True).accuracy and not plain.trusted
    own = estimator()
    own.weights["adapted"], own.errors["adapted"] = np.array([1.0, 0, 0, 0, 0, -0.1]), np.array([0.08])
    found = own.estimate(frames, mixed=True, adapted=True)
    assert found.trusted and found.accuracy == pytest.approx(plain.accuracy - 0.1)
    assert found.high - found.low == pytest.approx(0.16)
    assert not own.estimate(frames, mixed=False, adapted=True).trusted
    assert own.estimate(frames, mixed=True).trusted


def test_an_estimate_has_its_interval_and_is_not_trusted_far_from_what_was_seen_or_with_few_frames() -> None:
    frames = Frames(probabilities(500, 4, seed=1), np.zeros(500))
    found = estimator().estimate(frames, mixed=True)
    assert found.accuracy == pytest.approx(statistics(frames, np.full(4, 0.25))[0])
    assert (found.low, found.high) == pytest.approx((found.accuracy - 0.05, found.accuracy + 0.05))
    assert found.trusted
    assert not estimator().estimate(frames._replace(distance=np.full(500, 9.0)), mixed=True).trusted
    few = estimator().estimate(Frames(frames.probabilities[:50], np.zeros(50)), mixed=False)
    assert not few.trusted and few.high - few.low > 2 * 0.1
    blind = estimator().estimate(frames._replace(distance=None), mixed=True)
    assert blind.trusted and blind.accuracy == found.accuracy


def test_labels_tighten_an_estimate_by_their_precision() -> None:
    estimate = Estimate(0.6, 0.5, 0.7, True)
    labeled = Labeled()
    assert labeled.tightened(estimate) == estimate
    for n in range(100):
        labeled.add(n < 75, 0.6)  # 15 points more are right than was thought
    found = labeled.tightened(estimate)
    deviations = 0.1 / 1.96, np.sqrt(0.24 / 100)
    share = deviations[0] ** 2 / (deviations[0] ** 2 + deviations[1] ** 2)
    assert found.accuracy == pytest.approx(0.6 + share * 0.15)
    assert found.high - found.low < min(0.2, 2 * 1.96 * deviations[1])
    assert Labeled(labeled.state()).tightened(estimate) == found


def test_labels_of_a_known_truth_bring_the_estimate_nearer_on_average() -> None:
    before, after = [], []
    for seed in range(200):
        rng = np.random.default_rng(seed)
        truth = 0.6 + 0.05 * rng.standard_normal()
        labeled = Labeled()
        for _ in range(30):
            likely = rng.uniform(0.2, 1.0)
            labeled.add(bool(rng.random() < np.clip(likely + truth - 0.6, 0, 1)), likely)
        before.append(abs(0.6 - truth))
        after.append(abs(labeled.tightened(Estimate(0.6, 0.5, 0.7, True)).accuracy - truth))
    assert np.mean(after) < np.mean(before)
