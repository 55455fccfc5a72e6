"""Denoised accuracies against the truth, which simulations know; and NAS-Bench-Macro's three seeds."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from nas.estimate import uncertainty
from nas.estimate.structure import Structure
from nas.estimate.table import of_digits
from nas.estimate.uncertainty import believe
from nas.files.csv import read_rows
from nas.pareto import non_dominated
from nas.run import distinct
from nas.space.search_space import load_space
from tests.runs import settings, trial
from tests.shared_data import shared_data

IMAGES = 400


def simulated(
    rng: np.random.Generator, n: int, *, dispersion: float = 1.5, own: float = 0.1, told: bool = True, repeated: int = 8
) -> tuple[np.ndarray, list[list[float]], np.ndarray]:
    """True accuracies (n,), those of trainings, and features (n, 3), which tell nothing unless `told`."""
    features = rng.uniform(size=(n, 3))
    waves = sum(np.sin(rng.uniform(1, 4) * features @ rng.normal(size=3) + rng.uniform(0, 6)) for _ in range(3))
    error = np.minimum(0.08 * np.exp(0.35 * waves + own * rng.standard_normal(n)), 0.9)
    certainty = IMAGES / (dispersion - 1) - 1
    rows = [*range(n), *rng.integers(0, n, repeated)]
    found: list[list[float]] = [[] for _ in range(n)]
    for i in rows:
        of_seed = rng.beta(error[i] * certainty, (1 - error[i]) * certainty)
        found[i].append(1 - rng.binomial(IMAGES, of_seed) / IMAGES)
    return 1 - error, found, features if told else rng.uniform(size=(n, 3))


def rms(values: np.ndarray) -> float:
    return math.sqrt(float((values**2).mean()))


def test_intervals_hold_and_denoised_accuracies_are_nearer_to_the_truth() -> None:
    rng = np.random.default_rng(0)
    inside, raw_errors, errors, shifts = [], [], [], []
    for _ in range(40):
        truth, trainings, features = simulated(rng, 40)
        beliefs = believe(trainings, features, IMAGES)
        low, high = np.quantile(beliefs.draw(400, rng), [0.05, 0.95], axis=0)
        inside.append(float(((low <= truth) & (truth <= high)).mean()))
        raw = np.array([np.mean(each) for each in trainings])
        raw_errors.append(rms(raw - truth))
        errors.append(rms(beliefs.mean - truth))
        shifts.append(float((beliefs.mean - truth).mean()))
        assert rms((beliefs.mean - truth) / beliefs.deviation) < 2
    assert 0.86 < np.mean(inside) < 0.95
    assert np.mean(errors) < 0.85 * np.mean(raw_errors)
    assert abs(np.mean(shifts)) < 0.002  # points do not move up or down as a whole


@pytest.mark.parametrize("own", [0.0, 0.3, 0.6])
def test_features_that_tell_nothing_do_no_harm(own: float) -> None:
    rng = np.random.default_rng(1)
    raw_errors, errors = [], []
    for _ in range(15):
        truth, trainings, features = simulated(rng, 40, own=own, told=False)
        raw_errors.append(rms(np.array([np.mean(each) for each in trainings]) - truth))
        errors.append(rms(believe(trainings, features, IMAGES).mean - truth))
    assert np.mean(errors) < np.mean(raw_errors)


def test_the_noise_is_that_of_networks_trained_again() -> None:
    """Half or ten times the binomial one, as of short trainings: eight networks trained again tell it."""
    rng = np.random.default_rng(2)
    for dispersion in (0.5, 10.0):
        error = 0.2 * np.exp(0.3 * rng.standard_normal(40))
        noise = np.sqrt(dispersion * error * (1 - error) / IMAGES)
        trainings = [[1 - e - s * rng.standard_normal() for _ in range(1 + (i < 8))] for i, (e, s)
                     in enumerate(zip(error, noise, strict=True))]  # fmt: skip
        beliefs = believe(trainings, error[:, None] * 0, IMAGES)
        assert 0.6 < np.mean(beliefs.noise / noise) < 1.7


def test_another_training_makes_a_network_surer_and_others_no_less_sure() -> None:
    rng = np.random.default_rng(3)
    _, trainings, features = simulated(rng, 30)
    before = believe(trainings, features, IMAGES)
    again = [[*each, before.mean[i]] if i == 4 else each for i, each in enumerate(trainings)]
    for _ in range(3):
        again[4].append(float(before.mean[4]))
    after = believe(again, features, IMAGES)
    assert after.deviation[4] < 0.8 * before.deviation[4]


@pytest.mark.parametrize(
    "trainings",
    [[[0.9]], [[1.0]], [[0.0]], [[0.9], [0.9]], [[1.0], [0.0]], [[0.1, 0.9], [0.5]], [[0.7]] * 3, [[1.0]] * 60,
     [[0.25, 0.25, 0.25]] * 5, [[1.0, 0.99], [0.1], [0.1]]],
)  # fmt: skip
def test_few_and_constant_accuracies(trainings: list[list[float]]) -> None:
    for features in (np.zeros((len(trainings), 0)), np.ones((len(trainings), 2)), np.eye(len(trainings))):
        beliefs = believe(trainings, features, 287)
        for found in (beliefs.mean, beliefs.deviation, beliefs.noise, beliefs.draw(5, np.random.default_rng(0))):
            assert np.isfinite(found).all() and (found >= 0).all() and (found <= 1).all()
        raw = np.array([np.mean(each) for each in trainings])
        assert np.abs(beliefs.mean - raw).max() < 0.1  # with nothing to go by, near what was measured


def test_equal_networks_are_believed_equal_and_the_order_does_not_matter() -> None:
    rng = np.random.default_rng(4)
    _, trainings, features = simulated(rng, 25)
    beliefs = believe([*trainings, trainings[3]], np.concatenate([features, features[3:4]]), IMAGES)
    assert beliefs.mean[3] == pytest.approx(beliefs.mean[25], abs=1e-6)
    order = rng.permutation(25)
    there = believe([trainings[i] for i in order], features[order], IMAGES)
    assert np.abs(there.mean - believe(trainings, features, IMAGES).mean[order]).max() < 0.002


def test_beyond_the_exact_part_beliefs_stay_nearly_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    _, trainings, features = simulated(np.random.default_rng(5), 260)
    exact = believe(trainings, features, IMAGES)
    monkeypatch.setattr(uncertainty, "INDUCING", 130)
    part = believe(trainings, features, IMAGES)
    assert rms((part.mean - exact.mean) / exact.deviation) < 0.2
    assert np.abs(np.log(part.deviation / exact.deviation)).max() < 0.3


def test_a_network_without_an_accuracy_is_refused() -> None:
    for trainings in ([], [[0.9], []]):
        with pytest.raises(ValueError, match="must have an accuracy"):
            believe(trainings, np.zeros((len(trainings), 1)), 100)


def test_nas_bench_macro_one_seed_tells_more_of_the_others_when_denoised() -> None:
    seeds = ("acc_seed0", "acc_seed1", "acc_seed2")
    rows = {r["canonical_arch"]: r for _, r in read_rows(shared_data("nas_bench_macro/nas_bench_macro.csv"), seeds)}
    space = load_space("nas-bench-macro")
    raw_errors, errors, inside = [], [], []
    for seed in range(4):
        rng = np.random.default_rng(seed)
        drawn = [list(rows)[i] for i in rng.choice(len(rows), 120, replace=False)]
        features = Structure(space).of_networks([space.network(of_digits(space, arch)) for arch in drawn])
        accuracies = np.array([[float(rows[arch][c]) / 100 for c in seeds] for arch in drawn])
        truth = accuracies[:, 1:].mean(axis=1)
        beliefs = believe([[*x[: 2 if i < 12 else 1]] for i, x in enumerate(accuracies)], features, 10_000)
        off = (beliefs.mean - truth)[12:]
        raw_errors.append(rms(accuracies[12:, 0] - truth[12:]))
        errors.append(rms(off))
        noise = rms(accuracies[:, 1] - accuracies[:, 2]) / 2  # of the truth, a mean of two
        inside.append(np.mean(np.abs(off) < 1.645 * np.hypot(beliefs.deviation[12:], noise)))
    assert np.mean(errors) < 0.95 * np.mean(raw_errors)  # of which the truth's own noise is half
    assert 0.85 < np.mean(inside) < 0.97


def dominated(
    observed: np.ndarray, truth: np.ndarray, macs: np.ndarray, features: np.ndarray, images: int
) -> tuple[float, float]:
    """The share of a front's networks that another one of it beats in truth: of the raw front, and the reported one."""
    beliefs = believe([[x] for x in observed], features, images)
    on = non_dominated(np.stack([-beliefs.mean, macs], axis=1))
    front = [
        replace(trial(int(i), 0.5, float(macs[i]), 1.0), expected_accuracy=float(beliefs.mean[i]),
                accuracy_deviation=float(beliefs.deviation[i]))
        for i in np.flatnonzero(on)
    ]  # fmt: skip
    kept = [t.trial for t in distinct(front, settings(objectives=("accuracy", "latency")))]
    raw = np.flatnonzero(non_dominated(np.stack([-observed, macs], axis=1)))
    points = np.stack([-truth, macs], axis=1)
    return tuple(1 - float(non_dominated(points[rows]).mean()) for rows in (raw, kept))  # type: ignore[return-value]


