"""What few labels and cheap features tell of all networks: three models, averaged."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nas.estimate.pairwise_ranker import fit_ranker
from nas.estimate.shared_scales import fit_shared
from nas.estimate.surrogate import Surrogate
from nas.pareto import Array

FEWEST = 3  # labels


@dataclass(frozen=True, eq=False)
class Ensemble:
    """The mean of a Matern process, one with a linear trend, and a pairwise linear ranker. Made by `fit_ensemble`.

    The three err differently: the ranker sees no distances, the process no trend. The ranker's values are brought to
    the mean and the deviation that the processes predict of the labelled networks.
    """

    middle: Array  # (k,): features are standardised by these
    deviation: Array
    weights: Array  # (k,): each group of features tells as much as another
    processes: tuple[Surrogate, Surrogate]
    ranker: Array  # (k,)
    scale: tuple[float, float]  # the ranker's offset and slope, in the targets' units

    def predict(self, features: Array) -> tuple[Array, Array]:
        """Mean and standard deviation (n,) of the targets of features (n, k), without the labels' noise."""
        x = (features - self.middle) / self.deviation
        told = [process.predict(x) for process in self.processes]
        means = np.stack(
            [*(mean for mean, _ in told), self.scale[0] + self.scale[1] * (x * self.weights) @ self.ranker]
        )
        variance = np.mean([deviation**2 for _, deviation in told], axis=0) + means.var(axis=0)
        return means.mean(axis=0), np.sqrt(variance)


def fit_ensemble(features: Array, targets: Array, population: Array, groups: np.ndarray | None = None) -> Ensemble:
    """The ensemble of labelled networks: features (n, k), targets (n,), on a scale where errors are alike.

    `population` (m, k) are networks like those to be predicted, NaN where a feature is not known: features are
    standardised by them. `groups` (k,) numbers features that belong together, from 0: structure, a score, the fidelity.
    Raises ValueError for fewer than three labels.
    """
    if len(targets) < FEWEST:
        raise ValueError(f"at least {FEWEST} labels are needed; got {len(targets)}")
    groups = np.zeros(features.shape[1], dtype=int) if groups is None else groups
    middle, deviation = np.nanmean(population, axis=0), np.nanstd(population, axis=0)
    deviation = np.where(deviation > 1e-12, deviation, 1.0)
    x = (features - middle) / deviation
    sizes = np.bincount(groups)[groups]
    weights = np.sqrt(sizes.max() / sizes)
    processes = [Surrogate(x, targets, fit_shared(x, targets, groups, trend=trend)) for trend in (False, True)]
    ranker = fit_ranker(x * weights, targets)
    ranks = (x * weights) @ ranker
    expected = np.mean([process.predict(x)[0] for process in processes], axis=0)
    slope = float(expected.std() / ranks.std()) if ranks.std() > 0 else 0.0
    scale = float(expected.mean() - slope * ranks.mean()), slope
    return Ensemble(middle, deviation, weights, (processes[0], processes[1]), ranker, scale)
