"""The estimator `combined`: accuracies predicted from structure, a score and whatever was trained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from time import perf_counter
from typing import TYPE_CHECKING

import numpy as np

from nas.errors import UserError
from nas.estimate.ensemble import FEWEST, Ensemble, fit_ensemble
from nas.estimate.estimator import Estimate, Estimator, OnPrepare
from nas.estimate.labels import Label, Labels, as_accuracy, as_target, pool_of
from nas.estimate.structure import Structure
from nas.pareto import Array
from nas.space.candidate import Value
from nas.space.network import Network

if TYPE_CHECKING:
    from nas.models.trained import TrainedModel
    from nas.train.loop import OnEpoch

STRUCTURE, SCORE, FIDELITY = range(3)  # groups of features


@dataclass(frozen=True, eq=False)
class Combined:
    """An `Estimator` that trains nothing but its labels: the accuracy that such a training of a candidate would reach.

    `labels` gives networks with accuracies: a table's, or those of short trainings, which `prepare` runs. What is
    predicted is the accuracy of their kind of training, of the longest where they differ in epochs, with its standard
    deviation and without the noise of a single training. The features are structure, hyperparameters, and the one value
    of `score`, an estimator; a sum of scores is one feature, as its parts would need more labels.

    Labels of short trainings are biased, and cannot tell what a score is worth. With `weight` above 0 it is no feature:
    this share of what is predicted is the score, brought to the mean and the deviation of the labels' predictions; the
    standard deviation is theirs alone.
    """

    structure: Structure
    labels: Labels
    score: Estimator | None = None
    seed: int = 0  # of the scores of labels
    weight: float = 0.0  # of the score
    _fitted: list[tuple[Ensemble, Array, tuple[float, float]]] = field(default_factory=list, init=False, repr=False)

    def prepare(self, on_progress: OnPrepare | None = None) -> None:
        """Gets the labels, which may train them, and learns from them. Raises UserError for too few of them."""
        if self._fitted:
            return
        if self.score:
            self.score.prepare(on_progress)
        labels = self.labels(on_progress)
        scores = self._scores(labels)
        kept = np.flatnonzero(np.isfinite(scores).all(axis=1))
        labels = tuple(labels[i] for i in kept)
        if len(labels) < FEWEST:
            raise UserError(f"estimator combined needs at least {FEWEST} labels; got {len(labels)}")
        fidelity, feature = _fidelity(labels), scores[kept][:, : 0 if self.weight else None]
        known = [self.structure.of_networks([x.network for x in labels], [x.values for x in labels])]
        features = np.concatenate([*known, feature, fidelity], axis=1)
        _, pool = pool_of(self.structure, self.seed)
        unknown = np.full((len(pool), features.shape[1] - pool.shape[1]), np.nan)
        population = np.concatenate([np.concatenate([pool, unknown], axis=1), features])
        groups = np.repeat([STRUCTURE, SCORE, FIDELITY], [pool.shape[1], feature.shape[1], fidelity.shape[1]])
        _, groups = np.unique(groups, return_inverse=True)  # numbered without a gap
        targets = as_target(np.array([label.accuracy for label in labels]))
        ensemble, longest = fit_ensemble(features, targets, population, groups), fidelity.max(axis=0, initial=-np.inf)
        line = (0.0, 0.0)  # of the score, as a target
        if self.weight and scores[kept].std() > 0:
            told = ensemble.predict(features)[0]
            slope = float(told.std() / scores[kept].std())
            line = float(told.mean() - slope * scores[kept].mean()), slope
        self._fitted.append((ensemble, longest, line))

    def predict(self, features: Array, scores: Array | None = None) -> tuple[Array, Array]:
        """Accuracies and their standard deviations (n,) of candidates: features of `structure` (n, k), scores (n,)."""
        self.prepare()
        ensemble, fidelity, (offset, slope) = self._fitted[0]
        feature = [] if scores is None or self.weight else [scores[:, None]]
        parts = [features, *feature, np.tile(fidelity, (len(features), 1))]
        means, deviations = ensemble.predict(np.concatenate(parts, axis=1))
        if scores is not None and slope:
            means = (1 - self.weight) * means + self.weight * (offset + slope * scores)
        told = [as_accuracy(mean, deviation) for mean, deviation in zip(means, deviations, strict=True)]
        return np.array([accuracy for accuracy, _ in told]), np.array([deviation for _, deviation in told])

    def estimate(
        self, network: Network, hyperparameters: Mapping[str, Value], *, seed: int, on_epoch: OnEpoch | None = None
    ) -> Estimate:
        """The accuracy expected of the network, and its deviation; `on_epoch` hears of nothing.

        Raises what the score raises.
        """
        start = perf_counter()
        features = self.structure.of_networks([network], [hyperparameters])
        scores = None
        if self.score:
            scores = np.array([self.score.estimate(network, hyperparameters, seed=seed).value])
        accuracies, deviations = self.predict(features, scores)
        return Estimate(float(accuracies[0]), perf_counter() - start, float(deviations[0]))

    def test_accuracy(self, model: TrainedModel) -> float:
        """Raises UserError: no network of the search was trained, so none has a test accuracy."""
        raise UserError("estimator combined predicts accuracies and trains no candidate, so there is no test accuracy")

    def _scores(self, labels: Sequence[Label]) -> Array:
        """The labels' scores (n, 1), NaN where a network has none; (n, 0) without a score."""
        if self.score is None:
            return np.zeros((len(labels), 0))
        found = []
        for label in labels:
            try:
                found.append(self.score.estimate(label.network, label.values, seed=self.seed).value)
            except (ArithmeticError, RuntimeError, MemoryError):
                found.append(np.nan)
        return np.array(found).reshape(-1, 1)


def _fidelity(labels: Sequence[Label]) -> Array:
    """The logarithms of the labels' epochs (n, 1), where they differ; (n, 0) where all are alike.

    Raises UserError where some are known and others are not.
    """
    epochs = [label.epochs for label in labels]
    known = [e for e in epochs if e is not None]
    if known and len(known) < len(epochs):
        raise UserError("labels of several trainings must all say their epochs: give the table a column epochs")
    if len(set(known)) < 2:
        return np.zeros((len(labels), 0))
    return np.asarray(np.log(known))[:, None]