def test_a_reported_front_has_at_most_half_as_many_dominated_networks_as_the_raw_one() -> None:
    rng, shares = np.random.default_rng(6), []
    for _ in range(25):
        truth, trainings, features = simulated(rng, 60, repeated=0)
        cost = (truth - truth.mean()) / truth.std() + 0.7 * rng.standard_normal(60)  # more accuracy costs more
        shares.append(dominated(np.array([t[0] for t in trainings]), truth, np.exp(0.5 * cost), features, IMAGES))
    raw, reported = np.mean(shares, axis=0)
    assert raw > 0.15 and reported <= raw / 2


def test_nas_bench_macro_a_reported_front_has_at_most_half_as_many_dominated_networks() -> None:
    seeds = ("acc_seed0", "acc_seed1", "acc_seed2")
    rows = {r["canonical_arch"]: r for _, r in read_rows(shared_data("nas_bench_macro/nas_bench_macro.csv"), seeds)}
    space, shares = load_space("nas-bench-macro"), []
    for seed in range(12):
        drawn = [list(rows)[i] for i in np.random.default_rng(seed).choice(len(rows), 100, replace=False)]
        features = Structure(space).of_networks([space.network(of_digits(space, arch)) for arch in drawn])
        accuracies = np.array([[float(rows[arch][c]) / 100 for c in seeds] for arch in drawn])
        macs = np.array([float(rows[arch]["macs_recomputed"]) for arch in drawn])
        shares.append(dominated(accuracies[:, 0], accuracies[:, 1:].mean(axis=1), macs, features, 10_000))
    raw, reported = np.mean(shares, axis=0)
    assert raw > 0.15 and reported <= raw / 2
