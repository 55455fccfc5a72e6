"""How a supernet ranks NAS-Bench-Macro: operations as slices of one, or (--own 8) each with weights of its own.

    python supernet.py nas_bench_macro.csv cifar10.npz [--own 0] [--epochs 4] [--networks 60] [--best 30] [--out slices]

The supernet is trained once and kept in ~/.nas (or NAS_HOME), the values in OUT/values.csv: a stopped run goes on.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from nas.data.catalog import load_dataset
from nas.estimate.bench.agreement import agreement
from nas.estimate.bench.measurements import choose, measure
from nas.estimate.by_name import make_estimator
from nas.estimate.table import read_known
from nas.estimate.zero_cost import DESCRIPTORS
from nas.estimate.zero_cost.log_ranks import LogRanks
from nas.space.search_space import load_space

SEED = 0
TRAININGS = ("acc_seed0", "acc_seed1", "acc_seed2")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("table", type=Path)
    parser.add_argument("images", type=Path)
    parser.add_argument("--own", type=int, default=0)
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--networks", type=int, default=60)
    parser.add_argument("--best", type=int, default=30)
    parser.add_argument("--out", type=Path, default=Path("slices"))
    given = parser.parse_args()
    space, dataset = load_space("nas-bench-macro"), load_dataset(f"npz:{given.images}", seed=SEED)
    chosen = choose(read_known(given.table, space, TRAININGS), given.networks, given.best, 0, SEED)
    settings = {"epochs": given.epochs, "own": given.own}
    name = f"supernet, {', '.join(f'{k} {v}' for k, v in settings.items())}"
    makers = {name: lambda: make_estimator("supernet", dataset, settings, SEED, space)}
    found = measure(chosen.networks, makers, given.out / "values.csv", f"nas-bench-macro, seed {SEED}", SEED)
    values = {name: np.array([found[known.name, name].value for known in chosen.networks])}
    values["depth"] = np.array([DESCRIPTORS["depth"](known.network) for known in chosen.networks])
    extra = np.arange(len(chosen.networks)) >= len(chosen.drawn)
    ranks = LogRanks({n: v[~extra] for n, v in values.items()}, dict.fromkeys(values, 1.0))
    values[f"depth + {name}"] = np.array([ranks.value({n: v[i] for n, v in values.items()}) for i in range(len(extra))])
    accuracies = np.array([known.accuracy for known in chosen.networks])
    print("estimator,tau,low,high,equal_depth,best_tenth,regret_1,regret_5")
    for each, value in values.items():
        a = agreement(
            value, accuracies=accuracies, depths=values["depth"], top=accuracies >= chosen.top_accuracy, extra=extra
        )
        print(
            f'"{each}",'
            + ",".join(f"{x:.4f}" for x in (a.tau, a.low, a.high, a.equal_depth, a.top, a.regret_1, a.regret_5))
        )
    print(f"core seconds a network: {np.mean([found[k.name, name].seconds for k in chosen.networks]):.2f}")


if __name__ == "__main__":
    main()
