"""Where should a guided search train its first networks, and who decides between those that hardly differ?

    python placement.py nas_bench_macro.csv ../estimators [--seeds 8]

Simulated: a short training's accuracy is a linear function of a network's true one, depth and MACs, with noise, all as
in the 32 recorded trainings of "adamw, 16 then 32 px" (recipes.csv). The guide is learned from the recorded scores of
100 networks, drawn anew with each seed (macro_values.csv, macro_fresh_values.csv). ParetoSampler proposes 32 networks.
"""

from __future__ import annotations

import argparse
import csv
import sys
from collections import defaultdict
from pathlib import Path

import numpy as np
import optuna
from real_front import Table, best_of, read_table, regrets
from scipy.stats import rankdata

from nas.device.profile import load_device
from nas.estimate.ensemble import fit_ensemble
from nas.estimate.structure import Structure
from nas.estimate.table import of_digits
from nas.estimate.uncertainty import believe
from nas.pareto import Array
from nas.report.ties import CLEAR
from nas.run import Settings
from nas.search.problem.costs import DevicePricer
from nas.search.problem.encoding import candidate_of, distributions
from nas.search.problem.trial_costs import TrialCosts
from nas.search.samplers.pareto.sampler import ParetoSampler
from nas.space.search_space import load_space

RECIPE, IMAGES, SCORED, NETWORKS = "adamw, 16 then 32 px", 2000, 100, 32
SPACE = load_space("nas-bench-macro")
STRUCTURE = Structure(SPACE)


def row_of(table: Table, arch: str) -> int:
    return table.blocks[SPACE.network(of_digits(SPACE, arch)).blocks]


def trainings(table: Table, folder: Path) -> tuple[Array, float]:
    """Accuracies of short trainings without noise (n,), and the noise's standard deviation."""
    with (folder / "recipes.csv").open() as file:
        seen = [
            (row_of(table, r["network"]), float(r["accuracy"])) for r in csv.DictReader(file) if r["recipe"] == RECIPE
        ]
    rows, accuracies = np.array([row for row, _ in seen]), np.array([accuracy for _, accuracy in seen])
    depth = np.array([len(arch) - arch.count("0") for arch in table.archs], float)
    features = np.stack([np.ones(len(depth)), table.truth, depth, np.log(table.macs)], axis=1)
    slopes = np.linalg.lstsq(features[rows], accuracies, rcond=None)[0]
    left = accuracies - features[rows] @ slopes
    return features @ slopes, float(np.sqrt((left**2).sum() / (len(rows) - features.shape[1])))


def guides(table: Table, features: Array, folder: Path, seeds: int) -> list[Array]:
    """What guides that differ in the networks that were scored say of every network, (n,) each."""
    scores: dict[str, dict[str, float]] = defaultdict(dict)
    for name in ("macro_values.csv", "macro_fresh_values.csv"):
        with (folder / name).open() as file:
            for r in csv.DictReader(file):
                scores[r["network"]][r["estimator"]] = float(r["value"])
    known = [arch for arch, of in scores.items() if {"swap", "trainability"} <= of.keys()]
    parts = np.array([[len(a) - a.count("0"), scores[a]["swap"], scores[a]["trainability"]] for a in known])
    rows, made = np.array([row_of(table, arch) for arch in known]), []
    for seed in range(seeds):
        drawn = np.random.default_rng(seed).permutation(len(known))[:SCORED]
        targets = np.log(rankdata(parts[drawn], axis=0) / SCORED).mean(axis=1)
        made.append(np.exp(fit_ensemble(features[rows[drawn]], targets, features).predict(features)[0]))
    return made


def search(table: Table, guide: Array, mean: Array, noise: float, seed: int, start: int | None) -> tuple[Array, Array]:
    """Rows of the networks that were trained, and their accuracies. start None: without the guide."""

    def told(codes: Array) -> Array:
        return guide[[table.blocks[SPACE.network(SPACE.decode(code), 10).blocks] for code in codes]]

    pricer = DevicePricer(load_device("raspberry-pi-4"), SPACE, 10)
    settings = Settings("nas-bench-macro", "", "", "", "", 10, ("accuracy", "latency"), "pareto", 0, NETWORKS)
    costs = TrialCosts(SPACE, pricer, settings, () if start is None else (told,))
    sampler = ParetoSampler(coded=costs, space=distributions(SPACE), seed=seed, start=start)
    study = optuna.create_study(directions=["maximize", "minimize"], sampler=sampler)
    rng, found = np.random.default_rng([seed, 1]), {}
    for _ in range(NETWORKS):
        trial = study.ask(distributions(SPACE))
        row = table.blocks[SPACE.network(candidate_of(SPACE, trial.params), 10).blocks]
        accuracy = float(np.clip(mean[row] + noise * rng.standard_normal(), 0.1, 0.99))
        study.tell(trial, [accuracy, float(table.latency_ms[row])])
        found.setdefault(row, accuracy)
    return np.array(list(found)), np.array(list(found.values()))


def judged(table: Table, features: Array, guide: Array, rows: Array, accuracies: Array) -> list[Array]:
    """Regrets of three picks among the trained networks: the truly best, the guide's of ties, the most accurate."""
    beliefs = believe([[a] for a in accuracies], features[rows], IMAGES)

    def among(score: Array) -> Array:
        every = np.full(len(features), -np.inf)
        every[rows] = score
        return regrets(table, best_of(table, every, rows))

    def tie_broken(budget: float) -> int | None:
        fit = np.flatnonzero(table.latency_ms[rows] <= budget)
        if not len(fit):
            return None
        best = fit[beliefs.mean[fit].argmax()]
        gap = CLEAR * np.hypot(beliefs.deviation[best], beliefs.deviation[fit])
        ties = fit[beliefs.mean[best] - beliefs.mean[fit] <= gap]
        return int(rows[ties[guide[rows[ties]].argmax()]])

    return [among(table.truth[rows]), regrets(table, tie_broken), among(beliefs.mean)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("table", type=Path)
    parser.add_argument("estimators", type=Path, help="the folder with recipes.csv and macro_values.csv")
    parser.add_argument("--seeds", type=int, default=8)
    given = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    table = read_table(given.table, "raspberry-pi-4")
    features = STRUCTURE.of_networks([SPACE.network(of_digits(SPACE, arch)) for arch in table.archs])
    mean, noise = trainings(table, given.estimators)
    made = guides(table, features, given.estimators, given.seeds)
    print(f"noise of a training {100 * noise:.1f} points; mean and worst regret, mean of {given.seeds} seeds")
    alone = [regrets(table, best_of(table, guide)) for guide in made]
    print("the guide's choice of all networks", np.mean([[r.mean(), r.max()] for r in alone], axis=0).round(2))
    print(f"{'trained along the front of':32} truly best   guide's tie  most accurate")
    for first in (None, 4, 16, 24):
        name = "MACs, params, stage sum" if first is None else f"the guide, first {first}"
        found = []
        for seed, guide in enumerate(made):
            rows, accuracies = search(table, guide, mean, noise, seed, first)
            found.append([[r.mean(), r.max()] for r in judged(table, features, guide, rows, accuracies)])
        shown = "    ".join(f"{a:.2f} / {b:.2f}" for a, b in np.mean(found, axis=0))
        print(f"{name:32} {shown}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
