"""The estimator `curve`: a training's first epochs and the network's structure tell what it would reach in the end."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from time import perf_counter
from typing import TYPE_CHECKING

import numpy as np

from nas.errors import UserError
from nas.estimate.ensemble import FEWEST, Ensemble, fit_ensemble
from nas.estimate.estimator import Estimate, Estimator, OnPrepare
from nas.estimate.labels import Labels, Points, as_accuracy, as_target, pool_of
from nas.estimate.structure import Structure
from nas.pareto import Array
from nas.space.candidate import Value
from nas.space.network import Network

if TYPE_CHECKING:
    from nas.models.trained import TrainedModel
    from nas.train.loop import Epoch, OnEpoch

LEAST_LOSS = 1e-4  # a training loss below this is taken as this


@dataclass(frozen=True, eq=False)
class CurveExtrapolation:
    """An `Estimator`: trains a candidate for the first epochs of a longer training, and predicts what that would reach.

    `training` is the whole training. `labels` are networks that had the whole of it, with their curves; `prepare` runs
    them. The features are structure and, of each of the `first` epochs, the training loss and the best validation
    accuracy so far; so the bias of few epochs, which favours small networks, is learned and taken away.
    """

    structure: Structure
    training: Estimator
    labels: Labels
    first: int
    _fitted: list[Ensemble] = field(default_factory=list, init=False, repr=False)

    def prepare(self, on_progress: OnPrepare | None = None) -> None:
        """Trains the labels in full, or finds them, and learns from them. Raises UserError for too few of them."""
        if self._fitted:
            return
        self.training.prepare()
        labels = [label for label in self.labels(on_progress) if len(label.curve) >= self.first]
        if len(labels) < FEWEST:
            raise UserError(f"estimator curve needs at least {FEWEST} labels with curves; got {len(labels)}")
        structure = self.structure.of_networks([x.network for x in labels], [x.values for x in labels])
        curves = curve_features(np.array([label.curve[: self.first] for label in labels]))
        features = np.concatenate([structure, curves], axis=1)
        _, pool = pool_of(self.structure, 0)
        unknown = np.full((len(pool), curves.shape[1]), np.nan)
        population = np.concatenate([np.concatenate([pool, unknown], axis=1), features])
        groups = np.repeat(np.arange(3), [pool.shape[1], self.first, self.first])
        _, groups = np.unique(groups, return_inverse=True)  # numbered without a gap
        targets = as_target(np.array([label.accuracy for label in labels]))
        self._fitted.append(fit_ensemble(features, targets, population, groups))

    def estimate(
        self, network: Network, hyperparameters: Mapping[str, Value], *, seed: int, on_epoch: OnEpoch | None = None
    ) -> Estimate:
        """The accuracy expected at the end of the training, and its deviation; nothing is kept of the weights.

        `on_epoch` hears of the first epochs; where it ends the training among them, the value is that of the last.
        Raises what the training raises.
        """
        self.prepare()
        start = perf_counter()
        seen: list[tuple[float, float]] = []
        stopped = False

        def watch(number: int, epoch: Epoch) -> bool:
            nonlocal stopped
            seen.append((epoch.train_loss, epoch.validation_accuracy))
            stopped = bool(on_epoch and on_epoch(number, epoch))
            return stopped or number >= self.first

        told = self.training.estimate(network, hyperparameters, seed=seed, on_epoch=watch)
        if stopped and len(seen) < self.first:
            return Estimate(told.value, perf_counter() - start, curve=told.curve)
        points: Points = tuple(seen[: self.first])
        structure = self.structure.of_networks([network], [hyperparameters])
        (mean,), (deviation,) = self._fitted[0].predict(
            np.concatenate([structure, curve_features(np.array([points]))], axis=1)
        )
        accuracy, deviation = as_accuracy(mean, deviation)
        return Estimate(accuracy, perf_counter() - start, deviation, curve=told.curve)

    def test_accuracy(self, model: TrainedModel) -> float:
        """Raises UserError: no candidate was trained to the end, so none has a test accuracy."""
        raise UserError("estimator curve trains no candidate to the end, so there is no test accuracy")


def curve_features(curves: Array) -> Array:
    """Features (n, 2 epochs) of curves (n, epochs, 2): of the losses, then of the accuracies."""
    return np.concatenate([of_losses(curves[..., 0]), of_accuracies(curves[..., 1])], axis=1)


def of_losses(losses: Array) -> Array:
    """Minus the logarithms of training losses (n, epochs)."""
    return -np.log(np.maximum(losses, LEAST_LOSS))


def of_accuracies(accuracies: Array) -> Array:
    """Minus the logarithms of what the best accuracies so far miss, (n, epochs): a bad epoch says little of the end."""
    return as_target(np.maximum.accumulate(accuracies, axis=1))
