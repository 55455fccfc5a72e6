"""Who knows better which network is best under a budget: short trainings, untrained scores, or both? See README.md.

    python who_decides.py nas_bench_macro.csv ../estimators [--seeds 5]

The trainings are those of 60 random networks at several fidelities (fidelities.csv). A surrogate that learned from some
of them, and a guide that learned from the recorded scores of 100 networks, each rank all 3,969; what is picked under
each budget is the best of these, or of sums of the two ranks.
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path

import numpy as np
from placement import SPACE, STRUCTURE, guides, row_of
from real_front import best_of, read_table, regrets
from scipy.stats import kendalltau, rankdata

from nas.estimate.ensemble import fit_ensemble
from nas.estimate.labels import as_target
from nas.estimate.table import of_digits
from nas.pareto import Array
from nas.run.settings import score_weight

TRAINED = 40_000  # images of one pass
LABELS = (20, 30, 60)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("table", type=Path)
    parser.add_argument("estimators", type=Path, help="the folder with fidelities.csv and macro_values.csv")
    parser.add_argument("--seeds", type=int, default=5)
    given = parser.parse_args()
    table = read_table(given.table, "raspberry-pi-4")
    features = STRUCTURE.of_networks([SPACE.network(of_digits(SPACE, arch)) for arch in table.archs])
    made = guides(table, features, given.estimators, given.seeds)
    with (given.estimators / "fidelities.csv").open() as file:
        trained = [row for row in csv.DictReader(file) if row["extra"] == "0"]

    def lost(score: Array) -> list[float]:
        regret = regrets(table, best_of(table, score))
        return [regret.mean(), regret.max(), kendalltau(score, table.truth).statistic]

    def shown(found: list[list[float]]) -> str:
        mean, worst, tau = np.mean(found, axis=0)
        return f"{mean:5.2f} / {worst:4.2f} {tau:5.2f}"

    print(f"mean and worst points lost, and tau, of all networks: mean of {given.seeds} guides and choices of labels")
    print(f"the guide alone {shown([lost(guide) for guide in made])}")
    heads = "surrogate", "guide as a feature", "equal ranks", "weighted ranks"
    print(f"{'trainings':38}{''.join(f'{head:>21}' for head in heads)}   weight")
    for recipe in dict.fromkeys(row["recipe"] for row in trained):
        of = [row for row in trained if row["recipe"] == recipe]
        if len(of) < max(LABELS):
            continue
        rows = np.array([row_of(table, row["network"]) for row in of])
        targets = as_target(np.array([float(row["accuracy"]) for row in of]))
        weight = score_weight(int(recipe.split()[0].replace(",", "")) / TRAINED)
        for labels in LABELS:
            found: list[list[list[float]]] = [[], [], [], []]
            for seed, guide in enumerate(made):
                drawn = np.random.default_rng(seed).permutation(len(rows))[:labels]
                alone = fit_ensemble(features[rows[drawn]], targets[drawn], features).predict(features)[0]
                both = np.concatenate([features, np.log(guide)[:, None]], axis=1)
                groups = np.r_[np.zeros(features.shape[1], dtype=int), 1]
                learned = fit_ensemble(both[rows[drawn]], targets[drawn], both, groups).predict(both)[0]
                ranks, theirs = rankdata(alone), rankdata(guide)
                scores = alone, learned, ranks + theirs, (1 - weight) * ranks + weight * theirs
                for column, score in zip(found, scores, strict=True):
                    column.append(lost(score))
            columns = "".join(f"{shown(column):>21}" for column in found)
            print(f"{labels} of {recipe}"[:38].ljust(38) + columns + f"   {weight:.2f}", flush=True)


if __name__ == "__main__":
    main()
