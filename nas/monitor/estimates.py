"""The reference of the estimate of accuracy: temperature, threshold, and a regression on images under shifts.

Its error is that on families of shifts that were left out in turn.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from nas.monitor.serve.accuracy import MEANS, NAMES, WINDOW, Estimator, softmax, statistics
from nas.monitor.serve.watch import coordinates_of, distance_of

if TYPE_CHECKING:
    from nas.monitor.reference import Ran

TEMPERATURES = np.geomspace(0.25, 8, 61)
PENALTY = 10.0  # of the ridge
CLEAN_WINDOWS = 14  # of validation images as they are
BEYOND = 0.3  # deviations beyond what was seen that the regression may go
SHARE = 0.95
LEAST_ERROR = 0.02
Rows = list[tuple[str, np.ndarray, float]]  # family, statistics, accuracy


def accuracy_reference(
    clean: Ran, shifted: Sequence[tuple[str, int, Ran]], classes: int, basis: np.ndarray | None,
    chart: dict[str, np.ndarray] | None, *, seed: int = 0,
) -> dict[str, np.ndarray]:  # fmt: skip
    """What `nas.monitor.serve.accuracy.Estimator` needs. `chart` is the reference of the features' chart."""
    right = clean.predicted == clean.labels
    accuracy = float(right.mean())
    temperature = temperature_of(clean.scores, clean.labels)
    surest = softmax(clean.scores.astype(np.float64) / temperature)[0].max(axis=1)
    prior = (np.bincount(clean.labels, minlength=classes) + 0.5) / (len(clean.labels) + 0.5 * classes)
    found: dict[str, np.ndarray] = {
        "accuracy": np.array(accuracy), "temperature": np.array(temperature), "prior": prior,
        "threshold": np.array(np.quantile(surest, 1 - accuracy)), "mixed/distance": np.array(chart is not None),
    }  # fmt: skip
    rows = with_window(clean, shifted, found, basis, chart, seed=seed)
    named = NAMES.index("named mix")
    found["usual_mix"] = np.array(np.quantile([row[1][named] for row in rows if not row[0]], SHARE))
    for name, columns in (("mixed", list(range(len(NAMES)))), ("plain", list(MEANS))):
        for key, value in _fitted(rows, columns).items():
            found[f"{name}/{key}"] = value
        spread = np.sqrt(accuracy * (1 - accuracy))
        found[f"{name}/spread"] = np.array(spread)
    return found


def temperature_of(scores: np.ndarray, labels: np.ndarray) -> float:
    """That of the least negative log likelihood (Guo et al., ICML 2017)."""
    at = np.arange(len(labels))

    def loss(temperature: float) -> float:
        scaled = scores.astype(np.float64) / temperature
        return float((softmax(scaled)[1] - scaled[at, labels]).mean())

    return float(min(TEMPERATURES, key=loss))


def with_window(
    clean: Ran, shifted: Sequence[tuple[str, int, Ran]], found: dict[str, np.ndarray], basis: np.ndarray | None,
    chart: dict[str, np.ndarray] | None, *, seed: int,
) -> Rows:  # fmt: skip
    """Statistics and accuracy of windows: of validation images as they are (family ""), and under each shift."""
    prior, threshold = found["prior"], float(found["threshold"])

    def row(family: str, ran: Ran, drawn: np.ndarray) -> tuple[str, np.ndarray, float]:
        away = None
        if ran.features is not None and basis is not None and chart is not None:
            values = coordinates_of(ran.features[drawn], ran.scores[drawn], basis)
            away = distance_of(values, ran.predicted[drawn], chart["means"], chart["scale"])
        frames = Estimator.frames_at(ran.scores[drawn], away, float(found["temperature"]))
        right = float((ran.predicted[drawn] == ran.labels[drawn]).mean())
        return family, statistics(frames, prior, threshold), right

    rng = np.random.default_rng(seed)
    size = min(WINDOW, len(clean.labels))
    rows = [row("", clean, rng.permutation(len(clean.labels))[:size]) for _ in range(CLEAN_WINDOWS)]
    return rows + [row(family, ran, np.arange(len(ran.labels))) for family, _, ran in shifted]


def _fitted(rows: Rows, columns: list[int]) -> dict[str, np.ndarray]:
    fit = _ridge(rows, columns)
    missed = []
    for family in dict.fromkeys(row[0] for row in rows):
        left = [row for row in rows if row[0] != family] if family else rows
        predict = _predict(_ridge(left, columns), columns)
        missed += [abs(predict(row[1]) - row[2]) for row in rows if row[0] == family]
    return fit | {"error": np.array(max(LEAST_ERROR, float(np.quantile(missed, SHARE))))}


def _ridge(rows: Rows, columns: list[int]) -> dict[str, np.ndarray]:
    x = np.array([row[1][columns] for row in rows])
    y = np.array([row[2] for row in rows])
    middle, scale = x.mean(axis=0), np.maximum(x.std(axis=0), 1e-6)
    z = (x - middle) / scale
    weights = np.linalg.solve(z.T @ z + PENALTY * np.eye(len(columns)), z.T @ (y - y.mean()))
    return {
        "weights": np.append(weights, y.mean()), "middle": middle, "scale": scale,
        "lowest": z.min(axis=0) - BEYOND, "highest": z.max(axis=0) + BEYOND,
    }  # fmt: skip


def _predict(fit: dict[str, np.ndarray], columns: list[int]) -> Callable[[np.ndarray], float]:
    def predicted(found: np.ndarray) -> float:
        z = np.clip((found[columns] - fit["middle"]) / fit["scale"], fit["lowest"], fit["highest"])
        return float(np.clip(z @ fit["weights"][:-1] + fit["weights"][-1], 0, 1))

    return predicted
