"""Accuracy without labels: from what the network's scores and features on some frames look like.

Confident Optimal Transport (Lu et al., "Characterizing Out-of-Distribution Error via Optimal Transport", NeurIPS 2023)
after temperature scaling (Guo et al., ICML 2017). It under-estimates a strong shift, and a ridge regression that was
fitted on validation images under synthetic shifts mends that; what it misses on a family of shifts that was left out
is the error that an estimate is given. Transport takes the classes to come in the mix of validation images; a second
regression, on confidence, entropy and distances of features, does not, and is less exact. A network whose batch norms
were adapted is surer than it was at the same accuracy: it has a regression of its own.
"""

from __future__ import annotations

from typing import Any, Mapping, NamedTuple

import numpy as np

WINDOW = 500
FEWEST = 200  # frames of an estimate that is to be trusted
MOST_CLASSES = 100  # up to which transport is computed: with more, 500 frames say nothing of the mix of classes
NAMES = ("transport", "mix", "confidence", "entropy", "distance")
MIXED, PLAIN = (0, 1), (2, 3, 4)  # what the two regressions weigh
MUCH = 0.2  # of the accuracy: from this loss on an estimate has the whole error of large losses
OUTSIDE = 0.5  # deviations beyond the synthetic shifts' range at which an estimate is not to be trusted
SMOOTHING = (0.1, 0.03, 0.01)  # of the transport's dual, each begun with what the one before found
STEPS = 8  # of Newton's method, each
TAIL = 1.96


class Estimate(NamedTuple):
    """Accuracy from 0 to 1, its 95% interval, and whether it is to be trusted."""

    accuracy: float
    low: float
    high: float
    trusted: bool


class Frames(NamedTuple):
    """Of each frame: probabilities (n, classes) after temperature scaling, and the logarithm of the features' squared
    distance (n,) from the mean of the named class, in deviations; None without features.
    """

    probabilities: np.ndarray
    distance: np.ndarray | None


