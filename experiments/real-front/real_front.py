"""How good is the network that a team picks from a real run? See README.md.

    python experiments/real-front/real_front.py nas_bench_macro.csv [--device raspberry-pi-4] [RUN ...]

The runs are of the space nas-bench-macro. For twenty latency budgets, spread in logarithm from the second percentile of
all 3,969 networks to the slowest: how far is the accuracy (mean of the table's three full trainings) of what is picked
from the best that the table has under that budget, in points? Beside the runs stand picks that need no search.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import nas
from nas.device.profile import load_device
from nas.errors import UserError
from nas.estimate.table import of_digits
from nas.files.csv import number, read_rows
from nas.pareto import Array
from nas.search.problem.costs import network_costs
from nas.space.search_space import load_space

SEEDS = ("acc_seed0", "acc_seed1", "acc_seed2")
BUDGETS = 20
DRAWS = 200  # of the baselines that draw networks at random
IDENTITY = "0"
GREEDY = " --greedy"


@dataclass(frozen=True)
class Table:
    """Every distinct network (n,)."""

    blocks: dict[tuple[object, ...], int]  # the row of each
    archs: list[str]
    latency_ms: Array
    macs: Array
    trainings: Array  # (n, 3), in percent

    @property
    def truth(self) -> Array:
        return np.asarray(self.trainings.mean(axis=1))

    @property
    def budgets_ms(self) -> Array:
        return np.geomspace(np.quantile(self.latency_ms, 0.02), self.latency_ms.max(), BUDGETS)


def read_table(path: Path, device: str) -> Table:
    space, profile = load_space("nas-bench-macro"), load_device(device)
    blocks: dict[tuple[object, ...], int] = {}
    archs, latencies, macs, trainings = [], [], [], []
    for line, row in read_rows(path, ("arch", *SEEDS)):
        network = space.network(of_digits(space, row["arch"]))
        if network.blocks not in blocks:
            blocks[network.blocks] = len(archs)
            archs.append(row["arch"])
            latencies.append(network_costs(profile, network, "fp32").latency_ms)
            macs.append(network.macs)
            trainings.append([number(row[c], path, line, c, least=0, most=100) for c in SEEDS])
    return Table(blocks, archs, np.array(latencies), np.array(macs, float), np.array(trainings))


def regrets(table: Table, pick: Callable[[float], int | None]) -> Array:
    """Points lost at each budget; a pick of None, where nothing keeps the budget, loses all to the table's worst."""
    found = []
    for budget in table.budgets_ms:
        within = table.latency_ms <= budget
        row = pick(float(budget))
        reached = table.truth.min() if row is None else table.truth[row]
        found.append(table.truth[within].max() - reached)
    return np.array(found)


def best_of(table: Table, score: Array, rows: Array | None = None) -> Callable[[float], int | None]:
    """Picks the network of the highest score within the budget, of some rows or of all."""
    among = np.arange(len(score)) if rows is None else rows

    def pick(budget: float) -> int | None:
        within = among[table.latency_ms[among] <= budget]
        return int(within[score[within].argmax()]) if len(within) else None

    return pick


def walk(table: Table, networks: int) -> Array:
    """Rows spread evenly along the front of (MACs, latency)."""
    order = np.lexsort((-table.macs, table.latency_ms))
    front, most = [], -1.0
    for row in order:
        if table.macs[row] > most:
            front.append(row)
            most = table.macs[row]
    return np.array(front)[np.unique(np.linspace(0, len(front) - 1, networks).round().astype(int))]


def of_run(table: Table, path: Path, how: str) -> tuple[Callable[[float], int | None], int]:
    """What `nas pick` returns of a run, and how many trainings that run took. `how`: "" or GREEDY."""
    run, space = nas.load_run(path), load_space("nas-bench-macro")

    def pick(budget: float) -> int | None:
        try:
            picked = nas.pick(run, max_latency_ms=budget, greedy=how == GREEDY)
        except UserError:
            return None
        return table.blocks[space.network(picked.candidate).blocks]

    return pick, sum(t.trainings for t in run.trials)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("table", type=Path)
    parser.add_argument("runs", type=Path, nargs="*")
    parser.add_argument("--device", default="raspberry-pi-4")
    parser.add_argument("--out", type=Path, help="a CSV for the points lost at each budget")
    given = parser.parse_args()
    table = read_table(given.table, given.device)
    depth = np.array([len(arch) - arch.count(IDENTITY) for arch in table.archs], float)
    once, rng = table.trainings[:, 0], np.random.default_rng(0)
    print(f"{len(table.archs):,} networks; budgets {table.budgets_ms[0]:.3g} to {table.budgets_ms[-1]:.3g} ms")
    print(f"{'':44} mean  worst  trained")

    lost: list[list[object]] = []

    def show(name: str, values: Array, trained: int) -> None:
        lost.append([name, trained, *(f"{value:.3f}" for value in values)])
        print(f"{name[:44]:44} {values.mean():4.2f}  {values.max():5.2f}  {trained:7,}")

    show("all, trained once in full", regrets(table, best_of(table, once)), len(once))
    show("none: the deepest", regrets(table, best_of(table, depth + 1e-9 * table.macs)), 0)
    show("none: the most MACs", regrets(table, best_of(table, table.macs)), 0)
    for networks in (8, 16, 32):
        rows = walk(table, networks)
        show(f"a walk along MACs, {networks} trained in full", regrets(table, best_of(table, once, rows)), len(rows))
    drawn = [rng.choice(len(once), 50, replace=False) for _ in range(DRAWS)]
    means = np.array([regrets(table, best_of(table, once, rows)) for rows in drawn])
    show("50 at random, trained in full (mean of draws)", means.mean(axis=0), 50)
    for path in given.runs:
        for how in ("", GREEDY):
            pick, trained = of_run(table, path, how)
            show(f"{path.name}, nas pick{how}", regrets(table, pick), trained)
    if given.out:
        with given.out.open("w") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(["picked_by", "trained", *(f"{budget:.3f} ms" for budget in table.budgets_ms)])
            writer.writerows(lost)


if __name__ == "__main__":
    main()
