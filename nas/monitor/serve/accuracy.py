"""Accuracy without labels: from what the network's scores and features on some frames look like.

Confident Optimal Transport (Lu et al., "Characterizing Out-of-Distribution Error via Optimal Transport", NeurIPS 2023)
beside average confidence after temperature scaling (Guo et al., ICML 2017), Average Thresholded Confidence (Garg et
al., ICLR 2022), energy, entropy and distances of features. A ridge regression weighs them; the workstation fitted it on
validation images under synthetic corruptions, and what it misses on a family of these that it has not seen is the error
that an estimate is given.
"""

from __future__ import annotations

from typing import Any, Mapping, NamedTuple

import numpy as np

WINDOW = 500
FEWEST = 200  # frames of an estimate that is to be trusted
MOST_CLASSES = 100  # up to which transport is computed: with more, 500 frames say nothing of the mix of classes
NAMES = ("transport", "confidence", "thresholded", "energy", "entropy", "distance", "mix", "named mix")
MEANS = (1, 2, 3, 4, 5)  # plain means over frames: they assume nothing of the mix of classes, nor of how many there are
OUTSIDE = 0.5  # deviations beyond the synthetic corruptions' range at which an estimate is not to be trusted
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
    """Of each frame: probabilities (n, classes) after temperature scaling, energy (n,), and the logarithm of the
    features' squared distance (n,) from the mean of the named class, in deviations; None without features.
    """

    probabilities: np.ndarray
    energy: np.ndarray
    distance: np.ndarray | None

    def last(self, count: int) -> Frames:
        away = None if self.distance is None else self.distance[-count:]
        return Frames(self.probabilities[-count:], self.energy[-count:], away)


def softmax(scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities (n, classes), and the logarithm of the sum of powers (n,), of scores (n, classes)."""
    largest = scores.max(axis=1, keepdims=True)
    powers = np.exp(scores - largest)
    total = powers.sum(axis=1, keepdims=True)
    return powers / total, (largest + np.log(total))[:, 0]


def statistics(frames: Frames, prior: np.ndarray, threshold: float) -> np.ndarray:
    """What the regression weighs, `NAMES`, float64 (8,)."""
    p = frames.probabilities
    surest = p.max(axis=1)
    named = np.bincount(p.argmax(axis=1), minlength=len(prior)) / len(p)
    moved = 1 - surest.mean() if len(prior) > MOST_CLASSES else transport(1 - p, prior)[0]
    entropy = -(p * np.log(p + 1e-12)).sum(axis=1).mean()
    away = 0.0 if frames.distance is None else float(frames.distance.mean())
    return np.array(
        [
            1 - moved, surest.mean(), (surest > threshold).mean(), frames.energy.mean(), entropy, away,
            0.5 * np.abs(p.mean(axis=0) - prior).sum(), 0.5 * np.abs(named - prior).sum(),
        ]
    )  # fmt: skip


def transport(cost: np.ndarray, capacity: np.ndarray) -> tuple[float, np.ndarray]:
    """The least mean cost of sending n images to k classes that take the shares `capacity` (k,) of them, and the
    images' parts (n,) in it, whose mean it is.

    `cost` (n, k) is from 0 to 1. Semi-discrete transport: the dual has a price for each class, found by Newton's method
    on a smoothed dual; the value is that of the exact dual at those prices, which is at most the least cost, and on
    windows of 500 within 0.002 of it.
    """
    count, classes = cost.shape
    price = np.zeros(classes)
    for smoothing in SMOOTHING:
        for _ in range(STEPS):
            shares, _ = softmax((price - cost) / smoothing)
            gap = capacity - shares.mean(axis=0)
            if np.abs(gap).max() < 1e-3:
                break
            curve = (np.diag(shares.mean(axis=0)) - shares.T @ shares / count) / smoothing
            step = np.linalg.solve(curve + 1e-3 * np.eye(classes), gap)
            price = price + step * min(1.0, 3 * smoothing / (np.abs(step).max() + 1e-12))
    parts = (cost - price).min(axis=1) + float(capacity @ price)
    return float(parts.mean()), parts


class Estimator:
    """`reference` holds, as `nas.monitor.reference` writes them: accuracy (), temperature (), threshold (), prior
    (classes,); for `mixed`, which weighs all statistics, and `plain`, which weighs means alone: weights (s + 1,), the
    last one added, middle and scale (s,), lowest and highest (s,) that were seen, error () that 95% of the left-out
    corruptions stay within, and spread () of one frame's part.
    """

    def __init__(self, reference: Mapping[str, np.ndarray]) -> None:
        self.accuracy, self.temperature = float(reference["accuracy"]), float(reference["temperature"])
        self.threshold, self.prior = float(reference["threshold"]), np.asarray(reference["prior"], np.float64)
        self.usual_mix = float(reference["usual_mix"])  # of the named classes' distance from the prior
        self.models = {
            name: {key[len(name) + 1 :]: np.asarray(value) for key, value in reference.items() if key.startswith(name)}
            for name in ("mixed", "plain")
        }
        self.seen = "mixed/distance" not in reference or bool(reference["mixed/distance"])

    def frames(self, scores: np.ndarray, distance: np.ndarray | None) -> Frames:
        """Of scores (n, classes) as the network gives them."""
        return self.frames_at(scores, distance if self.seen else None, self.temperature)

    @staticmethod
    def frames_at(scores: np.ndarray, distance: np.ndarray | None, temperature: float) -> Frames:
        probabilities, energy = softmax(scores.astype(np.float64) / temperature)
        return Frames(probabilities, energy, distance)

    def mix(self, frames: Frames) -> float:
        """How far the named classes are from the mix in validation, from 0 to 1."""
        named = np.bincount(frames.probabilities.argmax(axis=1), minlength=len(self.prior)) / len(frames.energy)
        return float(0.5 * np.abs(named - self.prior).sum())

    def estimate(self, frames: Frames, *, mixed: bool) -> Estimate:
        """With `mixed` frames are taken to have classes in the mix of validation images."""
        found = statistics(frames, self.prior, self.threshold)
        model = self.models["mixed" if mixed else "plain"]
        used = found if mixed else found[list(MEANS)]
        z = (used - model["middle"]) / model["scale"]
        if frames.distance is None and self.seen:
            z[(NAMES if mixed else [NAMES[n] for n in MEANS]).index("distance")] = 0.0
        inside = np.clip(z, model["lowest"], model["highest"])
        accuracy = float(np.clip(inside @ model["weights"][:-1] + model["weights"][-1], 0.0, 1.0))
        count = len(frames.energy)
        error = float(np.hypot(model["error"], TAIL * model["spread"] * np.sqrt(max(1 / count - 1 / WINDOW, 0.0))))
        trusted = count >= FEWEST and bool(np.abs(z - inside).max() <= OUTSIDE)
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
