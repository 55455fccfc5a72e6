"""How well a search's own accuracies rank its networks, as far as that can be told without any truth."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from nas.estimate.bench.agreement import interval, tau
from nas.estimate.uncertainty import Beliefs
from nas.run.rank_quality import FEWEST, RankQuality

DRAWS = 100  # of all accuracies at once
MOST = 300  # networks in a draw that are ranked: of more, so many by chance
DIGITS = 6


def rank_quality(
    accuracies: Sequence[Sequence[float]], beliefs: Beliefs, images: int, *, seed: int
) -> RankQuality | None:  # fmt: skip
    """What the trainings of a run's networks tell of their ranking; None where nothing was trained twice.

    accuracies: of each of n networks one or more, in the order of the trainings, each on so many validation `images`;
    beliefs: what `believe` made of them.

    Measured: Kendall's tau-b between the first and second trainings of the networks that have both, with the interval
    of the percentile bootstrap (Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13). A search
    repeats networks near its front: if they differ less than all do, as where costs are alike, restriction of range
    (Thorndike, Personnel Selection, 1949, chapter 6) makes this lower than over all networks; the front of a wide range
    of costs need not be restricted.

    Expected, over all networks: accuracies that may be the true ones are drawn from the posterior, trainings are
    simulated from each draw with the noise that was found, a whole number of images each, and the taus are averaged, as
    in a posterior predictive check (Rubin, The Annals of Statistics, 1984). Noise is all that this sees: a bias which
    every training shares, as towards networks that learn fast, is in the accuracies that are taken for the true ones.
    Where networks hardly differ, so that the true taus are below 0.2, these are too high by about 0.1: few trainings
    cannot tell that nothing differs.
    """
    twice = [each for each in accuracies if len(each) > 1]
    if not twice or len(accuracies) < FEWEST:
        return None
    rng = np.random.default_rng(seed)
    found = []
    for truth in beliefs.draw(DRAWS, rng):
        some = rng.permutation(len(truth))[:MOST]
        own, noise = truth[some], beliefs.noise[some]
        one, two = (
            np.round(np.clip(own + noise * rng.standard_normal(len(own)), 0, 1) * images) / images for _ in range(2)
        )
        found.append((tau(one, two), tau(one, own), tau(beliefs.mean[some], own)))
    again, once, expected = (round(float(mean), DIGITS) for mean in np.mean(found, axis=0))
    measured = low = high = None
    if len(twice) >= FEWEST:
        first, second = (np.array([each[place] for each in twice]) for place in range(2))
        low, high = (round(end, DIGITS) for end in interval(first, second, seed=seed))
        measured = round(tau(first, second), DIGITS)
    return RankQuality(
        networks=len(accuracies), repeated=len(twice), two_trainings=again, one_training=once, expected=expected,
        first_second=measured, low=low, high=high,
    )  # fmt: skip
