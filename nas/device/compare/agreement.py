"""How near predicted costs of whole networks lie to measured ones, beside what a constant and the MACs would reach."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from nas.device.baselines import by_macs, by_median

FEW = 4  # networks; below that, a baseline or a rank correlation says nothing
ROUNDING = 1e-9  # 33 ms for 30 ms is 10% off, in floating point a little more


@dataclass(frozen=True, slots=True)
class Agreement:
    """Predictions against measurements of n networks. Errors and shares are fractions; None where n is below 4.

    `mean` is the mean absolute error relative to what was measured, `within_5` and `within_10` the shares of networks
    whose error is at most so many per cent, `ratio` the median of measured over predicted: above 1, the predictions
    are too low; `scaled` is the mean error once they are multiplied by it, which a machine that merely ran at another
    speed leaves small. The baselines never see the network that they are checked on: `constant` is the median of all
    the others, `macs` a straight line through the others' MACs.
    """

    networks: int
    mean: float
    within_5: float
    within_10: float
    ratio: float
    scaled: float
    spearman: float | None
    kendall: float | None
    constant: float | None
    macs: float | None


def agreement(predicted: Sequence[float], measured: Sequence[float], macs: Sequence[float]) -> Agreement:
    """Compares costs of n networks, n above 0, in the order of all three: ms or mJ, all above 0; MACs in any unit."""
    found, wanted, work = (np.asarray(x, dtype=float) for x in (predicted, measured, macs))
    off = np.abs(found / wanted - 1)
    few, ratio = len(wanted) < FEW, float(np.median(wanted / found))
    return Agreement(
        len(wanted), float(off.mean()), float(np.mean(off <= 0.05 + ROUNDING)), float(np.mean(off <= 0.10 + ROUNDING)),
        ratio, float(np.mean(np.abs(ratio * found / wanted - 1))),
        None if few else _rank("spearmanr", found, wanted), None if few else _rank("kendalltau", found, wanted),
        None if few else _left_out(wanted, lambda rest, i: by_median(wanted[rest], 1)),
        None if few else _left_out(wanted, lambda rest, i: by_macs(work[rest], wanted[rest], work[i : i + 1])),
    )  # fmt: skip


def rank_correlation(first: Sequence[float], second: Sequence[float]) -> float | None:
    """Spearman's; None where there are fewer than 4, or one of the two is constant."""
    if len(first) < FEW:
        return None
    return _rank("spearmanr", np.asarray(first, dtype=float), np.asarray(second, dtype=float))


def _rank(name: str, first: np.ndarray, second: np.ndarray) -> float | None:
    from scipy import stats  # late: it loads for a third of a second

    if not np.ptp(first) or not np.ptp(second):
        return None
    value = float(getattr(stats, name)(first, second).statistic)
    return value if math.isfinite(value) else None


def _left_out(cost: np.ndarray, predict: Callable[[np.ndarray, int], np.ndarray]) -> float:
    """The mean absolute error when each of `cost` (n,) is predicted from the rows of the others."""
    rows = np.arange(len(cost))
    guesses = np.concatenate([predict(np.delete(rows, i), i) for i in range(len(cost))])
    return float(np.mean(np.abs(guesses / cost - 1)))
