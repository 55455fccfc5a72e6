"""What a surrogate makes of short trainings: `python combined_proxies.py recipes.csv nas_bench_macro.csv RECIPE`.

recipes.csv has a row for each short training: recipe, network, seed, accuracy, log_loss. Appends to
combined_proxies.csv. A network's own label is never used to predict it: ten parts are predicted from the other nine.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from pathlib import Path

import numpy as np
from scipy.stats import kendalltau

from nas.estimate.bench.agreement import interval
from nas.estimate.bench.self_check import ceiling
from nas.estimate.ensemble import Ensemble, fit_ensemble
from nas.estimate.labels import as_target
from nas.estimate.structure import Structure
from nas.estimate.table import read_known
from nas.files.csv import append_rows, read_rows
from nas.space.search_space import load_space

COLUMNS = ("recipe", "label", "networks", "predicted", "tau", "low", "high", "of")
PARTS, SHUFFLES = 10, 10

trainings, table, recipe = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
structure = Structure(load_space("nas-bench-macro"))
known = read_known(table, structure.space, ("acc_seed0", "acc_seed1", "acc_seed2"))
place = {k.name: i for i, k in enumerate(known)}
truth = np.array([k.accuracy for k in known])
features = structure.of_networks([k.network for k in known])
values: dict[str, dict[int, dict[str, float]]] = {name: defaultdict(dict) for name in ("accuracy", "log loss")}
for _, row in read_rows(trainings, ("recipe", "network", "seed", "accuracy", "log_loss")):
    if row["recipe"] == recipe and row["network"] in place:
        values["accuracy"][place[row["network"]]][row["seed"]] = float(as_target(np.array([float(row["accuracy"])]))[0])
        values["log loss"][place[row["network"]]][row["seed"]] = -float(np.log(float(row["log_loss"])))


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
    for n in (20, 40):
        if n < len(rows):
            told = [learned(rows[c], first[c]).predict(features[others])[0] for c in
                    (np.random.default_rng(s).choice(len(rows), n, replace=False) for s in range(10))]  # fmt: skip
            taus = [kendalltau(t, truth[others]).statistic for t in told]
            print(f"{label}: {n} labels, networks that have none: {np.mean(taus):.3f} +- {np.std(taus):.3f}")
