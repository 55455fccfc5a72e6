"""A linear function that ranks: logistic regression on pairs."""

from __future__ import annotations

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit

from nas.pareto import Array

STEPS = 200  # of L-BFGS
PENALTY = 1.0  # of squared weights, for each label
MOST = 400  # labels: the pairs grow with their square


def fit_ranker(features: Array, targets: Array) -> Array:
    """Weights (k,) of standardised features (n, k), so that `features @ weights` ranks as the targets (n,) do.

    Each pair of unequal targets is an example; the loss is the logarithm of its odds, as RankNet's (Burges et al., ICML
    2005) with a linear function. Of more than MOST labels those are taken that are spread evenly.
    """
    kept = np.linspace(0, len(targets) - 1, min(len(targets), MOST)).round().astype(int)
    x, y = features[kept], targets[kept]
    i, j = np.triu_indices(len(y), 1)
    order = np.sign(y[i] - y[j])
    differences = (x[i] - x[j])[order != 0] * order[order != 0, None]
    penalty = PENALTY * len(y)

    def loss(weights: Array) -> tuple[float, Array]:
        margin = differences @ weights
        value = np.logaddexp(0, -margin).sum() + 0.5 * penalty * weights @ weights
        return float(value), penalty * weights - differences.T @ expit(-margin)

    start = np.zeros(features.shape[1])
    return np.asarray(minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": STEPS}).x)
