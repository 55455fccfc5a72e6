"""The second opinion of scores by hand and by what it must undo, the estimate's arithmetic, and what labels add."""

from __future__ import annotations

import numpy as np
import pytest

from nas.monitor.estimates import temperature_of
from nas.monitor.serve.accuracy import (
    MOST_CLASSES,
    NAMES,
    Estimate,
    Estimator,
    Frames,
    Labeled,
    logarithms,
    matched,
    recolored,
    softmax,
    statistics,
    usual_of,
)


def probabilities(count: int, classes: int, *, seed: int, sure: float = 3.0, toward: float = 0.0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    scores = sure * rng.standard_normal((count, classes))
    scores[:, 0] += toward
    return softmax(scores)


def even(classes: int) -> np.ndarray:
    return np.full(classes, 1 / classes)


def named(p: np.ndarray, classes: int, *, distance: np.ndarray | None = None) -> dict[str, float]:
    """Statistics by name, against 4,000 usual images."""
    usual = usual_of(probabilities(4000, classes, seed=9), even(classes))
    return dict(zip(NAMES, statistics(Frames(p, distance), usual).tolist(), strict=True))


@pytest.mark.parametrize("toward", [0.0, 3.0])
@pytest.mark.parametrize("classes", [2, 10, 25])
def test_matched_probabilities_have_the_mix_and_each_class_the_same_odds_more_in_every_frame(
    classes: int, toward: float
) -> None:
    p = probabilities(500, classes, seed=1, toward=toward)
    mix = np.arange(1, classes + 1) / np.arange(1, classes + 1).sum()
    found = matched(np.log(p), mix)
    np.testing.assert_allclose(found.sum(axis=1), 1)
    np.testing.assert_allclose(found.mean(axis=0), mix, atol=5e-3)
    more = np.log(found) - np.log(p)
    np.testing.assert_allclose(more - more[:, :1], (more - more[:, :1])[:1].repeat(500, axis=0), atol=1e-9)


def test_two_frames_that_look_alike_share_two_classes() -> None:
    np.testing.assert_allclose(matched(np.log([[0.9, 0.1], [0.9, 0.1]]), np.array([0.5, 0.5])), 0.5)


def test_recolored_scores_have_the_usual_mean_and_covariance() -> None:
    usual = usual_of(probabilities(4000, 4, seed=2), even(4))
    found = recolored(probabilities(20_000, 4, seed=3, sure=0.8, toward=1.0), usual)
    np.testing.assert_allclose(found.mean(axis=0), usual.mean, atol=1e-9)
    np.testing.assert_allclose(np.cov(found.T), usual.covariance, atol=0.01 * np.trace(usual.covariance))


def test_scores_as_usual_stay_as_they_are_and_no_window_gives_what_is_not_finite() -> None:
    p = probabilities(500, 4, seed=4)
    np.testing.assert_allclose(recolored(p, usual_of(p, even(4))), logarithms(p), atol=1e-9)
    same = np.tile(p[:1], (300, 1))
    for frames, like in ((same, p), (p, same), (p[:1], p), (np.eye(4)[np.zeros(16, int)], p)):
        usual = usual_of(like, even(4))
        assert np.isfinite(recolored(frames, usual)).all()
        found = statistics(Frames(frames, None), usual)
        assert np.isfinite(found).all() and (found[:4] >= 0).all() and (found[:4] <= 1 + 1e-9).all()


def test_what_a_shift_does_to_all_frames_alike_is_undone() -> None:
    """Flatter scores that are drawn to a class: confidence falls, the second opinion is as sure as before."""
    scores = 2 * np.random.default_rng(5).standard_normal((500, 6))
    before, after = (named(softmax(s), 6) for s in (scores, 0.4 * scores + np.array([0.5, 0, 0, 0, 0, -0.5])))
    assert before["confidence"] - after["confidence"] > 0.2
    assert abs(before["sureness"] - after["sureness"]) < 0.03
    drawn = named(softmax(scores + np.array([3.0, 0, 0, 0, 0, 0])), 6)  # many are now named 0, and most of them are not
    assert drawn["confidence"] > before["confidence"] and drawn["agreement"] < before["agreement"] - 0.1


def test_statistics_by_hand() -> None:
    p = np.array([[0.8, 0.2], [0.4, 0.6]])
    usual = usual_of(p, np.array([0.5, 0.5]))
    found = dict(zip(NAMES, statistics(Frames(p, np.array([1.0, 3.0])), usual), strict=True))
    assert found["confidence"] == pytest.approx(0.7) and found["mix"] == pytest.approx(0.1) and found["distance"] == 2
    entropies = [-(a * np.log(a) + (1 - a) * np.log(1 - a)) for a in (0.8, 0.4)]
    assert found["entropy"] == pytest.approx(np.mean(entropies))
    # odds 4 and 2/3, which one factor makes each other's inverse: sqrt(6) for the first frame, and its inverse
    likely = np.sqrt(6) / (1 + np.sqrt(6))
    assert found["agreement"] == found["sureness"] == pytest.approx(likely, abs=1e-3)


def test_of_very_many_classes_no_mix_is_assumed() -> None:
    found = named(probabilities(300, MOST_CLASSES + 1, seed=6), MOST_CLASSES + 1)
    assert found["agreement"] == found["sureness"] == found["confidence"] and found["mix"] == 0


def test_the_temperature_of_scores_that_are_too_sure_is_found() -> None:
    rng = np.random.default_rng(0)
    scores = 2 * rng.standard_normal((4000, 10))
    labels = np.array([rng.choice(10, p=row) for row in softmax(scores)])
    assert temperature_of(2 * scores, labels) == pytest.approx(2, rel=0.1)


def estimator() -> Estimator:
    """Reads the agreement as the accuracy."""
    usual = usual_of(probabilities(4000, 4, seed=9), even(4))
    return Estimator(
        {
            "accuracy": np.array(0.7), "temperature": np.array(1.0), "prior": usual.mix, "mean": usual.mean,
            "covariance": usual.covariance, "seen": np.array(True), "usual_mix": np.array(0.1), "middle": np.zeros(6),
            "scale": np.ones(6), "lowest": np.full(6, -1.0), "highest": np.full(6, 1.5),
            "mixed/weights": np.array([1.0, 0, 0, 0, 0, 0, 0]), "mixed/error": np.array(0.05),
            "plain/weights": np.array([0, 0, 0, 1.0, 0, 0, 0]), "plain/error": np.array(0.1),
        }
    )  # fmt: skip


def test_an_estimate_is_less_sure_where_much_is_lost() -> None:
    """Half of the 20 points from which on the whole error of large losses is given: an interval half of the way."""
    given = estimator()
    given.errors["mixed"] = np.array([0.04, 0.08])
    given.weights["mixed"] = np.zeros(7)
    for accuracy, error in ((0.75, 0.04), (0.7, 0.04), (0.6, 0.06), (0.5, 0.08), (0.2, 0.08)):
        given.weights["mixed"][-1] = accuracy
        found = given.estimate(Frames(probabilities(500, 4, seed=1), None), mixed=True)
        assert found.high - found.accuracy == pytest.approx(error) == pytest.approx(found.accuracy - found.low)


def test_an_adapted_network_is_read_by_its_own_regression_and_without_one_its_estimate_is_not_trusted() -> None:
    frames = Frames(probabilities(500, 4, seed=1), None)
    plain = estimator().estimate(frames, mixed=True, adapted=True)
    assert plain.accuracy == estimator().estimate(frames, mixed=True).accuracy and not plain.trusted
    own = estimator()
    own.weights["adapted"], own.errors["adapted"] = np.array([1.0, 0, 0, 0, 0, 0, -0.1]), np.array([0.08])
    found = own.estimate(frames, mixed=True, adapted=True)
    assert found.trusted and found.accuracy == pytest.approx(plain.accuracy - 0.1)
    assert found.high - found.low == pytest.approx(0.16)
    assert not own.estimate(frames, mixed=False, adapted=True).trusted
    assert own.estimate(frames, mixed=True).trusted


def test_an_estimate_has_its_interval_and_is_not_trusted_far_from_what_was_seen_or_with_few_frames() -> None:
    frames = Frames(probabilities(500, 4, seed=1), np.zeros(500))
    found = estimator().estimate(frames, mixed=True)
    assert found.accuracy == pytest.approx(named(frames.probabilities, 4)["agreement"])
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
