"""A new board from ten or twenty measurements, on HELP's tables: each device is left out with all its kin.

    python new_board.py fbnet_latency_ms.csv [--networks 10 20] [--seeds 5] [--strict] [--out .]
    python new_board.py ofa_mbv3_latency_ms.csv --space ofa

Each seed halves the networks at random. One half fits the block tables of the other devices: the library. The networks
to measure are chosen from 1,000 of the second half by the library alone; all of it that is not measured is the test. A
family is never on both sides: batches of a GPU are one family; `--strict` makes all GPUs one, and all Xeons. All of
Once-for-All's devices are GPUs, so there `--strict` leaves the shipped profiles that have its blocks: boards' CPUs.
Writes one row a device, number of networks, seed and method.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from scipy.stats import spearmanr

from nas.catalog import names as shipped_names
from nas.device.adapt.adapt import adapt, choose
from nas.device.adapt.known_devices import Library, library_of
from nas.device.counts import INDEX, once_counts, total_counts
from nas.device.fit.blocks import solve
from nas.device.formats.help import read_ofa
from nas.device.profile import load_device
from nas.space.block_table import BlockTable, block_table
from nas.space.search_space import load_space

BATCHES = (1, 32, 64)
GPUS = tuple(f"{gpu}_{batch}" for gpu in ("1080ti", "2080ti", "titanx", "titanxp") for batch in BATCHES)
XEONS = ("gold_6240", "silver_4114", "silver_4210r")
PHONES = ("essential_ph_1", "pixel2", "samsung_a50", "samsung_s7")  # in whole milliseconds
SUMS = ("raspi4", "pixel3", "fpga", "eyeriss")  # exact sums of block tables: no evidence that blocks add up
OFA = tuple(f"{gpu}_{batch}" for gpu in ("2080ti", "titan_rtx", "titan_xp", "v100") for batch in BATCHES)
DEVICES = {"fbnet": GPUS + XEONS + PHONES + SUMS, "ofa": OFA}
GROUPS = {
    "GPUs and Xeons": GPUS + XEONS,
    "of them, batch 1": tuple(gpu for gpu in GPUS if gpu.endswith("_1")) + XEONS,
    "phones": PHONES,
    "sums of tables": SUMS,
    "Once-for-All": OFA,
    "of them, batch 1 ": tuple(gpu for gpu in OFA if gpu.endswith("_1")),
}
POOL = 1000


@dataclass(frozen=True)
class Case:
    """One device left out: what is known (the library, the pool), the networks measured, those to be predicted."""

    library: Library
    own: np.ndarray  # (blocks + 1,): the left-out device's own table, from the half that is not tested
    networks: BlockTable
    pool: np.ndarray
    measured: np.ndarray
    test: np.ndarray
    cost: np.ndarray  # (n,) of all networks; read at `measured` alone

    def sums(self, rows: np.ndarray) -> np.ndarray:
        """What the devices of the library charge for the networks, (rows, d)."""
        return np.asarray(self.library.uses(self.networks.of(rows)) @ self.library.tables.T)


Predictor = Callable[[Case], np.ndarray]


def ours(case: Case) -> np.ndarray:
    pool, measured = case.networks.of(case.pool), case.networks.of(case.measured)
    return adapt(case.library, pool, measured, case.cost[case.measured]).total(case.networks.of(case.test))


def constant(case: Case) -> np.ndarray:
    return np.full(len(case.test), np.median(case.cost[case.measured]))


def macs(case: Case) -> np.ndarray:
    """A straight line through the MACs, by relative least squares."""
    per_block = [sum(layer.macs for layer in block.layers) / 1e6 for block in case.networks.blocks]
    total = case.networks.total(np.array(per_block))
    return _line(total[case.measured], case.cost[case.measured], total[case.test])


def no_library(case: Case) -> np.ndarray:
    """Our method without any known device."""
    return ours(replace(case, library=bare(case.networks)))


def ridge(case: Case) -> np.ndarray:
    """Ridge over the layers' counts, fitted to the measured networks alone; its strength by leaving one out."""
    from sklearn.linear_model import RidgeCV

    counts = case.networks.total(np.array([total_counts(b.layers, "fp32") for b in case.networks.blocks]))
    known, wanted, cost = counts[case.measured], counts[case.test], case.cost[case.measured]
    mean, std = counts[case.pool].mean(axis=0), counts[case.pool].std(axis=0)
    std[std < 1e-9 * (1 + mean)] = 1.0
    model = RidgeCV(np.logspace(-3, 3, 13)).fit((known - mean) / std, cost)
    return np.asarray(model.predict((wanted - mean) / std))


