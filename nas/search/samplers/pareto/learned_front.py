"""The front as the sampler sees it, known objectives exact, the others as believed, and what a candidate adds."""

from __future__ import annotations

import numpy as np

from nas.estimate.surrogate import Hyperparameters, Surrogate, choose_scale, fit
from nas.pareto import Array, non_dominated
from nas.search.samplers.pareto.acquisition import expected_improvement, free_cells
from nas.search.samplers.pareto.descriptors import on_scale
from nas.search.samplers.pareto.history import Mask, Tried
from nas.search.samplers.pareto.pool import WHOLE, Candidates, Points

GROWTH = 1.08  # the model's hyperparameters are fitted anew when there are so many times more results
FITTED = 400  # results, spread evenly over the history: a fit takes a time that grows with the cube of their number
CLIMBS = 2  # best candidates whose neighbours are scored too, so many steps at most
STEPS = 3
LEAST = 0.1  # of the least descriptor that was tried: what is less counts as this much
Fits = dict[int, tuple[bytes, Hyperparameters]]  # by objective: the data of the last fit, and what it found


class LearnedFront:
    """Models of the learned objectives, candidates, and the space that the front of believed values leaves free."""

    def __init__(
        self, candidates: Candidates, tried: Tried, reference: Array | None, fits: Fits, rng: np.random.Generator
    ) -> None:
        self.candidates = candidates
        self.learned = [int(j) for j in np.flatnonzero(np.isnan(candidates.price(tried.codes[:1])[0][0]))]
        self.known = [j for j in range(tried.values.shape[1]) if j not in self.learned]
        self._seen = tried.values[:, self.known], candidates.describe(tried.codes)
        features = self._features(Points(tried.codes, tried.values))
        believed = tried.values.copy()
        worst = None if reference is None else candidates.signs * reference
        bends = np.append(candidates.decisions.bends, np.zeros(len(self.known), dtype=bool))
        self.models: list[Surrogate] = []
        self.logs: list[int] = []  # objectives whose logarithm is learned
        for j in self.learned:
            sign, told = candidates.signs[j], candidates.signs[j] * tried.values[tried.done, j]
            scale = choose_scale(told, bool(sign < 0))
            model = _model(j, features, scale.learned(told), tried.done, fits, self.trends, bends)
            self.models.append(model)
            believed[:, j] = scale.lost(model.predict(features)[0])
            if scale.share:
                self.logs.append(j)
            if worst is not None:
                worst[j] = scale.lost(scale.learned(sign * worst[j : j + 1]))[0]
        inside = believed[tried.feasible]
        on_front = non_dominated(inside)
        self.points = candidates.pool(tried.codes[tried.feasible][on_front], rng, tried.codes[tried.feasible])
        self.cells = free_cells(inside[on_front], self._worst(inside, inside[on_front]) if worst is None else worst)

    def gain(self, points: Points) -> Array:
        """The hypervolume that each candidate (n,) is expected to add."""
        mean, deviation = points.values.copy(), np.zeros(points.values.shape)
        features = self._features(points)
        for j, model in zip(self.learned, self.models, strict=True):
            mean[:, j], deviation[:, j] = model.predict(features)
        return expected_improvement(mean, deviation, self.cells, self.logs)

    def best(self, rng: np.random.Generator) -> Array | None:
        """The code (d,) of the candidate that is expected to gain most. None: nothing is left."""
        points = self.points
        if not len(points):
            return None
        gains = self.gain(points)
        for _ in range(STEPS if self.candidates.decisions.size > WHOLE else 0):
            top = np.argsort(-gains, kind="stable")[:CLIMBS]
            around = [self.candidates.decisions.neighbours(points.codes[i], rng) for i in top]
            more = self.candidates.fresh(np.concatenate(around))
            before = gains.max()
            points, gains = points + more, np.concatenate([gains, self.gain(more)])
            if not gains.max() > before:
                break
        return np.asarray(points.codes[gains.argmax()])

    @property
    def trends(self) -> int:
        """How many features are trends: none without descriptors."""
        costs, descriptors = self._seen
        return costs.shape[1] + descriptors.shape[1] if descriptors.shape[1] else 0

    def _features(self, points: Points) -> Array:
        """The choices and the known objectives (n, k), and again, with the descriptors, as trends.

        Objectives and descriptors are in logarithms of which all tried are positive.
        """
        costs, descriptors = self._seen
        logs = on_scale(points.values[:, self.known], costs, 1e-3)
        features = [self.candidates.decisions.features(points.codes), logs]
        if self.trends:
            features += [logs, on_scale(self.candidates.describe(points.codes), descriptors, LEAST)]
        return np.concatenate(features, axis=1)

    def _worst(self, points: Array, front: Array) -> Array:
        """Where no reference is given: a tenth beyond the front's worst; the worst there is of known objectives."""
        span = np.ptp(front, axis=0)
        worst = front.max(axis=0) + 0.1 * np.where(span > 0, span, 1.0)
        there = np.concatenate([points, self.points.values])[:, self.known]
        worst[self.known] = np.maximum(worst[self.known], there.max(axis=0))
        return np.asarray(worst)


def _model(j: int, features: Array, targets: Array, done: Mask, fits: Fits, trends: int, bends: Mask) -> Surrogate:
    """The process of one objective; trials that are running are taken to end as it expects.

    Fitted to at most FITTED of the first so many results, a number that grows in steps: a function of the history
    alone, so that a resumed study goes on as one that was never stopped.
    """
    seen = features[done]
    first = 2
    while (more := max(first + 1, int(np.ceil(GROWTH * first)))) <= len(seen):
        first = more
    of = np.linspace(0, first - 1, min(first, FITTED)).round().astype(int)
    key = seen[of].tobytes() + targets[of].tobytes()
    if fits.get(j, (b"", None))[0] != key:
        fits[j] = key, fit(seen[of], targets[of], trends, bends)
    model = Surrogate(seen, targets, fits[j][1])
    if done.all():
        return model
    filled = np.empty(len(features))
    filled[done], filled[~done] = targets, model.predict(features[~done])[0]
    return Surrogate(features, filled, fits[j][1])