def softmax(scores: np.ndarray) -> np.ndarray:
    """Probabilities (n, classes) of scores (n, classes)."""
    powers = np.exp(scores - scores.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def statistics(frames: Frames, prior: np.ndarray) -> np.ndarray:
    """What the regressions weigh, `NAMES`, float64 (5,); `prior` (classes,) is the mix of classes in validation."""
    p = frames.probabilities
    surest = float(p.max(axis=1).mean())
    moved = 1 - surest if len(prior) > MOST_CLASSES else transport(1 - p, prior)[0]
    mix = 0.0 if len(prior) > MOST_CLASSES else 0.5 * np.abs(p.mean(axis=0) - prior).sum()
    entropy = -(p * np.log(p + 1e-12)).sum(axis=1).mean()
    away = 0.0 if frames.distance is None else float(frames.distance.mean())
    return np.array([1 - moved, mix, surest, entropy, away])


def transport(cost: np.ndarray, capacity: np.ndarray) -> tuple[float, np.ndarray]:
    """The least mean cost of sending n images to k classes that take the shares `capacity` (k,) of them, and the
    images' parts (n,) in it, whose mean it is.

    `cost` (n, k) is from 0 to 1. Semi-discrete transport: the dual has a price for each class, found by Newton's method
    on a smoothed dual; the value is that of the exact dual at those prices, which is at most the least cost, and on
    windows of 500 within 0.002 of it.
    """
    count, classes = cost.shape
    price, rough = np.zeros(classes), cost.astype(np.float32)  # the prices need not be exact
    for smoothing in SMOOTHING:
        for _ in range(STEPS):
            shares = softmax((price.astype(np.float32) - rough) / np.float32(smoothing))
            taken = shares.mean(axis=0, dtype=np.float64)
            gap = capacity - taken
            if np.abs(gap).max() < 1e-3:
                break
            curve = (np.diag(taken) - shares.T @ shares / count) / smoothing
            step = np.linalg.solve(curve + 1e-3 * np.eye(classes), gap)
            price = price + step * min(1.0, 3 * smoothing / (np.abs(step).max() + 1e-12))
    parts = (cost - price).min(axis=1) + float(capacity @ price)
    return float(parts.mean()), parts


class Estimator:
    """`reference` holds, as `nas.monitor.estimates` writes them: accuracy (), temperature (), prior (classes,),
    usual_mix (), seen (), whether there are features; middle, scale, lowest and highest (5,) of the statistics; and for
    `mixed`, `plain` and, where it can be adapted, `adapted` weights (6,), the last one added, and error (2,), that 95%
    of the left-out shifts stayed within: of all, and of those under which much is lost.
    """

    def __init__(self, reference: Mapping[str, np.ndarray]) -> None:
        self.accuracy, self.temperature = float(reference["accuracy"]), float(reference["temperature"])
        self.prior, self.seen = np.asarray(reference["prior"], np.float64), bool(reference["seen"])
        self.usual_mix = float(reference["usual_mix"])  # that 95% of windows of validation images stay within
        self.middle, self.scale = np.asarray(reference["middle"]), np.asarray(reference["scale"])
        self.lowest, self.highest = np.asarray(reference["lowest"]), np.asarray(reference["highest"])
        known = [name for name in ("mixed", "plain", "adapted") if f"{name}/weights" in reference]
        self.weights = {name: np.asarray(reference[f"{name}/weights"]) for name in known}
        self.errors = {name: np.atleast_1d(np.asarray(reference[f"{name}/error"], np.float64)) for name in known}

    def frames(self, scores: np.ndarray, distance: np.ndarray | None) -> Frames:
        """Of scores (n, classes) as the network gives them, and distances (n,)."""
        return Frames(softmax(scores.astype(np.float64) / self.temperature), distance if self.seen else None)

    def mix(self, frames: Frames) -> float:
        """How far the mix of classes is from that in validation, from 0 to 1."""
        return float(0.5 * np.abs(frames.probabilities.mean(axis=0) - self.prior).sum())

    def estimate(self, frames: Frames, *, mixed: bool, adapted: bool = False) -> Estimate:
        """With `mixed` the frames are taken to have classes in the mix of validation images; `adapted` are those of a
        network with other batch norms than it was deployed with, of which an estimate is trusted only with its own
        regression.
        """
        z = (statistics(frames, self.prior) - self.middle) / self.scale
        if frames.distance is None:
            z[NAMES.index("distance")] = 0.0
        inside = np.clip(z, self.lowest, self.highest)
        name = "plain" if not mixed else "adapted" if adapted and "adapted" in self.weights else "mixed"
        accuracy = float(np.clip(inside @ self.weights[name][:-1] + self.weights[name][-1], 0.0, 1.0))
        count = len(frames.probabilities)
        fewer = np.sqrt(accuracy * (1 - accuracy) * max(1 / count - 1 / WINDOW, 0.0))  # frames than it was fitted on
        few, much = self.errors[name][[0, -1]]
        lost = min(max((self.accuracy - accuracy) / MUCH, 0.0), 1.0)
        error = float(np.hypot(few + (much - few) * lost, TAIL * fewer))
        trusted = count >= FEWEST and bool(np.abs(z - inside).max() <= OUTSIDE) and adapted == (name == "adapted")
        return Estimate(accuracy, max(0.0, accuracy - error), min(1.0, accuracy + error), trusted)


class Labeled:
    """Labels of some frames tighten the estimate: a control variate.

    The estimate says for each labelled frame how likely its class is right; what the labels add is the mean of right
    less that likelihood. It is combined with none, whose deviation is the estimate's error, by their precisions.
    """

    def __init__(self, state: list[list[float]] | None = None, most: int = 400) -> None:
        self.most = most
        self.pairs = [(float(right), float(likely)) for right, likely in (state or [])][-most:]

    def state(self) -> list[list[float]]:
        return [[right, round(likely, 4)] for right, likely in self.pairs]

    def add(self, right: bool, likely: float) -> None:
        self.pairs = [*self.pairs, (float(right), min(max(likely, 0.02), 0.98))][-self.most :]

    def clear(self) -> None:
        self.pairs = []

    def tightened(self, estimate: Estimate) -> Estimate:
        if not self.pairs:
            return estimate
        right, likely = np.array(self.pairs).T
        of_labels = float((likely * (1 - likely)).mean()) / len(right)
        of_estimate = max((estimate.high - estimate.low) / (2 * TAIL), 1e-6) ** 2
        share = of_estimate / (of_estimate + of_labels)
        accuracy = float(np.clip(estimate.accuracy + share * (right - likely).mean(), 0.0, 1.0))
        error = TAIL * float(np.sqrt(of_estimate * of_labels / (of_estimate + of_labels)))
        return Estimate(accuracy, max(0.0, accuracy - error), min(1.0, accuracy + error), estimate.trusted)


def facts_of(estimate: Estimate | None) -> dict[str, Any]:
    """As a `window` line has it."""
    if estimate is None:
        return {"accuracy": None, "accuracy_low": None, "accuracy_high": None, "trusted": False}
    accuracy, low, high = (round(value, 4) for value in estimate[:3])
    return {"accuracy": accuracy, "accuracy_low": low, "accuracy_high": high, "trusted": estimate.trusted}
