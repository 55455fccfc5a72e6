"""What is believed of accuracies measured with noise: denoised by training again, and by all networks together.

A training's accuracy differs from the network's own, the mean over all seeds: by its seed, and because there are so
many validation images and no more. The validation images are the same for all networks: what is drawn too hard or too
easy for all of them shifts all accuracies alike and is no noise between networks, so expected accuracies are those on
these images. On other images, as of a test split, all of them together may lie higher or lower, by about the root of
p (1 - p) / images.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from nas.estimate.matern import matern
from nas.estimate.variances import FITTED, LEVEL, START, Measured, Variances, fit_variances, likely_variances
from nas.pareto import Array

INDUCING = 400  # networks whose common variation is kept exactly; the others vary with these, and on their own
ROUNDS = 3  # of the variances
NEWTON = 5  # steps of the levels in each
LONGEST = 2.0  # of these steps


@dataclass(frozen=True)
class Posterior:
    """Logarithms of the errors of n networks, jointly normal, for one choice of the variances.

    level (n,): their means; common (n, m): times m standard normal numbers their variation together; own (n,): the
    standard deviation of the rest, of each network alone.
    """

    level: Array
    common: Array
    own: Array
    variances: Variances

    @property
    def variance(self) -> Array:
        """(n,)"""
        return np.asarray((self.common**2).sum(axis=1) + self.own**2)


@dataclass(frozen=True)
class Beliefs:
    """The posterior of the mean accuracies of n networks, over trainings with any seed."""

    mean: Array  # (n,) the expected accuracy, from 0 to 1
    deviation: Array  # (n,) its standard deviation
    noise: Array  # (n,) standard deviation of one training's accuracy around the network's own
    parts: tuple[tuple[float, Posterior], ...]  # the posterior is a mixture of these, each with its weight

    def draw(self, count: int, rng: np.random.Generator) -> Array:
        """Accuracies that may be the true ones (count, n), from the joint posterior."""
        found = []
        for times, (_, part) in zip(rng.multinomial(count, [w for w, _ in self.parts]), self.parts, strict=True):
            logs = part.level + rng.standard_normal((times, part.common.shape[1])) @ part.common.T
            found.append(logs + part.own * rng.standard_normal((times, len(part.level))))
        return np.asarray(1 - np.exp(np.minimum(np.concatenate(found), 0.0)))


def believe(accuracies: Sequence[Sequence[float]], features: Array, images: int) -> Beliefs:
    """What is believed of networks from the accuracies of their trainings.

    accuracies: of each of n networks one or more, from 0 to 1, each on so many validation images, the same for all.
    features (n, k): what may tell something of a network's accuracy; with nothing in them, nothing is believed of it.

    The model, for the logarithm of the error: a level, a Gaussian process over the features (Matern-5/2), a part of
    each network's own, and noise: the binomial variance times a dispersion (overdispersed counts, McCullagh and Nelder,
    1989) and what seeds add, pooled from all networks that were trained more than once. How much is what, the data say;
    with few networks the priors of `variances` do, and what stays unsure is averaged over. The posterior is Laplace's,
    its mean corrected for skewness. Beyond INDUCING networks the process is that of FITC (Snelson and Ghahramani, NIPS
    2005), with the most probable variances. Raises ValueError where a network has no accuracy.
    """
    if not len(accuracies) or min(map(len, accuracies)) < 1:
        raise ValueError("every network must have an accuracy, and there must be one at least")
    counts = np.array([len(each) for each in accuracies], dtype=float)
    errors = 1 - np.array([np.mean(each) for each in accuracies])
    seen, points, found = counts * images, _scaled(features), START
    level = np.log((seen * errors + 0.5) / (seen + 1))
    variations = np.array([float(np.var(each)) * len(each) for each in accuracies])
    for _ in range(ROUNDS):
        steps, binomial = _linear(level, errors, images)
        measured = Measured(points, level + steps, binomial, counts, variations / np.exp(2 * level))
        found = fit_variances(measured, found)
        level = _posterior(points, level, errors, counts, images, found).level
    weighted = likely_variances(measured, found) if len(points) <= FITTED else [(1.0, found)]
    parts = tuple((w, _posterior(points, level, errors, counts, images, each)) for w, each in weighted)
    means = np.array([np.minimum(np.exp(p.level + p.variance / 2), 1.0) for _, p in parts])
    weights = np.array([w for w, _ in parts])
    squares = np.array([m**2 * np.exp(p.variance) for m, (_, p) in zip(means, parts, strict=True)])
    expected = weights @ means
    deviation = np.sqrt(np.maximum(weights @ squares - expected**2, 0.0))
    dispersion, training = (
        sum(w * getattr(p.variances, name) for w, p in parts) for name in ("dispersion", "training")
    )
    noise = np.sqrt(dispersion * expected * (1 - expected) / images + training * expected**2)
    return Beliefs(1 - expected, np.minimum(deviation, 0.5), np.minimum(noise, 0.5), parts)


def _linear(level: Array, errors: Array, images: int) -> tuple[Array, Array]:
    """The binomial likelihood of errors as a normal one near their believed logarithms (n,): steps, and variances."""
    expected = np.exp(level)
    return np.clip(errors / expected - 1, -1.0, LONGEST), (1 - expected) / (expected * images)


def _prior(points: Array, level: Array, found: Variances) -> tuple[Array, Array]:
    """The prior covariance of log errors, U U' + diag(o): U (n, m) and o (n,)."""
    x = points / found.lengthscale
    spread = np.argsort(level, kind="stable")[np.linspace(0, len(x) - 1, min(len(x), INDUCING)).round().astype(int)]
    inner = matern(x[spread], x[spread])
    inner[np.diag_indices(len(spread))] += 1e-6
    smooth = np.sqrt(found.structure) * np.linalg.solve(np.linalg.cholesky(inner), matern(x[spread], x)).T
    alone = np.maximum(found.structure - (smooth**2).sum(axis=1), 0.0) + found.own
    return np.concatenate([smooth, np.full((len(x), 1), np.sqrt(LEVEL))], axis=1), alone


