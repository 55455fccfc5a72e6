"""What a surrogate makes of short trainings:

    python combined_proxies.py recipes.csv nas_bench_macro.csv RECIPE [VALUES ...] [--passes 1]

recipes.csv has a row for each short training: recipe, network, seed, accuracy, losses. Appends to combined_proxies.csv.
VALUES: scores of untrained networks, of which depth, SWAP and trainability make one feature more for the networks that
have them; with --passes, how often a training saw the images, also an opinion with a weight beside the surrogate's
(`nas.run.settings.score_weight`). A network's own label is never used to predict it: ten parts are predicted from the
other nine.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from pathlib import Path

import numpy as np
from scipy.stats import kendalltau, rankdata

from nas.estimate.bench.agreement import interval
from nas.estimate.bench.self_check import ceiling
from nas.estimate.ensemble import Ensemble, fit_ensemble
from nas.estimate.labels import as_target
from nas.estimate.structure import Structure
from nas.estimate.table import read_known
from nas.estimate.zero_cost.descriptors import depth
from nas.files.csv import append_rows, read_rows
from nas.run.settings import score_weight
from nas.space.search_space import load_space

COLUMNS = ("recipe", "label", "networks", "predicted", "tau", "low", "high", "of")
PARTS, SHUFFLES = 10, 10

parser = argparse.ArgumentParser()
parser.add_argument("trainings", type=Path)
parser.add_argument("table", type=Path)
parser.add_argument("recipe")
parser.add_argument("scored", type=Path, nargs="*")
parser.add_argument("--passes", type=float)
given = parser.parse_intermixed_args()
trainings, table, recipe, scored = given.trainings, given.table, given.recipe, given.scored
structure = Structure(load_space("nas-bench-macro"))
known = read_known(table, structure.space, ("acc_seed0", "acc_seed1", "acc_seed2"))
place = {k.name: i for i, k in enumerate(known)}
truth = np.array([k.accuracy for k in known])
features = structure.of_networks([k.network for k in known])
scores: dict[int, dict[str, float]] = defaultdict(dict)
for path in scored:
    for _, row in read_rows(path, ("network", "estimator", "value")):
        scores[place[row["network"]]][row["estimator"]] = float(row["value"])
there = np.array(sorted(i for i, of in scores.items() if {"swap", "trainability"} <= of.keys()), dtype=int)
score = np.full((len(known), 1), np.nan)
if len(there):
    parts = [[depth(known[i].network), scores[i]["swap"], scores[i]["trainability"]] for i in there]
    score[there, 0] = np.log(rankdata(parts, axis=0) / len(there)).sum(axis=1)
values: dict[str, dict[int, dict[str, float]]] = {
    name: defaultdict(dict) for name in ("accuracy", "log loss", "training loss")
}
for _, row in read_rows(trainings, ("recipe", "network", "seed", "accuracy", "log_loss", "train_loss")):
    if row["recipe"] == recipe and row["network"] in place and row.get("extra") != "1":  # random networks alone
        values["accuracy"][place[row["network"]]][row["seed"]] = float(as_target(np.array([float(row["accuracy"])]))[0])
        for name, column in (("log loss", "log_loss"), ("training loss", "train_loss")):
            values[name][place[row["network"]]][row["seed"]] = -float(np.log(float(row[column])))


def learned(rows: np.ndarray, labels: np.ndarray) -> Ensemble:
    return fit_ensemble(features[rows], labels, features)


def crossed(rows: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Each network as predicted from the labels of others, the mean over SHUFFLES partitions."""
    told = np.zeros(len(rows))
    for shuffle in range(SHUFFLES):
        order = np.random.default_rng(shuffle).permutation(len(rows))
        for part in np.array_split(order, PARTS):
            rest = np.setdiff1d(order, part)
            told[part] += learned(rows[rest], labels[rest]).predict(features[rows[part]])[0]
    return told


def say(label: str, rows: np.ndarray, predicted: str, told: np.ndarray, of: np.ndarray, what: str = "truth") -> None:
    low, high = interval(told, of)
    figures = [f"{x:.3f}" for x in (kendalltau(told, of).statistic, low, high)]
    found = (recipe, label, len(rows), predicted, *figures, what)
    append_rows(Path("combined_proxies.csv"), COLUMNS, [found])
    print(*found, flush=True)


for label, by_network in values.items():
    rows = np.array(sorted(by_network))
    first = np.array([by_network[i][min(by_network[i])] for i in rows])
    others = np.setdiff1d(np.arange(len(known)), rows)
    say(label, rows, "the proxy itself", first, truth[rows])
    both = np.array([i for i in rows if len(by_network[i]) > 1])
    if len(both) > 3:
        one, other = (np.array([sorted(by_network[i].items())[s][1] for i in both]) for s in (0, 1))
        say(label, both, "the proxy with another seed", one, other, "itself")
        print(f"noise alone would allow {ceiling(kendalltau(one, other).statistic):.3f}")
        say(label, both, "mean of two seeds", one + other, truth[both])
    model = learned(rows, first)
    say(label, rows, "from others' labels", crossed(rows, first), truth[rows])
    say(label, rows, "from all labels, its own too", model.predict(features[rows])[0], truth[rows])
    say(label, rows, "networks that have no label", model.predict(features[others])[0], truth[others])
    unknown, taught = np.setdiff1d(there, rows), np.isin(rows, there)
    if len(unknown) and taught.all():
        both, groups = np.concatenate([features, score], axis=1), np.r_[np.zeros(features.shape[1], int), 1]
        told = fit_ensemble(both[rows], first, both, groups).predict(both[unknown])[0]
        say(label, rows, "scored ones without a label", told, truth[unknown])
        say(label, rows, "the same, structure alone", model.predict(features[unknown])[0], truth[unknown])
        say(label, rows, "the same, score alone", score[unknown, 0], truth[unknown])
        if given.passes is not None:
            weight, (mine, theirs) = score_weight(given.passes), (model.predict(features)[0], score[:, 0])
            mine, theirs = ((x[unknown] - x[rows].mean()) / x[rows].std() for x in (mine, theirs))
            say(label, rows, "the same, both weighted", (1 - weight) * mine + weight * theirs, truth[unknown])
    for n in (20, 40):
        if n < len(rows):
            told = [learned(rows[c], first[c]).predict(features[others])[0] for c in
                    (np.random.default_rng(s).choice(len(rows), n, replace=False) for s in range(10))]  # fmt: skip
            taus = [kendalltau(t, truth[others]).statistic for t in told]
            print(f"{label}: {n} labels, networks that have none: {np.mean(taus):.3f} +- {np.std(taus):.3f}")
