"""The estimator `combined`: what few labels tell of all networks of a space."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pytest
from scipy.stats import kendalltau

from nas.errors import UserError
from nas.estimate.combined import Combined
from nas.estimate.design import choose_design
from nas.estimate.estimator import Estimate, OnPrepare
from nas.estimate.labels import KnownLabels, Label, standard
from nas.estimate.structure import Structure
from nas.models.trained import TrainedModel
from nas.space.candidate import Value
from nas.space.network import Network
from nas.space.search_space import load_space
from nas.train.loop import OnEpoch
from tests.estimate.trained import reached
from tests.shared_data import shared_data

MACRO = load_space("nas-bench-macro")
STRUCTURE = Structure(MACRO)


def networks(n: int, seed: int = 0) -> list[Network]:
    rng = np.random.default_rng(seed)
    found = {(x := MACRO.network(MACRO.sample(rng))).blocks: x for _ in range(3 * n)}
    return list(found.values())[:n]


@dataclass
class Told:
    """A score: what a network reaches, by another measure; it fails for networks of few MACs."""

    least: float = 0.0

    def prepare(self, on_progress: OnPrepare | None = None) -> None: ...

    def estimate(
        self, network: Network, hyperparameters: Mapping[str, Value], *, seed: int, on_epoch: OnEpoch | None = None
    ) -> Estimate:
        if network.macs < self.least:
            raise FloatingPointError("the score is not finite")
        return Estimate(100 * reached(network), 0.1, kind="rank")

    def test_accuracy(self, model: TrainedModel) -> float:
        raise NotImplementedError


def test_other_networks_are_ranked_and_their_accuracies_are_near() -> None:
    there = networks(120)
    labels = KnownLabels(tuple(Label(x, {}, reached(x)) for x in there[:20]))
    combined = Combined(STRUCTURE, labels)
    told = [combined.estimate(x, {}, seed=0) for x in there[20:]]
    truth = np.array([reached(x) for x in there[20:]])
    assert kendalltau([t.accuracy for t in told], truth).statistic > 0.85
    errors = [abs(t.accuracy - x) / (t.standard_deviation or 0) for t, x in zip(told, truth, strict=True)]
    assert np.mean(np.array(errors) < 3) > 0.9
    assert all(t.model is None and not t.curve for t in told)
    means, deviations = combined.predict(STRUCTURE.of_networks(there[20:]))
    assert means == pytest.approx([t.value for t in told])
    assert deviations == pytest.approx([t.standard_deviation for t in told])


def test_a_score_is_one_more_feature() -> None:
    there = networks(80)
    rng = np.random.default_rng(0)
    truth = np.array([reached(x) + 0.1 * ((i * 7919) % 13) / 13 for i, x in enumerate(there)])

    @dataclass
    class Knows(Told):
        def estimate(
            self, network: Network, hyperparameters: Mapping[str, Value], *, seed: int, on_epoch: OnEpoch | None = None
        ) -> Estimate:
            i = next(i for i, x in enumerate(there) if x.blocks == network.blocks)
            return Estimate(truth[i] + 0.005 * rng.normal(), 0.1, kind="rank")

    labels = KnownLabels(tuple(Label(x, {}, a) for x, a in zip(there[:15], truth, strict=False)))
    plain, scored = Combined(STRUCTURE, labels), Combined(STRUCTURE, labels, Knows())
    taus = [
        kendalltau([c.estimate(x, {}, seed=0).value for x in there[15:]], truth[15:]).statistic for c in (plain, scored)
    ]
    assert taus[1] > taus[0] + 0.1


def test_a_score_outweighs_labels_of_short_trainings_only_where_it_is_given_a_weight() -> None:
    """Labels that prefer few MACs, and a score that knows the order: as a feature it is not believed."""
    there = networks(80)
    truth, macs = np.array([reached(x) for x in there]), np.array([np.log(x.macs) for x in there])
    biased = 0.5 + 0.02 * (truth - truth.mean()) / truth.std() - 0.03 * (macs - macs.mean()) / macs.std()

    @dataclass
    class Knows(Told):
        def estimate(
            self, network: Network, hyperparameters: Mapping[str, Value], *, seed: int, on_epoch: OnEpoch | None = None
        ) -> Estimate:
            return Estimate(100 * reached(network), 0.1, kind="rank")

    labels = KnownLabels(tuple(Label(x, {}, float(a)) for x, a in zip(there[:30], biased, strict=False)))
    tau, means = {}, {}
    for weight in (0.0, 0.5, 1.0):
        combined = Combined(STRUCTURE, labels, Knows(), weight=weight)
        told = [combined.estimate(x, {}, seed=0) for x in there[30:]]
        tau[weight] = kendalltau([t.value for t in told], truth[30:]).statistic
        means[weight] = np.mean([t.value for t in told])
    assert tau[0.0] < tau[0.5] - 0.2 and tau[1.0] > 0.99
    assert max(means.values()) - min(means.values()) < 0.03  # all on the scale of the labels


def test_the_accuracy_of_the_longest_training_is_predicted() -> None:
    """Ten networks trained for long, and thirty that reach half as much in a short training."""
    there = networks(100)
    short = tuple(Label(x, {}, reached(x) / 2, 3) for x in there[:30])
    long = tuple(Label(x, {}, reached(x), 90) for x in there[30:40])
    combined = Combined(STRUCTURE, KnownLabels(short + long))
    told = np.array([combined.estimate(x, {}, seed=0).value for x in there[40:]])
    truth = np.array([reached(x) for x in there[40:]])
    assert np.abs(told - truth).mean() < 0.05 and kendalltau(told, truth).statistic > 0.8
    with pytest.raises(UserError, match="labels of several trainings must all say their epochs"):
        Combined(STRUCTURE, KnownLabels((*short, Label(there[0], {}, 0.5)))).prepare()


def test_a_label_whose_score_fails_is_left_out_and_a_candidate_fails() -> None:
    there = sorted(networks(30), key=lambda x: x.macs)
    labels = KnownLabels(tuple(Label(x, {}, reached(x)) for x in there))
    combined = Combined(STRUCTURE, labels, Told(least=there[5].macs))
    assert 0 < combined.estimate(there[20], {}, seed=0).value < 1
    with pytest.raises(FloatingPointError):
        combined.estimate(there[0], {}, seed=0)
    with pytest.raises(UserError, match="needs at least 3 labels; got 2"):
        Combined(STRUCTURE, labels, Told(least=there[28].macs)).prepare()


def test_nothing_is_trained_so_there_is_no_test_accuracy() -> None:
    there = networks(5)
    combined = Combined(STRUCTURE, KnownLabels(tuple(Label(x, {}, reached(x)) for x in there)))
    with pytest.raises(UserError, match="there is no test accuracy"):
        combined.test_accuracy(None)  # type: ignore[arg-type]


def test_twenty_full_trainings_rank_nas_bench_macro() -> None:
    """One seed's accuracy is the label, the mean of three the truth: 0.84 +- 0.02 in experiments/estimators."""
    rows = list(csv.DictReader(shared_data("nas_bench_macro/nas_bench_macro.csv").open()))
    kept = list({row["canonical_arch"]: row for row in rows}.values())
    codes = np.array([[*map(float, row["canonical_arch"]), 0.0] for row in kept])
    features = STRUCTURE.of_codes(codes)
    truth = np.array([float(row["mean_acc"]) for row in kept])
    chosen = choose_design(standard(features, features), 20, "d-optimal", seed=1)
    labels = tuple(Label(MACRO.network(MACRO.decode(codes[i])), {}, float(kept[i]["acc_seed0"]) / 100) for i in chosen)
    others = np.setdiff1d(np.arange(len(kept)), chosen)
    told, _ = Combined(STRUCTURE, KnownLabels(labels)).predict(features[others])
    assert kendalltau(told, truth[others]).statistic > 0.79
