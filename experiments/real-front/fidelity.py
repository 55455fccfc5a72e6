"""How well do short trainings rank the networks that a search ends up comparing? See README.md.

    python fidelity.py nas_bench_macro.csv cifar10.npz RUN [--networks 24] [--data-share 0.3 --resolution-share 0.5]

Of a finished run of the space nas-bench-macro, networks that the table has above 90% are drawn and trained again with
another fidelity; Kendall's tau with the table, of these trainings and of the run's own first ones of the same networks.
"""

from __future__ import annotations

import argparse
import csv
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
from real_front import Table, read_table
from scipy.stats import kendalltau

import nas
from nas.data.catalog import load_dataset
from nas.estimate.fidelity import Fidelity
from nas.estimate.proxy import ProxyTraining
from nas.pareto import Array
from nas.run import Trial
from nas.space.search_space import load_space

GOOD = 90.0  # percent
DRAWS = 1000


def tau_text(values: Array, truth: Array) -> str:
    """Kendall's tau with a 90% bootstrap interval."""
    rng, n = np.random.default_rng(0), len(truth)
    drawn = [rng.integers(0, n, n) for _ in range(DRAWS)]
    found = [kendalltau(values[at], truth[at], method="asymptotic").statistic for at in drawn]
    low, high = np.nanquantile(found, (0.05, 0.95))
    return f"{kendalltau(values, truth).statistic:.2f} ({low:.2f} to {high:.2f})"


def show(words: str, rows: Array, truth: Array) -> None:
    """Accuracies, log losses and seconds (n, 3)."""
    print(
        f"{words}: accuracies {100 * rows[:, 0].min():.1f} to {100 * rows[:, 0].max():.1f}%, tau by accuracy "
        f"{tau_text(rows[:, 0], truth)}, by log loss {tau_text(-rows[:, 1], truth)}, {rows[:, 2].mean():.0f} s each",
        flush=True,
    )


def drawn_of(trials: list[Trial], truth: Array, networks: int) -> list[int]:
    good = [n for n, t in enumerate(trials) if t.accuracy is not None and truth[n] > GOOD]
    return sorted(np.random.default_rng(0).permutation(good)[:networks].tolist())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("table", type=Path)
    parser.add_argument("images")
    parser.add_argument("run", type=Path)
    parser.add_argument("--networks", type=int, default=24)
    parser.add_argument("--data-share", type=float, default=0.3)
    parser.add_argument("--resolution-share", type=float, default=0.5)
    parser.add_argument("--out", type=Path, default=Path("fidelity.csv"))
    given = parser.parse_args()
    table: Table = read_table(given.table, "raspberry-pi-4")
    run, space = nas.load_run(given.run), load_space("nas-bench-macro")
    trials = list(run.trials)
    truth = table.truth[[table.blocks[space.network(t.candidate).blocks] for t in trials]]
    at = drawn_of(trials, truth, given.networks)
    own = np.array([[trials[n].accuracy, trials[n].log_loss, trials[n].seconds] for n in at], float)
    names = Fidelity.__dataclass_fields__
    fidelity = Fidelity(**{k: v for k, v in run.settings.proxy.items() if k in names})
    print(f"{len(at)} networks above {GOOD:g}%")
    show(f"the run, {fidelity.data_share:g} of the images at {fidelity.resolution_share:g} of the pixels",
         own, truth[at])  # fmt: skip
    other = replace(fidelity, data_share=given.data_share, resolution_share=given.resolution_share)
    proxy = ProxyTraining(load_dataset(f"npz:{given.images}", seed=run.settings.seed), other, run.settings.seed)
    made: list[tuple[float, float, float]] = []
    with given.out.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["trial", "truth", "accuracy_run", "accuracy", "log_loss", "seconds"])
        for n in at:
            network = space.network(trials[n].candidate, run.settings.classes)
            found = proxy.estimate(network, trials[n].candidate.as_dict(), seed=run.settings.seed + 1)
            made.append((found.value, float(found.log_loss or np.nan), found.seconds))
            writer.writerow([trials[n].trial, f"{truth[n]:.3f}", trials[n].accuracy, *(f"{v:.5f}" for v in made[-1])])
            file.flush()
            print(f"{len(made)} of {len(at)}: {100 * found.value:.1f}%, {found.seconds:.0f} s", flush=True)
    show(f"{other.data_share:g} of the images at {other.resolution_share:g} of the pixels first",
         np.array(made), truth[at])  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
