"""Networks held out of a fit: the error on them, beside that of a constant and of a line through the MACs."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from nas.device.baselines import by_macs, by_median
from nas.device.tables.validation import HeldOutError
from nas.space.layer import Precision

FOLDS = 5
SEEDS = 5

Folds = Sequence[np.ndarray]  # indices of the networks that are left out together; all of them in some fold
Predictor = Callable[[np.ndarray, np.ndarray], np.ndarray]  # rows to fit, rows wanted: costs of the rows wanted


def random_folds(n: int, seed: int) -> Folds:
    """Fifths of n networks, at random."""
    order = np.random.default_rng(seed).permutation(n)
    return [order[fold::FOLDS] for fold in range(FOLDS)]


def check(
    predictor: Predictor, cost: np.ndarray, macs: np.ndarray, foldings: Sequence[Folds],
    precision: Precision, quantity: str, split: str,
) -> tuple[HeldOutError, np.ndarray]:  # fmt: skip
    """The errors over all foldings, and the predictions of the first, (n,).

    `cost` (n,) in ms or mJ, above 0; `macs` (n,) of the same networks, in any unit. Nothing is fitted for a folding's
    fold that holds all networks; its predictions are 0.
    """
    from scipy.stats import spearmanr

    def predictions(predictor: Predictor, folds: Folds) -> np.ndarray:
        predicted = np.zeros(len(cost))
        for fold in folds:
            rest = np.setdiff1d(np.arange(len(cost)), fold)
            if len(rest):
                predicted[fold] = predictor(rest, fold)
        return predicted

    def errors(predicted: Sequence[np.ndarray]) -> np.ndarray:
        return np.array([np.mean(np.abs(p / cost - 1)) for p in predicted])

    ours = [predictions(predictor, folds) for folds in foldings]
    baselines: tuple[Predictor, ...] = (
        lambda rest, wanted: by_median(cost[rest], len(wanted)),
        lambda rest, wanted: by_macs(macs[rest], cost[rest], macs[wanted]),
    )
    constant, line = (errors([predictions(p, f) for f in foldings]).mean() for p in baselines)
    alike = not np.ptp(ours[0]) or not np.ptp(cost)
    rank = float("nan") if alike else float(spearmanr(ours[0], cost).statistic)
    figures = (float(x) for x in (errors(ours).mean(), errors(ours).std(), rank, constant, line))
    return HeldOutError(precision, quantity, split, len(cost), *figures), ours[0]
