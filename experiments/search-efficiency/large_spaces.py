"""Samplers in spaces too large for a table, with accuracies from a formula; see README.md.

    python large_spaces.py fbnet pareto --seeds 5 --evaluations 100 --out large_spaces.csv

Appends one row per task, sampler, seed and budget to the CSV.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
from optuna.distributions import FloatDistribution

from nas.device.profile import load_device
from nas.estimate.zero_cost.descriptors import of_codes
from nas.pareto import hypervolume, non_dominated
from nas.search.bench.run import WALK, Params, Task, along, bench, shares, walk_shares
from nas.search.problem.costs import DevicePricer
from nas.search.problem.encoding import candidate_of, distributions, params_of
from nas.search.samplers.pareto.space import Decisions
from nas.space.search_space import load_space

BUDGETS = (8, 16, 24, 32, 50, 75, 100)
ROUNDS = 40  # of changes, in search of the walk
NOISE = 0.0018  # of one training's accuracy; what NAS-Bench-Macro's three seeds show above 85%
LONG = (300, 200)  # population and generations of the NSGA-II run that stands for the truth: 60,000 evaluations


def fbnet(joint: bool) -> Task:
    """FBNet on a Pixel 3, from its shipped profile.

    The error falls with the logarithm of MACs and parameters and flattens; each operation at each place has an effect
    of its own, and so has each pair of neighbours. `joint` adds a learning rate and a weight decay, whose best values
    depend on the network's size. The true front is taken to be that of a long NSGA-II run without noise.
    """
    space = load_space("fbnet-cifar").only(("fp32",))
    pricer = DevicePricer(load_device("pixel-3-fbnet"), space, 100)
    rng = np.random.default_rng(4)
    layers, options = 22, 9
    single = 0.03 * rng.standard_normal((layers, options))
    pair = 0.02 * rng.standard_normal((layers - 1, options, options))
    names = distributions(space) | (
        {"lr": FloatDistribution(1e-3, 1.0, log=True), "weight_decay": FloatDistribution(1e-6, 1e-3, log=True)}
        if joint
        else {}
    )

    def codes(many: list[Params]) -> np.ndarray:
        return np.array([space.encode(candidate_of(space, params)) for params in many])

    def costs(many: list[Params]) -> np.ndarray:
        return pricer.columns(codes(many))["latency_ms"][:, None]

    def mean(many: list[Params]) -> np.ndarray:
        at = codes(many)
        prices, ops = pricer.columns(at), at[:, :layers].astype(int)
        size = 0.7 * np.log(prices["macs"] / 3e7) + 0.3 * np.log(prices["params"] / 1e6)
        own = single[np.arange(layers), ops].sum(axis=1)
        both = pair[np.arange(layers - 1), ops[:, :-1], ops[:, 1:]].sum(axis=1)
        harm = 0.0
        if joint:
            lr, decay = (np.log10([float(p[k]) for p in many]) for k in ("lr", "weight_decay"))
            harm = 0.15 * (lr + 1 + 0.2 * size) ** 2 + 0.05 * (decay + 4.5 - 0.3 * size) ** 2
        return 1 - np.exp(np.log(0.3) - 0.6 * np.tanh(0.7 * size) + own + both + harm).clip(0.01, 0.99)

    def seen(params: Params, seed: int) -> float:
        noise = np.random.default_rng([seed, *codes([params])[0].astype(int)]).standard_normal()
        return float(mean([params])[0] + NOISE * noise)

    def canonical(params: Params) -> Params:
        return dict(params) | params_of(space, candidate_of(space, params))

    def told(many: list[Params]) -> np.ndarray:
        return np.stack(list(of_codes(space, codes(many), 100).values()), axis=1)

    task = Task(names, costs, mean, seen, canonical, np.zeros(2), 1.0, describe=told)
    random = [space.decode(code) for code in space.sample_codes(2000, rng)]
    slow = float(np.quantile(costs([params_of(space, c) for c in random]), 0.99))
    reference = np.array([0.5, slow])
    middle = {name: float(np.sqrt(d.low * d.high)) for name, d in names.items() if isinstance(d, FloatDistribution)}
    front = [params_of(space, candidate_of(space, params)) | middle for params in _largest(task, told)]
    true = hypervolume(_evolve(task), reference)
    return replace(task, reference=reference, truth=true, walk=partial(along, front))


def _largest(task: Task, told: Callable[[list[Params]], np.ndarray]) -> list[Params]:
    """Candidates along the front of MACs against latency, the fastest first, as changes of the best find them."""
    rng, decisions = np.random.default_rng(0), Decisions(task.space, {})
    codes = decisions.sample(2000, rng)
    for _ in range(ROUNDS):
        params = decisions.params(codes)
        points = np.column_stack([-told(params)[:, 0], task.costs(params)])
        best = np.flatnonzero(non_dominated(points))
        best = best[np.argsort(points[best, 1], kind="stable")]
        codes = np.concatenate([codes[best], decisions.mutate(codes[best], 800, rng)])
    return decisions.params(codes[: len(best)])


def _evolve(task: Task) -> np.ndarray:
    """The points of a long NSGA-II run."""
    from pymoo.optimize import minimize
    from pymoo_nsga2 import SpaceProblem, nsga2

    def values(many: list[Params]) -> np.ndarray:
        return np.concatenate([1 - task.mean(many)[:, None], task.costs(many)], axis=1)

    known = SpaceProblem(dict(task.space), 2, values)
    return np.asarray(minimize(known, nsga2(LONG[0]), ("n_gen", LONG[1]), seed=0).F)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("task", choices=("fbnet", "joint"))
    parser.add_argument("samplers", help="with commas between")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--evaluations", type=int, default=100)
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    task = fbnet(given.task == "joint")
    for sampler in given.samplers.split(","):
        for seed in range(given.seeds):
            seconds, new = 0.0, not given.out.exists()
            if sampler == WALK and task.walk:
                curve = walk_shares(task.walk, task, seed, given.evaluations)
            else:
                found = bench(task, sampler, seed, given.evaluations)
                curve, seconds = shares(task, found), float(np.median(found.seconds))
            with given.out.open("a", newline="") as file:
                writer = csv.writer(file, lineterminator="\n")
                if new:
                    writer.writerow(("task", "sampler", "seed", "evaluations", "share", "suggestion_s"))
                for n in BUDGETS:
                    if n <= len(curve):
                        row = (given.task, sampler, seed, n, f"{curve[n - 1]:.5f}", f"{seconds:.4f}")
                        writer.writerow(row)
            print(given.task, sampler, seed, f"{curve[-1]:.4f}", f"{seconds:.3f} s", flush=True)


if __name__ == "__main__":
    main()
