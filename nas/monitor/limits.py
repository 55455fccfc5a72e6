"""The reference of a chart: means by class, metrics and limits, from statistics of validation images.

Limits are set by simulation: streams are drawn from the images anew, independent ones and ones with classes in runs of
50, and the limit is the value that a stream passes as seldom as was asked.
"""

from __future__ import annotations

import numpy as np

from nas.monitor.serve.charts import GROUP, MOST_APART, QUANTILE

FALSE_ALARMS = 0.25, 0.5  # per 10,000 frames, of independent images and of runs: well below 1 and 5
RUN = 50  # images of one class, one after the other
STREAMS, LENGTH = 256, 2000  # that are simulated, and frames in each
BLOCK = 500  # frames, of which the largest value counts
BETWEEN = 0.5  # of the way from independent images to runs: a third metric
SHRUNK = 10.0  # images' worth that a class's mean is drawn to the mean of all
LEAST_SCALE = 0.01
RIDGE = 0.02
WARM_UP = 200  # frames in which the weighted mean grows


def chart_reference(
    values: np.ndarray, predicted: np.ndarray, labels: np.ndarray, classes: int, *, weight: float, seed: int = 0
) -> dict[str, np.ndarray]:
    """What `nas.monitor.serve.charts.Chart` needs, of statistics (n, k) and the predicted and the true classes (n,)."""
    rng = np.random.default_rng(seed)
    overall = values.mean(axis=0)
    means = np.tile(overall, (classes, 1))
    for c in range(classes):
        own = values[predicted == c]
        means[c] = (own.sum(axis=0) + SHRUNK * overall) / (len(own) + SHRUNK)
    left = values - means[predicted]
    scale = np.maximum(left.std(axis=0), LEAST_SCALE)
    apart = np.clip(left / scale, -MOST_APART, MOST_APART)
    center = apart.mean(axis=0)
    apart = apart - center
    size = apart.shape[1]
    alone = weight / (2 - weight) * (apart.T @ apart / len(apart) + RIDGE * np.eye(size))
    by_class = [np.flatnonzero(labels == c) for c in range(classes)]
    runs = [own for own in by_class if len(own)]
    ends = np.concatenate([path[:, -1] for path in _paths(apart, runs, weight, rng)])
    together = ends.T @ ends / len(ends) + weight / (2 - weight) * RIDGE * np.eye(size)
    metrics = np.stack([np.linalg.inv(alone + far * (together - alone)) for far in (0.0, BETWEEN, 1.0)])
    low, usual_low = _limit(apart, None, weight, metrics[0], FALSE_ALARMS[0], rng)
    high, usual_high = _limit(apart, runs, weight, metrics[2], FALSE_ALARMS[1], rng)
    return {
        "weight": np.array(weight), "means": means.astype(np.float32), "scale": scale, "center": center,
        "metric": metrics, "limit": np.array([low, (low + high) / 2, high]),
        "typical": np.array([usual_low, (usual_low + usual_high) / 2, usual_high]),
    }  # fmt: skip


def _limit(
    apart: np.ndarray, runs: list[np.ndarray] | None, weight: float, metric: np.ndarray, rate: float,
    rng: np.random.Generator,
) -> tuple[float, float]:  # fmt: skip
    """What T2 passes in a share of the blocks that makes `rate` alarms in 10,000 frames, and its 95% quantile."""
    largest, ends = [], []
    for path in _paths(apart, runs, weight, rng):
        values = np.einsum("sgi,ij,sgj->sg", path, metric, path)
        largest.append(values.max(axis=1))
        ends.append(values[:, -1])
    per_block = BLOCK // GROUP
    blocks = len(largest) // per_block
    tops = np.array(largest[: blocks * per_block]).reshape(blocks, per_block, -1).max(axis=1).ravel()
    return float(np.quantile(tops, 1 - rate * BLOCK / 10_000)), float(np.quantile(np.array(ends), QUANTILE))


def _paths(
    apart: np.ndarray, runs: list[np.ndarray] | None, weight: float, rng: np.random.Generator
) -> list[np.ndarray]:
    """The weighted means of many streams, group after group: float64 (streams, 16, k) each."""
    ages = np.arange(GROUP)
    fade = (1 - weight) ** (ages + 1.0)[:, None]
    spread = np.where(ages[:, None] >= ages, weight * (1 - weight) ** np.maximum(ages[:, None] - ages, 0.0), 0.0)
    z, paths = np.zeros((STREAMS, apart.shape[1])), []
    phase = rng.integers(0, RUN, STREAMS)  # where each stream's first run has come to
    which = rng.integers(0, len(runs), STREAMS) if runs else phase
    lengths = np.array([len(own) for own in runs]) if runs else np.empty(0)
    flat, starts = (np.concatenate(runs), np.cumsum(lengths) - lengths) if runs else (phase, phase)
    for start in range(0, LENGTH, GROUP):
        if runs:
            drawn = np.empty((STREAMS, GROUP), np.int64)
            for n in range(GROUP):
                new = (phase + start + n) % RUN == 0
                which = np.where(new, rng.integers(0, len(runs), STREAMS), which)
                drawn[:, n] = flat[starts[which] + (rng.random(STREAMS) * lengths[which]).astype(np.int64)]
        else:
            drawn = rng.integers(0, len(apart), (STREAMS, GROUP))
        path = np.matmul(spread, apart[drawn]) + fade * z[:, None]
        z = path[:, -1]
        if start >= WARM_UP:
            paths.append(path)
    return paths
