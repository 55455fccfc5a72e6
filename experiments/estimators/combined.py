"""How well few trainings tell of all other networks of NAS-Bench-Macro, by their number, their choice and the features.

`python combined.py nas_bench_macro.csv macro_values.csv macro_fresh_values.csv` writes combined.csv.

A label is the accuracy of one of three trainings, drawn at random, as a user has it; the truth is the mean of three, of
all networks that are no label. Structure alone is tried on all networks, the zero-cost sum on those it was measured on.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from scipy.stats import kendalltau

from nas.charts import SERIES_COLORS, new_figure, png, set_grid, set_title
from nas.estimate.bench.measurements import choose
from nas.estimate.design import Design, choose_design
from nas.estimate.ensemble import fit_ensemble
from nas.estimate.labels import as_target, standard
from nas.estimate.structure import Structure
from nas.estimate.table import read_known, read_trainings
from nas.estimate.zero_cost import depth
from nas.estimate.zero_cost.estimator import AGGREGATE
from nas.estimate.zero_cost.log_ranks import LogRanks
from nas.files.csv import csv_text, read_rows
from nas.space.search_space import load_space

SEEDS = ("acc_seed0", "acc_seed1", "acc_seed2")
DRAWS, POOL = 20, 1000
COLUMNS = (
    "networks", "features", "design", "labels", "tau", "tau_sd", "best_tenth", "lost_of_1", "lost_of_5", "within_90",
)  # fmt: skip

table, *files = map(Path, sys.argv[1:4])
space = load_space("nas-bench-macro")
structure = Structure(space)
known = read_known(table, space, SEEDS)
trained = {t.network.blocks: t.accuracies for t in read_trainings(table, space, SEEDS)}
networks = [k.network for k in known]
every = structure.of_networks(networks)
three = np.array([trained[network.blocks] for network in networks])
measured = [*choose(known, 106, 0, 0, 0).drawn, *choose(known, 63, 0, 106, 0).drawn]
place = {k.name: i for i, k in enumerate(known)}
some = np.array([place[k.name] for k in measured])


def sums() -> np.ndarray:
    """The sum of log ranks of depth, SWAP and trainability of the networks that it was measured on, (169,)."""
    values = {(r["network"], r["estimator"]): float(r["value"]) for file in files for _, r in read_rows(file, ())}
    scores = {s: np.array([values[k.name, s] for k in measured]) for s in AGGREGATE if s != "depth"}
    scores["depth"] = np.array([depth(k.network) for k in measured])
    ranks = LogRanks(scores, AGGREGATE)
    return np.array([ranks.value({s: scores[s][i] for s in scores}) for i in range(len(measured))])


def figures(told: np.ndarray, truth: np.ndarray) -> tuple[float, ...]:
    """Tau, tau in the best tenth, points lost by taking the best of one and of five."""
    top = truth >= np.quantile(truth, 0.9)
    order = np.argsort(-told)
    lost = [100 * (truth.max() - truth[order[:n]].max()) for n in (1, 5)]
    return kendalltau(told, truth).statistic, kendalltau(told[top], truth[top]).statistic, *lost


def row(of: np.ndarray, score: np.ndarray | None, design: Design, labels: int) -> tuple[object, ...]:
    """Means over draws of the labels."""
    plain, accuracies = every[of], three[of]
    features = plain if score is None else np.column_stack([plain, score])
    groups = np.array([0] * plain.shape[1] + [1] * (score is not None))
    found = []
    for draw in range(DRAWS):
        rng = np.random.default_rng(draw)
        pool = rng.permutation(len(of))[:POOL]
        chosen = pool[choose_design(standard(plain[pool], plain[pool]), labels, design, seed=draw)]
        others = np.setdiff1d(np.arange(len(of)), chosen)
        one = accuracies[chosen, rng.integers(3, size=labels)]
        told, deviation = fit_ensemble(features[chosen], as_target(one), features, groups).predict(features[others])
        truth = accuracies[others].mean(axis=1)
        within = np.mean(np.abs(told - as_target(truth)) < 1.645 * deviation)
        found.append((*figures(told, truth), within))
    means, spread = np.mean(found, axis=0), np.std(found, axis=0)
    name = "structure" if score is None else "structure, zero-cost"
    return (len(of), name, design, labels, means[0], spread[0], *means[1:])


def baseline(of: np.ndarray, name: str, value: np.ndarray) -> tuple[object, ...]:
    tau, *others = figures(value, three[of].mean(axis=1))
    return (len(of), name, "", 0, tau, 0.0, *others, np.nan)


score = sums()
all_of_them, depths = np.arange(len(known)), every[:, structure.names.index("depth")]
rows = [
    baseline(all_of_them, "depth", depths),
    baseline(some, "depth", depths[some]),
    baseline(some, "zero-cost", score),
]
again = np.array([figures(three[:, i], np.delete(three, i, axis=1).mean(axis=1)) for i in range(3)])
tau, *others = again.mean(axis=0)
rows.append((len(known), "one more full training", "", len(known), tau, again[:, 0].std(), *others, np.nan))
for labels in (10, 20, 40, 80):
    for design in ("random", "d-optimal", "spread"):
        for of, given in ((all_of_them, None), (some, None), (some, score)):
            rows.append(row(of, given, design, labels))
            print(*rows[-1], flush=True)
Path("combined.csv").write_text(csv_text(COLUMNS, rows))


def draw(path: Path) -> None:
    """Tau by the number of labels, with the draws' deviation."""
    figure = new_figure(7.0, 4.6)
    axes = figure.subplots()
    set_title(figure, "NAS-Bench-Macro: few full trainings tell of all other networks")
    lines = {
        "structure, zero-cost; D-optimal, 169 networks": (len(some), "structure, zero-cost", "d-optimal"),
        "structure; D-optimal, 3,969 networks": (len(known), "structure", "d-optimal"),
        "structure; at random, 3,969 networks": (len(known), "structure", "random"),
    }
    for color, (label, key) in zip(SERIES_COLORS, lines.items(), strict=False):
        found = [r for r in rows if r[:3] == key]
        counts, taus, spread = (np.array([r[i] for r in found], dtype=float) for i in (3, 4, 5))
        axes.errorbar(counts, taus, spread, color=color, marker="o", capsize=3, label=label)
    full = next(r for r in rows if r[1] == "one more full training")
    axes.axhline(float(str(full[4])), color="0.5", linestyle="--", label="one more full training of every network")
    axes.set_xscale("log", base=2)
    axes.set_xticks([10, 20, 40, 80], ["10", "20", "40", "80"])
    axes.set(xlabel="networks trained in full", ylabel="Kendall's tau on all others")
    axes.legend(loc="lower right", frameon=False)
    set_grid(axes)
    path.write_bytes(png(figure))


draw(Path("combined.png"))
