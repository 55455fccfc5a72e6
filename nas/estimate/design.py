"""Which networks to train, so that the others can be predicted from them."""

from __future__ import annotations

from typing import Literal

import numpy as np

from nas.pareto import Array

Design = Literal["d-optimal", "spread", "random"]
RIDGE = 0.01  # of the information before the first network, as a share of one network's


def choose_design(features: Array, n: int, design: Design, *, seed: int = 0) -> np.ndarray:
    """The rows (n,) of standardised features (m, k) to label, the most telling first, the very first at random.

    `d-optimal` adds the network whose prediction by a linear function of those before is least sure, which maximises
    the determinant of the information; `spread` the one that is farthest from all before; `random` any.
    Raises ValueError where there are fewer rows than are asked for.
    """
    if not 0 <= n <= len(features):
        raise ValueError(f"a design must have at most the {len(features)} networks that there are; got {n}")
    order = np.random.default_rng(seed).permutation(len(features))
    if design == "random" or n == 0:
        return order[:n]
    chosen = [int(order[0])]
    free = np.ones(len(features), dtype=bool)
    covariance = np.eye(features.shape[1]) / RIDGE  # of the linear function's coefficients
    nearest = np.full(len(features), np.inf)
    while len(chosen) < n:
        last = features[chosen[-1]]
        free[chosen[-1]] = False
        if design == "spread":
            nearest = np.minimum(nearest, ((features - last) ** 2).sum(axis=1))
            gain = nearest
        else:
            step = covariance @ last
            covariance -= np.outer(step, step) / (1 + last @ step)
            gain = ((features @ covariance) * features).sum(axis=1)
        chosen.append(int(np.argmax(np.where(free, gain, -np.inf))))
    return np.array(chosen)