def own_half(case: Case) -> np.ndarray:
    """What sums of blocks can do at best: the device's own table, fitted to half of all networks."""
    return np.asarray(case.library.uses(case.networks.of(case.test)) @ case.own)


def best_device(case: Case) -> np.ndarray:
    """The known device that ranks the measured networks best, on a line through them."""
    known, wanted, cost = case.sums(case.measured), case.sums(case.test), case.cost[case.measured]
    best = int(np.argmax([spearmanr(column, cost).statistic for column in known.T]))
    return _line(known[:, best], cost, wanted[:, best])


def kernel_ridge(case: Case) -> np.ndarray:
    """Kernel ridge over what the known devices charge; width and ridge by cross-validation of the measured ones."""
    from sklearn.kernel_ridge import KernelRidge
    from sklearn.model_selection import GridSearchCV, KFold

    known, wanted, cost = case.sums(case.measured), case.sums(case.test), case.cost[case.measured]
    mean, std = known.mean(axis=0), known.std(axis=0)
    grid = {"gamma": [1e-4, 1e-3, 1e-2, 0.1], "alpha": [1e-4, 1e-3, 1e-2, 0.1, 1]}
    folds = KFold(5, shuffle=True, random_state=0)
    search = GridSearchCV(KernelRidge(kernel="rbf"), grid, cv=folds, scoring="neg_mean_absolute_error")
    search.fit((known - mean) / std, cost / cost.mean() - 1)
    return np.asarray((search.predict((wanted - mean) / std) + 1) * cost.mean())


