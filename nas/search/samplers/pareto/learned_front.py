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
        self, candidates: Candidates, tried: Tried, reference: Array | None, fits: Fits, rng: np.random.Generator,
        trusted: float = 0.0,
    ) -> None:  # fmt: skip
        self.candidates, self.trusted = candidates, trusted
        self.learned = [int(j) for j in np.flatnonzero(np.isnan(candidates.price(tried.codes[:1])[0][0]))]
        self.known = [j for j in range(tried.values.shape[1]) if j not in self.learned]
        self._seen = tried.values[:, self.known], candidates.describe(tried.codes)
        features = self._features(Points(tried.codes, tried.values))
        believed = tried.values.copy()
        worst = None if reference is None else candidates.signs * reference
        bends = np.append(candidates.decisions.bends, np.zeros(len(self.known), dtype=bool))
        self.models: list[Surrogate] = []
        self.logs: list[int] = []  # objectives whose logarithm is learned
        self.lines: list[tuple[Array, Array] | None] = []  # of what trusted descriptors promise, on the model's scale
        for j in self.learned:
            sign, told = candidates.signs[j], candidates.signs[j] * tried.values[tried.done, j]
            scale = choose_scale(told, bool(sign < 0))
            model = _model(j, features, scale.learned(told), tried.done, fits, self.trends, bends)
            self.models.append(model)
            line = self._line(model, features[tried.done], tried.codes[tried.done]) if trusted and scale.share else None
            self.lines.append(line)
            believed[:, j] = scale.lost(self._believed(len(self.models) - 1, features, tried.codes)[0])
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
        for i, j in enumerate(self.learned):
            mean[:, j], deviation[:, j] = self._believed(i, features, points.codes)
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
        if not descriptors.shape[1]:
            return 0
        bends = int(self.candidates.decisions.bends.sum())
        return 2 * bends + (0 if self.trusted else costs.shape[1] + descriptors.shape[1])

    def _believed(self, which: int, features: Array, codes: Array) -> tuple[Array, Array]:
        """Mean and deviation (n,) of a learned objective, with what descriptors promise as far as they are trusted."""
        mean, deviation = self.models[which].predict(features)
        if (line := self.lines[which]) is not None:
            promised = (line[0] + line[1] * self._described(codes)).mean(axis=1)
            mean = (1 - self.trusted) * mean + self.trusted * promised
        return mean, deviation

    def _line(self, model: Surrogate, features: Array, codes: Array) -> tuple[Array, Array]:
        """Offset and slope (p,) that bring descriptors to the mean and the deviation of what is believed of `codes`."""
        believed, told = model.predict(features)[0], self._described(codes)
        spread = told.std(axis=0)
        slope = -np.divide(believed.std(), spread, out=np.zeros_like(spread), where=spread > 0)
        return believed.mean() - slope * told.mean(axis=0), slope

    def _described(self, codes: Array) -> Array:
        """Descriptors (n, p), as they are learned from."""
        return on_scale(self.candidates.describe(codes), self._seen[1], LEAST)

    def _features(self, points: Points) -> Array:
        """The choices and the known objectives (n, k), and with descriptors the trends.

        These are a parabola of each number that may bend, and the known objectives again and the descriptors, unless
        the latter are trusted. Objectives and descriptors are in logarithms of which all tried are positive.
        """
        costs, descriptors = self._seen
        logs = on_scale(points.values[:, self.known], costs, 1e-3)
        features = [self.candidates.decisions.features(points.codes), logs]
        if descriptors.shape[1]:
            bent = 2 * features[0][:, self.candidates.decisions.bends] - 1
            features += [bent, bent**2]
            if not self.trusted:
                features += [logs, self._described(points.codes)]
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
