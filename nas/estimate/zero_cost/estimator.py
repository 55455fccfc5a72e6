"""The estimator `zero-cost`: scores of a network that nothing was trained for."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from time import perf_counter

import numpy as np
import torch

from nas.data.dataset import Split
from nas.errors import UserError, unknown
from nas.estimate.estimator import Estimate, OnPrepare
from nas.estimate.zero_cost import DESCRIPTORS, SCORES
from nas.estimate.zero_cost.initialization import initialized
from nas.estimate.zero_cost.log_ranks import LogRanks
from nas.models.trained import TrainedModel
from nas.space.candidate import Value
from nas.space.network import Network
from nas.train.loop import OnEpoch, normalize

IMAGES = 64  # what a score is shown at most
FEWEST = 4  # two batches of two, for ZiCo
AGGREGATE: Mapping[str, float] = {"depth": 1.0, "swap": 1.0, "trainability": 1.0}


@dataclass(frozen=True, slots=True, eq=False)
class ZeroCost:
    """An `Estimator` whose value is a rank, not an accuracy: `Estimate.kind` says so, and no training takes place.

    `weights` names the scores and what each counts. One score without a pool is given as it is. Several are added as
    logarithms of their ranks among the networks of `pool`, which `prepare` scores once.

    The default, depth and SWAP and AZ-NAS's trainability in equal parts, was the best of some 680 sums on one table,
    NAS-Bench-Macro. There depth tells much of the accuracy; in other spaces it tells little. So the weights are where
    to begin, and are to be learned from whatever was trained.

    Every score is the mean of so many `initializations`. `sample` are the images that are shown, at the candidate's
    own resolution unless `resolution` is given: scores of different resolutions cannot be compared.
    """

    sample: Split
    weights: Mapping[str, float] = field(default_factory=lambda: dict(AGGREGATE))
    pool: tuple[Network, ...] = ()
    initializations: int = 3
    seed: int = 0  # of the initializations of the pool
    resolution: int | None = None
    _ranks: list[LogRanks] = field(default_factory=list, init=False, repr=False)

    def __post_init__(self) -> None:
        for name, weight in self.weights.items():
            if name not in SCORES and name not in DESCRIPTORS:
                raise unknown("score", name, [*DESCRIPTORS, *SCORES])
            if not math.isfinite(weight):
                raise UserError(f"the weight of {name} must be a finite number; got {weight}")
        if not self.weights or (len(self.weights) > 1 and not self.pool):
            raise UserError("a sum of scores must have at least one score, and a pool of networks to rank them in")
        if not 1 <= self.initializations <= 1000:
            raise UserError(f"initializations must be from 1 to 1,000; got {self.initializations}")
        if len(self.sample) < FEWEST:
            raise UserError(f"scores must be shown at least {FEWEST} images; got {len(self.sample)}")

    def prepare(self, on_progress: OnPrepare | None = None) -> None:
        """Scores the pool, where there is one: as many estimates as it has networks."""
        if self.pool and not self._ranks:
            rows = []
            for done, network in enumerate(self.pool, 1):
                rows.append(self.scores(network, self.seed))
                if on_progress:
                    on_progress(done, len(self.pool), "scores of random networks")
            self._ranks.append(LogRanks({s: np.array([row[s] for row in rows]) for s in self.weights}, self.weights))

    def estimate(
        self, network: Network, hyperparameters: Mapping[str, Value], *, seed: int, on_epoch: OnEpoch | None = None
    ) -> Estimate:
        """The network's score, or sum of log ranks; hyperparameters and `on_epoch` are ignored: nothing is trained.

        Raises FloatingPointError when a score is not finite; UserError for a network that cannot be built.
        """
        start = perf_counter()
        self.prepare()
        scores = self.scores(network, seed)
        if self.pool:
            value = self._ranks[0].value(scores)
        else:
            ((name, weight),) = self.weights.items()
            value = weight * scores[name]
        return Estimate(value, perf_counter() - start, kind="rank")

    def scores(self, network: Network, seed: int) -> dict[str, float]:
        """Each score of the network, the mean over initializations that `seed` draws.

        Raises FloatingPointError when one is not finite.
        """
        found = {name: [DESCRIPTORS[name](network)] for name in self.weights if name in DESCRIPTORS}
        drawn = [name for name in self.weights if name in SCORES]
        if drawn:
            size = self.resolution or network.input_shape[1]
            images = normalize(self.sample.images.take(torch.arange(min(IMAGES, len(self.sample))), size))
            labels = self.sample.labels[:IMAGES]
            for draw in range(self.initializations):
                given = initialized(network, images, labels, seed * self.initializations + draw)
                for name in drawn:
                    found.setdefault(name, []).append(SCORES[name](given))
        means = {name: float(np.mean(values)) for name, values in found.items()}
        if odd := next((name for name, mean in means.items() if not math.isfinite(mean)), None):
            raise FloatingPointError(f"the score {odd} is not finite")
        return means

    def test_accuracy(self, model: TrainedModel) -> float:
        """Raises UserError: nothing was trained, so no network has a test accuracy."""
        raise UserError("zero-cost scores train nothing, so there is no test accuracy")


def shown(split: Split, seed: int) -> Split:
    """The images that scores are shown, drawn from a split with `seed`; the same for every network."""
    order = torch.randperm(len(split), generator=torch.Generator().manual_seed(seed))
    return split.subset(order[:IMAGES])
