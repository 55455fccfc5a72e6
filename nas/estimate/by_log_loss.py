"""Accuracies with less noise of counting, by the log-loss on the same images.

An accuracy counts images as right or wrong; the log-loss says how right, so it varies less with the images that there
are. How the two go together is learned from all trainings of a run.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from nas.pareto import Array

FEWEST = 8  # trainings that a line can be learned from
LEAST_OWN = 0.1  # of the variance of counting, that accuracies vary around the line by themselves at least


def by_log_loss(accuracies: Sequence[float], log_losses: Sequence[float], images: int) -> Array:
    """Accuracies (n,) from 0 to 1 of n trainings on so many images, moved towards what their log-losses tell.

    The logarithm of the error is taken to go straight with that of the log-loss, but for the noise of counting, whose
    variance is binomial, and an own part of each training, whose variance is what the line leaves beyond that. Each
    accuracy moves by the share of the two that is noise. What a training owes to its seed stays: both have it.
    """
    measured = np.array(accuracies, dtype=float)
    if len(measured) < FEWEST or min(log_losses) <= 0 or np.ptp(log_losses) == 0:
        return measured
    seen = (images * (1 - measured) + 0.5) / (images + 1)
    logs, x = np.log(seen), np.log(np.array(log_losses, dtype=float))
    x = x - x.mean()
    for _ in range(3):  # the noise is that of the accuracies as they are after the move
        noise = (1 - seen) / (seen * images)
        weights = 1 / noise
        design = np.stack([np.ones(len(x)), x], axis=1)
        slope = np.linalg.lstsq(design * np.sqrt(weights)[:, None], logs * np.sqrt(weights), rcond=None)[0]
        line = design @ slope
        excess = float((weights * (logs - line) ** 2).sum() / (len(x) - 2)) - 1  # in units of the noise
        own = noise * max(excess, LEAST_OWN)
        seen = np.exp(np.minimum(line + own / (own + noise) * (logs - line), 0.0))
    return np.asarray(1 - seen)
