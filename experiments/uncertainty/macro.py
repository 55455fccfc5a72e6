"""Denoised against raw accuracies on NAS-Bench-Macro: one seed is observed, the mean of the other two is the truth.

python macro.py ../../../shared/data/nas_bench_macro/nas_bench_macro.csv --out macro.csv
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path

import numpy as np
from scipy.stats import kendalltau

from nas.estimate.membership import front_probability
from nas.estimate.structure import Structure
from nas.estimate.table import of_digits
from nas.estimate.uncertainty import Beliefs, believe
from nas.files.csv import read_rows
from nas.pareto import non_dominated
from nas.run import Costs, Settings, Trial, distinct
from nas.space.candidate import Candidate
from nas.space.search_space import load_space

IMAGES = 10_000  # on which the table's accuracies were measured
COLUMNS = ("acc_seed0", "acc_seed1", "acc_seed2")
SETTINGS = Settings("nas-bench-macro", "", "raspberry-pi-4", "", "cifar10", 10, ("accuracy", "macs"), "pareto", 0, 1)


def main() -> None:
    """Draws networks, observes one training of each (and a second one of some), and compares with the truth."""
    parser = argparse.ArgumentParser()
    parser.add_argument("table", type=Path)
    parser.add_argument("--draws", type=int, default=20)
    parser.add_argument("--out", type=Path, required=True)
    asked = parser.parse_args()
    space = load_space("nas-bench-macro")
    rows = {row["canonical_arch"]: row for _, row in read_rows(asked.table, COLUMNS)}
    accuracies = np.array([[float(row[c]) / 100 for c in COLUMNS] for row in rows.values()])
    macs = np.array([float(row["macs_recomputed"]) for row in rows.values()])
    features = Structure(space).of_networks([space.network(of_digits(space, arch)) for arch in rows])
    found = [
        draw(accuracies, macs, features, size, seed)
        for size in (10, 20, 50, 100, 400)
        for seed in range(asked.draws)
    ]  # fmt: skip
    with asked.out.open("w") as file:
        writer = csv.DictWriter(file, list(found[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(found)
    for size in dict.fromkeys(row["networks"] for row in found):
        mean = {c: np.mean([row[c] for row in found if row["networks"] == size]) for c in found[0]}
        print("  ".join(f"{name} {value:.4g}" for name, value in mean.items()))


def draw(accuracies: np.ndarray, macs: np.ndarray, features: np.ndarray, size: int, seed: int) -> dict[str, float]:
    """One draw: errors in points, raw and denoised; the winner's curse is observed less true, mean over the front."""
    rng = np.random.default_rng(seed)
    rows = rng.choice(len(macs), size, replace=False)
    order = np.argsort(rng.random((size, 3)), axis=1)
    trained = np.take_along_axis(accuracies[rows], order, axis=1)
    raw, truth = trained[:, 0], trained[:, 1:].mean(axis=1)
    repeated = rng.choice(size, max(1, size // 5), replace=False)  # trained twice: only the noise is learned from it
    seen = [[x] for x in raw]
    beliefs = believe([[*x, trained[i, 1]] if i in repeated else x for i, x in enumerate(seen)], features[rows], IMAGES)
    beliefs_once = believe(seen, features[rows], IMAGES)
    once = np.array([i not in repeated for i in range(size)])
    draws = beliefs.draw(1000, rng)
    low, high = np.quantile(draws, [0.05, 0.95], axis=0)
    noise = np.sqrt((trained[:, 1:].std(axis=1, ddof=1) ** 2).mean() / 2)  # of the truth itself
    wider = np.sqrt(((high - low) / 3.29) ** 2 + noise**2) * 1.645
    inside = np.abs(truth - beliefs.mean) <= wider
    fronts = {name: non_dominated(np.stack([1 - x, macs[rows]], axis=1)) for name, x in
              (("raw", raw), ("denoised", beliefs_once.mean), ("true", truth))}  # fmt: skip
    fronts["reported"] = reported(beliefs_once, macs[rows], fronts["denoised"])
    chance = front_probability(draws, macs[rows][:, None], beliefs.mean, beliefs.deviation)
    return {
        "networks": size, "seed": seed,
        "rmse_raw": 100 * rms(raw - truth), "rmse_denoised": 100 * rms(beliefs_once.mean - truth),
        "tau_raw": kendalltau(raw, truth)[0], "tau_denoised": kendalltau(beliefs_once.mean, truth)[0],
        "inside_90": inside[once].mean(), "dispersion": sum(w * p.variances.dispersion for w, p in beliefs.parts),
        "curse_raw": 100 * (raw - truth)[fronts["raw"]].mean(),
        "curse_denoised": 100 * (beliefs_once.mean - truth)[fronts["denoised"]].mean(),
        "dominated_raw": dominated(truth, macs[rows], fronts["raw"]),
        "dominated_denoised": dominated(truth, macs[rows], fronts["denoised"]),
        "dominated_reported": dominated(truth, macs[rows], fronts["reported"]),
        "front_raw": fronts["raw"].sum(), "front_denoised": fronts["denoised"].sum(),
        "front_reported": fronts["reported"].sum(),
        "true_front": fronts["true"].sum(),
        "missed_raw": missed(truth, macs[rows], fronts["raw"]),
        "missed_denoised": missed(truth, macs[rows], fronts["denoised"]),
        "missed_reported": missed(truth, macs[rows], fronts["reported"]),
        "front_brier": float(((chance - fronts["true"]) ** 2).mean()),
        "front_brier_raw": float(((fronts["raw"] * 1.0 - fronts["true"]) ** 2).mean()),
    }  # fmt: skip


def reported(beliefs: Beliefs, macs: np.ndarray, front: np.ndarray) -> np.ndarray:
    """Of a front of denoised accuracies (n,) those networks that can be told from every cheaper one of these."""
    trials = [
        Trial(
            int(i), "trained", float(beliefs.mean[i]), None,
            Costs(1.0, None, None, None, None, None, 0, int(macs[i]), 0.0, 0.0, "fitted", None), 1.0, 0,
            Candidate.of({}), expected_accuracy=float(beliefs.mean[i]), accuracy_deviation=float(beliefs.deviation[i]),
        )
        for i in np.flatnonzero(front)
    ]  # fmt: skip
    found = np.zeros(len(macs), dtype=bool)
    found[[t.trial for t in distinct(trials, SETTINGS)]] = True
    return found


def missed(truth: np.ndarray, macs: np.ndarray, front: np.ndarray) -> float:
    """How much accuracy, in points, the best network of a front lacks to the best of all within the same MACs: the mean
    over the MACs of all networks from the cheapest of the front on."""
    budgets = np.sort(macs[macs >= macs[front].min()])
    best = [truth[macs <= b].max() - truth[front & (macs <= b)].max() for b in budgets]
    return 100 * float(np.mean(best))


def dominated(truth: np.ndarray, macs: np.ndarray, front: np.ndarray) -> float:
    """The share of a front's networks that another one of it beats in truth."""
    return float(1 - non_dominated(np.stack([1 - truth, macs], axis=1)[front]).mean())


def rms(values: np.ndarray) -> float:
    return float(np.sqrt((values**2).mean()))


if __name__ == "__main__":
    main()
