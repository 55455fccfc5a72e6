"""What a guide and short trainings together promise of candidates, before any is trained in full."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from nas.estimate.ensemble import FEWEST, fit_ensemble
from nas.estimate.guide import Guide
from nas.estimate.labels import as_target
from nas.estimate.zero_cost.log_ranks import rank_share
from nas.pareto import Array

POPULATION = 2000  # random candidates of the space, at most, that ranks are among
FITTED = 300  # trainings, spread evenly over the history: a fit takes a time that grows with the cube of their number


@dataclass(frozen=True, eq=False)
class Promise:
    """The mean of two ranks in the space, from 0 to 1: by the guide, and by a surrogate of the accuracies.

    `weight` is the guide's. A surrogate that had the guide as a feature would trust it too little, for short trainings
    are biased; both together rank better than either (experiments/real-front, who_decides.py). The ranks are among
    feasible candidates by their `codes` (n, d): among the trained networks, which differ in size more than those of
    equal cost do, the bias towards small ones would decide.
    """

    guide: Guide
    codes: Array
    weight: float
    _ranked: list[tuple[Array, Array]] = field(default_factory=list, init=False, repr=False)

    def of_trained(self, codes: Array, accuracies: Sequence[float]) -> Array | None:
        """Of trained candidates (m,), by their codes (m, d) and accuracies (m,); None: there are fewer than three."""
        if len(codes) < FEWEST:
            return None
        if not self._ranked:
            population = self.codes[:POPULATION]
            self._ranked.append((self.guide.structure.of_codes(population), self.guide.of_codes(population)))
        features, guided = self._ranked[0]
        ours = self.guide.structure.of_codes(codes)
        of = np.linspace(0, len(codes) - 1, min(len(codes), FITTED)).round().astype(int)
        learned = fit_ensemble(ours[of], as_target(np.array(accuracies))[of], features)
        told, mine = learned.predict(features)[0], learned.predict(ours)[0]
        scores = self.guide.of_codes(codes)
        ranks = [[rank_share(told, mean), rank_share(guided, score)] for mean, score in zip(mine, scores, strict=True)]
        return np.asarray(np.array(ranks) @ np.array([1 - self.weight, self.weight]))
