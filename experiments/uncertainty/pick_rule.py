"""What the rule of `nas pick` costs in accuracy and gains in latency: `python pick_rule.py macro2.csv`.

macro2.csv is NAS-Bench-Macro, as experiments/search-efficiency/macro_table.py makes it. A simulated run trains 50
networks, half of them at random, half among those within a point of the most accurate of no more latency, as a search
ends up with; then those on the front of what is expected twice more. A training's accuracy is the mean of the
network's three in the table, taken for the truth, with the noise of a seed and of so many validation images. For
twenty latency budgets, spread in logarithm from the second percentile of the table to its largest, the rule picks; what
it picks is scored by the truth. Beside the accuracy that the rule gives up stands what greedy picks give up under
budgets cut until they save as much latency.
"""

import argparse
import csv
from pathlib import Path

import numpy as np

from nas.estimate.structure import Structure
from nas.estimate.uncertainty import believe
from nas.pareto import non_dominated
from nas.report.ties import ties_of_best
from nas.run import Costs, Settings, Trial, expected
from nas.space.candidate import Candidate
from nas.space.search_space import load_space

THRESHOLDS = (0.0, 0.25, 0.5, 0.7, 1.0, 1.5)  # deviations of the difference; 0: greedy
CUTS = tuple(np.linspace(0, 0.4, 17))  # of the budget, picked under greedily
NOISE = ((287, 0.0), (5000, 0.003), (5000, 0.01))  # validation images, deviation over the seeds of a training
TRAINED, AGAIN, NEAR = 50, 2, 0.01
SETTINGS = Settings(
    "nas-bench-macro", "", "raspberry-pi-4", "", "cifar10", 10, ("accuracy", "latency"), "pareto", 0, TRAINED
)


def simulated(rows, features, truth, ms, images, seeds, rng) -> list[Trial]:
    """The networks of a run, with what is expected of each after all trainings."""

    def train(p: float) -> float:
        return rng.binomial(images, np.clip(p + rng.normal(0, seeds), 0, 1)) / images

    accuracies = [[train(truth[row])] for row in rows]
    beliefs = believe(accuracies, features[rows], images)
    for i in np.flatnonzero(non_dominated(np.stack([ms[rows], -beliefs.mean], axis=1))):
        accuracies[i] += [train(truth[rows[i]]) for _ in range(AGAIN)]
    beliefs = believe(accuracies, features[rows], images)
    costs = [Costs(v, None, None, None, None, None, 0, 0, 0.0, 0.0, "fitted", None) for v in ms[rows]]
    return [
        Trial(
            int(rows[i]), "trained", accuracies[i][0], None, costs[i], 1.0, 0, Candidate.of({}),
            expected_accuracy=float(beliefs.mean[i]), accuracy_deviation=float(beliefs.deviation[i]),
        )
        for i in range(len(rows))
    ]  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("table", type=Path)
    parser.add_argument("--draws", type=int, default=100)
    parser.add_argument("--out", type=Path, default=Path("pick_rule.csv"))
    given = parser.parse_args()
    space = load_space("nas-bench-macro")
    table = list({row["network"]: row for row in csv.DictReader(given.table.open())}.values())
    ops = [(choice.name, choice.options) for choice in space.choices[:8]]
    features = Structure(space).of_codes(np.array([[*(o.index(row[n]) for n, o in ops), 0] for row in table], float))
    truth = np.array([np.mean([float(row[f"accuracy_{k}"]) for k in (1, 2, 3)]) for row in table])
    ms = np.array([float(row["latency_ms"]) for row in table])
    order, best = np.argsort(ms), np.empty(len(ms))
    best[order] = np.maximum.accumulate(truth[order])
    near = np.flatnonzero(truth >= best - NEAR)
    budgets = np.geomspace(np.quantile(ms, 0.02), ms.max(), 20)
    rows = []
    for images, seeds in NOISE:
        lost, above, taken, right = (
            {k: [] for k in THRESHOLDS} for _ in range(4)
        )  # by the threshold, one number a pick
        cut_lost, cut_taken = ({c: [] for c in CUTS} for _ in range(2))
        for draw in range(given.draws):
            rng = np.random.default_rng(draw)
            chosen = rng.choice(near, TRAINED // 2, replace=False)
            others = rng.choice(np.setdiff1d(np.arange(len(ms)), chosen), TRAINED - len(chosen), replace=False)
            trials = simulated(np.concatenate([chosen, others]), features, truth, ms, images, seeds, rng)
            for budget in budgets:
                fit = [t for t in trials if t.costs.latency_ms <= budget]
                if not fit:
                    continue
                most = max(truth[t.trial] for t in fit)
                for cut in CUTS:  # of networks that all exceed it the fastest
                    less = [t for t in fit if t.costs.latency_ms <= (1 - cut) * budget]
                    less = less or [min(fit, key=lambda t: t.costs.latency_ms)]
                    picked = max(less, key=expected)
                    cut_lost[cut].append(100 * (most - truth[picked.trial]))
                    cut_taken[cut].append(np.log(picked.costs.latency_ms))
                greedy = max(fit, key=expected)
                for k in THRESHOLDS:
                    picked = ties_of_best(fit, SETTINGS, k)[0 if k else -1]
                    lost[k].append(100 * (most - truth[picked.trial]))
                    above[k].append(100 * (expected(picked) - truth[picked.trial]))
                    taken[k].append(picked.costs.latency_ms)
                    if picked is not greedy:
                        right[k].append(truth[picked.trial] >= truth[greedy.trial])
        by_cut = [np.mean(cut_lost[c]) - np.mean(lost[0.0]) for c in CUTS]
        saved_by_cut = [np.mean(cut_taken[0.0]) - np.mean(cut_taken[c]) for c in CUTS]
        for k in THRESHOLDS:
            ratio = np.array(taken[k]) / np.array(taken[0.0])
            rows.append({
                "validation_images": images, "seed_points": 100 * seeds, "deviations": k,
                "regret": np.mean(lost[k]), "regret_worst_tenth": np.quantile(lost[k], 0.9),
                "given_up": np.mean(lost[k]) - np.mean(lost[0.0]),
                "given_up_by_budget": np.interp(-np.log(ratio).mean(), saved_by_cut, by_cut),
                "expected_above_truth": np.mean(above[k]),
                "latency_saved_percent": 100 * (1 - np.exp(np.log(ratio).mean())),
                "other_pick_percent": 100 * np.mean(ratio < 1),
                "of_these_as_accurate_percent": 100 * np.mean(right[k]) if right[k] else np.nan,
            })  # fmt: skip
            print(" ".join(f"{name}={value:.3g}" for name, value in rows[-1].items()), flush=True)
    with given.out.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0], lineterminator="\n")
        writer.writeheader()
        writer.writerows({n: f"{v:.4g}" for n, v in row.items()} for row in rows)


if __name__ == "__main__":
    main()