def _line(known: np.ndarray, cost: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    weights = np.linalg.lstsq(np.column_stack([known, np.ones(len(known))]) / cost[:, None], np.ones(len(cost)))[0]
    return np.asarray(np.column_stack([wanted, np.ones(len(wanted))]) @ weights)


METHODS: dict[str, tuple[str, Predictor]] = {  # how the networks to measure are chosen, and how the rest is predicted
    "ours": ("chosen", ours),
    "ours, at random": ("random", ours),
    "best device": ("random", best_device),
    "best device, chosen": ("chosen", best_device),
    "kernel ridge": ("random", kernel_ridge),
    "no library": ("alone", no_library),
    "ridge on counts": ("random", ridge),
    "MACs": ("random", macs),
    "constant": ("random", constant),
    "its own half": ("random", own_half),
}


def family(device: str, strict: bool) -> str:
    if strict and device in GPUS + OFA + XEONS:
        return "Xeon" if device in XEONS else "GPU"
    return device.rsplit("_", 1)[0] if device in GPUS + OFA else device


def read(path: Path, space: str) -> tuple[BlockTable, dict[str, np.ndarray]]:
    """The networks' blocks, and each device's milliseconds, (n,)."""
    if space == "ofa":
        tables = {device: read_ofa(path, device) for device in OFA}
        return tables[OFA[0]].blocks, {device: table.latency_ms for device, table in tables.items()}
    table = np.genfromtxt(path, delimiter=",", names=True)
    choices = load_space("fbnet-cifar").choices
    codes = np.array([[0.0 if choice.options else choice.low for choice in choices]] * len(table))
    layers = [i for i, choice in enumerate(choices) if choice.name.endswith(".op")]
    codes[:, layers] = np.column_stack([table[f"op{i:02}"] for i in range(1, 23)])
    return block_table(load_space("fbnet-cifar"), codes), {d: table[f"lat_ms_{d}"] for d in DEVICES["fbnet"]}


def bare(networks: BlockTable) -> Library:
    """A library of no device."""
    return Library((), networks.blocks, np.zeros((0, len(networks.blocks))), np.zeros(0), "fp32")


def own_tables(networks: BlockTable, rows: np.ndarray, latency: dict[str, np.ndarray]) -> Library:
    """Block tables of all devices, fitted to some of the networks as `nas devices fit` fits them."""
    kinds = [replace(b, in_shape=(b.in_shape[0], 1, 1), out_shape=(b.out_shape[0], 1, 1)) for b in networks.blocks]
    numbers = {kind: i for i, kind in enumerate(dict.fromkeys(kinds))}
    counts = np.array([total_counts(b.layers, "fp32") for b in networks.blocks])
    counts += [once_counts(b.in_shape) if b.in_shape[0] == 3 else 0 * counts[0] for b in networks.blocks]
    once = INDEX["network"]
    counts[:, once] = 0
    per_block = np.hstack([counts, np.eye(len(numbers))[[numbers[kind] for kind in kinds]]])
    features = networks.of(rows).total(per_block)
    features[:, once] = 1
    parts = np.array([solve(features, cost[rows]) for cost in latency.values()])
    return Library(tuple(latency), networks.blocks, parts @ per_block.T, parts[:, once], "fp32")


def shipped(networks: BlockTable) -> Library:
    """The shipped boards that have a price for every block, none of them a GPU, none of HELP's."""
    profiles = [load_device(name) for name in shipped_names("device_profiles")]
    cpus = [p for p in profiles if "MLPerf" in p.about.source or p.name == "samsung-note10"]
    return library_of(cpus, networks.blocks, "fp32")


def evaluate(path: Path, space: str, numbers: Sequence[int], seeds: int, strict: bool) -> Iterator[list[object]]:
    networks, latency = read(path, space)
    for seed in range(seeds):
        rng = np.random.default_rng(seed)
        order = rng.permutation(networks.index.shape[1])
        fitted, rest = np.array_split(order, 2)
        tables = own_tables(networks, fitted, latency)
        pool = rest[:POOL]
        for d, device in enumerate(latency):
            known = [i for i, other in enumerate(latency) if family(other, strict) != family(device, strict)]
            found = [tables.names[i] for i in known]
            lib = replace(tables, names=tuple(found), costs=tables.costs[known], offsets=tables.offsets[known])
            lib = lib if known else shipped(networks)
            for n in numbers:
                rows = {
                    "chosen": pool[choose(lib, networks.of(pool), n)],
                    "alone": pool[choose(bare(networks), networks.of(pool), n)],
                    "random": rng.choice(pool, n, replace=False),
                }
                for method, (how, predictor) in METHODS.items():
                    test = np.setdiff1d(rest, rows[how])
                    case = Case(lib, tables.tables[d], networks, pool, rows[how], test, latency[device])
                    predicted, wanted = predictor(case), latency[device][test]
                    rank = float(spearmanr(predicted, wanted).statistic) if np.ptp(predicted) > 0 else 0.0
                    off = np.abs(predicted / wanted - 1)
                    yield [device, n, seed, method, rank, float(off.mean()), float(np.mean(off <= 0.1))]
        print(f"seed {seed} done", flush=True)


def show(rows: Sequence[list[object]]) -> None:
    """Means over the seeds; of a group, the mean over its devices and the spread over the seeds."""
    for n in sorted({row[1] for row in rows}):
        print(f"\n## {n} networks: Spearman, mean error %, share within 10 %\n")
        print("| | " + " | ".join(METHODS) + " |\n|---|" + "---|" * len(METHODS))
        tested = {row[0] for row in rows}
        groups = {name: devices for name, devices in GROUPS.items() if tested >= set(devices)}
        for name, devices in [*((row[0], (row[0],)) for row in rows if row[1:4] == [n, 0, "ours"]), *groups.items()]:
            cells = []
            for method in METHODS:
                of = [row for row in rows if row[1] == n and row[3] == method and row[0] in devices]
                seeds = sorted({row[2] for row in of})
                by_seed = np.array([np.mean([row[4:] for row in of if row[2] == s], axis=0) for s in seeds])
                rank, error, within = by_seed.mean(axis=0)
                spread = f" ± {by_seed[:, 0].std():.3f}" if name in GROUPS else ""
                cells.append(f"{rank:.3f}{spread}, {100 * error:.1f}, {100 * within:.0f}")
            print(f"| {name} | " + " | ".join(cells) + " |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("csv", type=Path)
    parser.add_argument("--space", choices=["fbnet", "ofa"], default="fbnet")
    parser.add_argument("--networks", type=int, nargs="+", default=[10, 20])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--strict", action="store_true")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent)
    given = parser.parse_args()
    rows = list(evaluate(given.csv, given.space, given.networks, given.seeds, given.strict))
    show(rows)
    name = given.space + ("-strict" if given.strict else "")
    with (given.out / f"{name}.csv").open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["device", "networks", "seed", "method", "spearman", "mean_error", "within_10"])
        writer.writerows([[f"{x:.4f}" if isinstance(x, float) else x for x in row] for row in rows])


if __name__ == "__main__":
    main()