def _posterior(
    points: Array, start: Array, errors: Array, counts: Array, images: int, found: Variances
) -> Posterior:  # fmt: skip
    """Newton's method for the most probable log errors (n,) from `start`, and the normal posterior around them.

    With the prior covariance U U' + diag(o), and N the noise: z, of which U z is the common part, is normal with
    covariance (I + U' (o + N)^-1 U)^-1; given z, a network's own part has the mean o / (o + N) of what is left, and the
    variance o N / (o + N).
    """
    level = start
    prior, alone = _prior(points, level, found)
    for _ in range(NEWTON):
        steps, binomial = _linear(level, errors, images)
        logs, noise = level + steps, found.noise(binomial) / counts
        middle = logs.mean()
        weighted = prior / (alone + noise)[:, None]
        precision = np.eye(prior.shape[1]) + prior.T @ weighted
        inverse_root = np.linalg.inv(np.linalg.cholesky(precision))  # its transpose times itself is the covariance of z
        z = inverse_root.T @ (inverse_root @ (weighted.T @ (logs - middle)))
        kept = alone / (alone + noise)  # the share of a surprise that is the network's own
        level = middle + (1 - kept) * (prior @ z) + kept * (logs - middle)
        level = np.clip(level, np.log(0.1 / (images * counts.max())), -1e-3)
    mode = Posterior(level, (1 - kept)[:, None] * (prior @ inverse_root.T), np.sqrt(kept * noise), found)
    skew = mode.variance / noise
    return replace(mode, level=level - (mode.common @ (mode.common.T @ skew) + mode.own**2 * skew) / 2)


def _scaled(features: Array) -> Array:
    """Features (n, k) with mean 0, and a mean square distance between networks of 2, whatever k; constant ones go."""
    deviation = features.std(axis=0)
    varying = deviation > 1e-12 * np.maximum(1.0, np.abs(features).max(axis=0, initial=0.0))
    if not varying.any():
        return np.zeros((len(features), 1))
    standard = (features[:, varying] - features[:, varying].mean(axis=0)) / deviation[varying]
    return np.asarray(standard / np.sqrt(varying.sum()))
