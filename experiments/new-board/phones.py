"""What the phones' timings allow: how well 3,200 networks of the very phone predict the other 800, and why no better.

    python phones.py fbnet_latency_ms.csv

Prints, for each phone (and a GPU to compare with), five-fold cross-validated Spearman and mean error of a sum of
blocks, and of boosted trees that add interactions of the 22 layers to it; then the correlation between the sum's
relative errors of networks measured one after the other (they are random, so an error of the sum itself gives 0), and
the mean error that rounding to whole milliseconds alone would make.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from new_board import PHONES, bare, read
from scipy.stats import spearmanr
from sklearn.ensemble import HistGradientBoostingRegressor

from nas.device.fit.blocks import solve
from nas.device.fit.held_out import random_folds


def main(path: Path) -> None:
    networks, latency = read(path, "fbnet")
    uses = bare(networks).uses(networks)
    ops = np.genfromtxt(path, delimiter=",", skip_header=1)[:, 1:23].astype(int)
    print("| | sum: Spearman, error % | with interactions | errors of neighbours | rounding, error % |")
    print("|---|---|---|---|---|")
    for device in (*PHONES, "titanxp_1"):
        cost = latency[device]
        total, trees = np.zeros(len(cost)), np.zeros(len(cost))
        for fold in random_folds(len(cost), 0):
            rest = np.setdiff1d(np.arange(len(cost)), fold)
            table = solve(uses[rest], cost[rest])
            total[fold] = uses[fold] @ table
            model = HistGradientBoostingRegressor(
                loss="absolute_error",
                max_iter=150,
                learning_rate=0.05,
                categorical_features=list(range(22)),
                random_state=0,
            )
            model.fit(ops[rest], cost[rest] / (uses[rest] @ table))
            trees[fold] = total[fold] * model.predict(ops[fold])
        off = cost / total - 1
        whole = bool((cost == np.round(cost)).all())
        rounding = float(np.mean(np.abs(np.round(total) / total - 1))) if whole else 0.0
        cells = [
            f"{spearmanr(found, cost).statistic:.3f}, {100 * np.mean(np.abs(found / cost - 1)):.1f}"
            for found in (total, trees)
        ]
        ranks = spearmanr(off[1:], off[:-1]).statistic
        print(f"| {device} | {cells[0]} | {cells[1]} | {ranks:.2f} | {100 * rounding:.1f} |", flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
