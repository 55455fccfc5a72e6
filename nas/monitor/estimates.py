"""The reference of the estimate of accuracy: temperature, and regressions on validation images under shifts.

Their error is that on families of shifts that were left out in turn.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from nas.monitor.serve.accuracy import (
    MIXED,
    MOST_CLASSES,
    NAMES,
    PLAIN,
    WINDOW,
    Frames,
    Usual,
    softmax,
    statistics,
    usual_of,
)
from nas.monitor.serve.watch import coordinates_of, distance_of

if TYPE_CHECKING:
    from nas.monitor.ran import Ran

TEMPERATURES = np.geomspace(0.25, 8, 61)
PENALTY = 1.0  # of the ridges
CLEAN_WINDOWS = 14  # of validation images as they are
BEYOND = 0.3  # deviations beyond what was seen that the regression may go
SHARE = 0.95  # of clean windows' mixes
DEVIATIONS = 2.4  # of the errors, in an interval of 95%: Student's, for the few families that they come from
LARGE, FEWEST_LARGE = 0.1, 8  # of the accuracy that is lost, and windows that the error of such losses is taken from
LEAST_ERROR = 0.02
LEAST_SCALE = 1e-3
USUAL = 1.25  # times what 95% of windows of validation images stay within
Rows = list[tuple[str, np.ndarray, float]]  # family, statistics, accuracy


def accuracy_reference(
    clean: Ran, shifted: Sequence[tuple[str, int, Ran]], classes: int, basis: np.ndarray | None,
    chart: dict[str, np.ndarray] | None, *, adapted: Sequence[tuple[str, int, Ran]] = (), seed: int = 0,
) -> dict[str, np.ndarray]:  # fmt: skip
    """What `nas.monitor.serve.accuracy.Estimator` needs. `chart` is the reference of the features' chart; `adapted`
    what networks that were adapted to shifts gave for their images.
    """
    temperature = temperature_of(clean.scores, clean.labels)
    prior = (np.bincount(clean.labels, minlength=classes) + 0.5) / (len(clean.labels) + 0.5 * classes)
    usual = usual_of(softmax(clean.scores.astype(np.float64) / temperature), prior)
    rows = windows_of(clean, shifted, temperature, usual, basis, chart, seed=seed)
    surer = windows_of(None, adapted, temperature, usual, None, None, seed=seed)
    every = np.array([row[1] for row in rows])
    middle, scale = every.mean(axis=0), np.maximum(every.std(axis=0), LEAST_SCALE)
    z = (np.array([row[1] for row in rows + surer]) - middle) / scale
    mixes = [row[1][NAMES.index("mix")] for row in rows if not row[0]]
    kept = slice(None) if classes <= MOST_CLASSES else slice(0)  # of more classes they are not used
    found: dict[str, np.ndarray] = {
        "accuracy": np.array((clean.predicted == clean.labels).mean()), "temperature": np.array(temperature),
        "prior": prior, "mean": usual.mean[kept], "covariance": usual.covariance[kept, kept],
        "seen": np.array(chart is not None), "usual_mix": np.array(USUAL * np.quantile(mixes, SHARE)),
        "middle": middle, "scale": scale, "lowest": z.min(axis=0) - BEYOND, "highest": z.max(axis=0) + BEYOND,
    }  # fmt: skip
    for name, own, columns in (("mixed", rows, MIXED), ("plain", rows, PLAIN), ("adapted", surer, MIXED)):
        families = dict.fromkeys(row[0] for row in own)
        if len(families) < 2:
            continue
        missed: list[tuple[float, float]] = []  # and the accuracy that was estimated
        for family in families:
            left = [row for row in own if row[0] != family] if family else own
            without = _fit(left, found, columns)
            said = [(_predicted(without, found, row[1]), row[2]) for row in own if row[0] == family]
            missed += [(abs(value - true), value) for value, true in said]
        found[f"{name}/weights"] = _fit(own, found, columns)
        found[f"{name}/error"] = _errors(np.array(missed), float(found["accuracy"]))
    return found


def _errors(missed: np.ndarray, accuracy: float) -> np.ndarray:
    """What estimates (n, 2: their errors and values) are given as their error: of all, and of those of large losses."""
    every = max(LEAST_ERROR, DEVIATIONS * float(np.sqrt(np.square(missed[:, 0]).mean())))
    large = missed[accuracy - missed[:, 1] >= LARGE, 0]
    of_large = DEVIATIONS * float(np.sqrt(np.square(large).mean())) if len(large) >= FEWEST_LARGE else 0.0
    return np.array([every, max(every, of_large)])


def temperature_of(scores: np.ndarray, labels: np.ndarray) -> float:
    """That of the least negative log likelihood (Guo et al., ICML 2017)."""
    at = np.arange(len(labels))

    def loss(temperature: float) -> float:
        scaled = scores.astype(np.float64) / temperature
        return float(-np.log(softmax(scaled)[at, labels] + 1e-12).mean())

    return float(min(TEMPERATURES, key=loss))


def windows_of(
    clean: Ran | None, shifted: Sequence[tuple[str, int, Ran]], temperature: float, usual: Usual,
    basis: np.ndarray | None, chart: dict[str, np.ndarray] | None, *, seed: int,
) -> Rows:  # fmt: skip
    """Statistics and accuracy of windows: of validation images as they are (family ""), if given, and under shifts."""

    def row(family: str, ran: Ran, drawn: np.ndarray) -> tuple[str, np.ndarray, float]:
        away = None
        if ran.features is not None and basis is not None and chart is not None:
            values = coordinates_of(ran.features[drawn], ran.scores[drawn], basis)
            away = distance_of(values, ran.predicted[drawn], chart["means"], chart["scale"])
        frames = Frames(softmax(ran.scores[drawn].astype(np.float64) / temperature), away)
        right = float((ran.predicted[drawn] == ran.labels[drawn]).mean())
        return family, statistics(frames, usual), right

    rng = np.random.default_rng(seed)
    rows = []
    if clean is not None:
        size = min(WINDOW, len(clean.labels))
        rows = [row("", clean, rng.permutation(len(clean.labels))[:size]) for _ in range(CLEAN_WINDOWS)]
    return rows + [row(family, ran, np.arange(len(ran.labels))) for family, _, ran in shifted]


def _fit(rows: Rows, found: dict[str, np.ndarray], columns: Sequence[int]) -> np.ndarray:
    """Weights (7,) of standardized statistics, those of other columns 0, the last one added."""
    y = np.array([row[2] for row in rows])
    z = (np.array([row[1] for row in rows]) - found["middle"]) / found["scale"]
    used, at = z[:, list(columns)], list(columns)
    middle = used.mean(axis=0)
    apart = used - middle
    weights = np.zeros(z.shape[1] + 1)
    weights[at] = np.linalg.solve(apart.T @ apart + PENALTY * np.eye(len(at)), apart.T @ (y - y.mean()))
    weights[-1] = y.mean() - middle @ weights[at]
    return weights


def _predicted(weights: np.ndarray, found: dict[str, np.ndarray], statistics: np.ndarray) -> float:
    z = np.clip((statistics - found["middle"]) / found["scale"], found["lowest"], found["highest"])
    return float(np.clip(z @ weights[:-1] + weights[-1], 0, 1))
