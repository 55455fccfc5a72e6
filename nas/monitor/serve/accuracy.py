"""Accuracy without labels: from what the network's scores and features on some frames look like.

A shift changes scores in ways that all frames share: it moves them, flattens them, makes some classes likelier. Undoing
that, without labels, gives each frame a second opinion; how far it agrees with the class that was named follows the
accuracy far better than the network's own sureness does. Scores are recolored, to the mean and covariance that they
have on validation images (CORAL, Sun et al., AAAI 2016), and matched to the mix of classes there by Sinkhorn's
iterations (Cuturi, NeurIPS 2013), after temperature scaling (Guo et al., ICML 2017). A ridge regression, fitted on
validation images under synthetic shifts, makes an accuracy of it; what it misses on a family of shifts that was left
out is the error that an estimate is given.

All this takes the classes to come in the mix of validation images; a second regression, on confidence, entropy and
distances of features, does not, and is less exact. A network whose batch norms were adapted is surer than it was at the
same accuracy: it has a regression of its own.
"""

from __future__ import annotations

from typing import Any, Mapping, NamedTuple

import numpy as np

WINDOW = 500
FEWEST = 200  # frames of an estimate that is to be trusted
MOST_CLASSES = 100  # up to which scores are matched: with more, 500 frames say nothing of the mix of classes
NAMES = ("agreement", "sureness", "mix", "confidence", "entropy", "distance")
MIXED, PLAIN = (0, 1, 2), (3, 4, 5)  # what the two regressions weigh
MUCH = 0.2  # of the accuracy: from this loss on an estimate has the whole error of large losses
OUTSIDE = 0.5  # deviations beyond the synthetic shifts' range at which an estimate is not to be trusted
FLOOR = 1e-3  # of a probability: logarithms of smaller ones are mostly noise, and a state does not keep them
PRIOR_FRAMES = 2  # of validation images for each class, that a window's covariance is mixed with
LEAST_VARIANCE = 1e-3  # of the mean one, that every direction of scores is given
ROUNDS = 20  # of Sinkhorn's iterations
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


class Usual(NamedTuple):
    """Of validation images: their mix of classes (classes,), and mean (classes,) and covariance (classes, classes) of
    the `logarithms` of their probabilities.
    """

    mix: np.ndarray
    mean: np.ndarray
    covariance: np.ndarray


def logarithms(probabilities: np.ndarray) -> np.ndarray:
    """Of probabilities (n, classes), around zero in each frame."""
    found = np.log(np.maximum(probabilities, FLOOR))
    return np.asarray(found - found.mean(axis=1, keepdims=True), np.float64)


def usual_of(probabilities: np.ndarray, mix: np.ndarray) -> Usual:
    """What is usual, of the probabilities (n, classes) of validation images."""
    logs = logarithms(probabilities)
    apart = logs - logs.mean(axis=0)
    return Usual(mix, logs.mean(axis=0), apart.T @ apart / len(logs))


def recolored(probabilities: np.ndarray, usual: Usual) -> np.ndarray:
    """The `logarithms` (n, classes), with the mean and covariance over the frames that are usual.

    Few frames do not tell a covariance of many classes, so that of a window is mixed with the usual one.
    """
    own = usual_of(probabilities, usual.mix)
    size = max(float(np.trace(usual.covariance)), 1e-9)
    stretched = max(float(np.trace(own.covariance)) / size, 1e-9)
    even = LEAST_VARIANCE * size / len(usual.mix) * np.eye(len(usual.mix))
    share = PRIOR_FRAMES * len(usual.mix) / len(probabilities)
    mixed = (own.covariance + share * stretched * usual.covariance) / (1 + share) + stretched * even
    apart = logarithms(probabilities) - own.mean
    return np.asarray(apart @ _power(mixed, -0.5) @ _power(usual.covariance + even, 0.5) + usual.mean)


def _power(symmetric: np.ndarray, exponent: float) -> np.ndarray:
    """Of a positive definite matrix."""
    values, vectors = np.linalg.eigh(symmetric)
    return np.asarray((vectors * values**exponent) @ vectors.T)


def matched(scores: np.ndarray, mix: np.ndarray) -> np.ndarray:
    """Probabilities (n, classes) of scores to which a number is added for each class, so that their mean is `mix`."""
    powers = np.exp(scores - scores.max(axis=1, keepdims=True))
    weights = np.ones(len(mix))
    for _ in range(ROUNDS):
        weights = mix / np.maximum((1 / (powers @ weights)) @ powers / len(powers), 1e-30)
    found = powers * weights
    return np.asarray(found / found.sum(axis=1, keepdims=True))


def statistics(frames: Frames, usual: Usual) -> np.ndarray:
    """What the regressions weigh, `NAMES`, float64 (6,)."""
    p = frames.probabilities
    surest = p.max(axis=1).mean()
    agreement, sureness, mix = surest, surest, 0.0
    if len(usual.mix) <= MOST_CLASSES:
        again = matched(recolored(p, usual), usual.mix)
        agreement, sureness = again[np.arange(len(p)), p.argmax(axis=1)].mean(), again.max(axis=1).mean()
        mix = 0.5 * np.abs(p.mean(axis=0) - usual.mix).sum()
    entropy = -(p * np.log(p + 1e-12)).sum(axis=1).mean()
    away = 0.0 if frames.distance is None else frames.distance.mean()
    return np.array([agreement, sureness, mix, surest, entropy, away], np.float64)


class Estimator:
    """`reference` holds, as `nas.monitor.estimates` writes them: accuracy (), temperature (), prior, mean (classes,)
    and covariance (classes, classes), a `Usual`; usual_mix (), seen (), whether there are features; middle, scale,
    lowest and highest (6,) of the statistics; and for `mixed`, `plain` and, where it can be adapted, `adapted` weights
    (7,), the last one added, and error (2,), that 95% of the left-out shifts stayed within: of all, and of those under
    which much is lost.
    """

    def __init__(self, reference: Mapping[str, np.ndarray]) -> None:
        self.accuracy, self.temperature = float(reference["accuracy"]), float(reference["temperature"])
        self.prior, self.seen = np.asarray(reference["prior"], np.float64), bool(reference["seen"])
        self.usual = Usual(self.prior, *(np.asarray(reference[name], np.float64) for name in ("mean", "covariance")))
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
        z = (statistics(frames, self.usual) - self.middle) / self.scale
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
