"""How much of the true front's hypervolume samplers find within a number of trainings; see README.md.

    python experiments/search-efficiency/compare.py macro2 pareto --seeds 10 --evaluations 100 --out results.csv

Appends one row per task, sampler, seed and budget to the CSV.
"""

from __future__ import annotations

import argparse
import csv
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from optuna.distributions import CategoricalDistribution

from nas.device.profile import load_device
from nas.pareto import hypervolume, non_dominated
from nas.search.pareto_sampler import ParetoSampler
from nas.search.pricer import DevicePricer
from nas.space.search_space import SearchSpace, load_space

SHARED = Path(os.environ.get("NAS_SHARED_DATA") or Path(__file__).resolve().parents[3] / "shared/data")
BUDGETS = (16, 32, 50, 75, 100, 150, 200)
NOISE = 0.0018  # of one training's accuracy; what NAS-Bench-Macro's three seeds show above 85%


@dataclass(frozen=True)
class Task:
    """A search whose every accuracy is known: objectives are accuracy, then costs."""

    space: SearchSpace
    costs: Callable[[np.ndarray], np.ndarray]  # codes (n, d) to costs (n, k)
    mean: Callable[[np.ndarray], np.ndarray]  # codes (n, d) to the accuracy that scores a front (n,)
    seen: Callable[[np.ndarray, int], float]  # one code, a seed: the accuracy that the search sees
    reference: np.ndarray  # of 1 - accuracy and the costs
    truth: float  # hypervolume of the true front

    def code(self, params: dict[str, Any]) -> np.ndarray:
        return np.array(
            [
                c.options.index(params[c.name]) if c.name in params else 0 if c.options else c.low
                for c in self.space.choices
            ],
            float,
        )

    def params(self, code: np.ndarray) -> dict[str, Any]:
        return {c.name: c.options[int(x)] for c, x in zip(self.space.choices, code, strict=True) if len(c.options) > 1}

    def canonical(self, code: np.ndarray) -> np.ndarray:
        return self.space.encode(self.space.canonical(self.space.decode(code)))


def macro(objectives: int) -> Task:
    """NAS-Bench-Macro: latency, and energy, of a Raspberry Pi 4 from its shipped profile."""
    space = load_space("nas-bench-macro")
    rows = list(csv.DictReader((SHARED / "nas_bench_macro/nas_bench_macro.csv").open()))
    found = {row["arch"]: [float(row[f"acc_seed{k}"]) / 100 for k in range(3)] for row in rows}
    canonical = {row["arch"]: row["canonical_arch"] for row in rows}
    pricer = DevicePricer(load_device("raspberry-pi-4"), space, 10)
    columns = ("latency_ms", "energy_mj")[: objectives - 1]

    def name(code: np.ndarray) -> str:
        return "".join(str(int(x)) for x in code[:8])

    codes = np.array([[*map(int, row["arch"]), 0] for row in rows], float)
    prices = pricer.columns(codes)
    table = {name(code): [prices[c][i] for c in columns] for i, code in enumerate(codes)}

    def costs(codes: np.ndarray) -> np.ndarray:
        return np.array([table[name(code)] for code in codes])

    def mean(codes: np.ndarray) -> np.ndarray:
        return np.array([np.mean(found[canonical[name(code)]]) for code in codes])

    def seen(code: np.ndarray, seed: int) -> float:
        key = canonical[name(code)]
        return found[key][np.random.default_rng([seed, int("1" + key)]).integers(3)]

    points = np.concatenate([1 - mean(codes)[:, None], costs(codes)], axis=1)
    reference = np.array([0.15, *points[:, 1:].max(axis=0)])
    return Task(space, costs, mean, seen, reference, hypervolume(points, reference))


def fbnet() -> Task:
    """FBNet on a Pixel 3, from its shipped profile; the accuracy is made up.

    The error falls with the logarithm of MACs and parameters and flattens; each operation at each place has an effect
    of its own, and so has each pair of neighbours. The true front is taken to be that of 60,000 evaluations without
    noise by NSGA-II.
    """
    space = load_space("fbnet-cifar").only(("fp32",))
    pricer = DevicePricer(load_device("pixel-3-fbnet"), space, 100)
    rng = np.random.default_rng(4)
    layers, options = 22, 9
    single = 0.03 * rng.standard_normal((layers, options))
    pair = 0.02 * rng.standard_normal((layers - 1, options, options))

    def costs(codes: np.ndarray) -> np.ndarray:
        return pricer.columns(codes)["latency_ms"][:, None]

    def mean(codes: np.ndarray) -> np.ndarray:
        prices, ops = pricer.columns(codes), codes[:, :layers].astype(int)
        size = 0.7 * np.log(prices["macs"] / 3e7) + 0.3 * np.log(prices["params"] / 1e6)
        own = single[np.arange(layers), ops].sum(axis=1)
        both = pair[np.arange(layers - 1), ops[:, :-1], ops[:, 1:]].sum(axis=1)
        return 1 - np.exp(np.log(0.3) - 0.6 * np.tanh(0.7 * size) + own + both).clip(0.01, 0.99)

    def seen(code: np.ndarray, seed: int) -> float:
        noise = np.random.default_rng([seed, *code.astype(int)]).standard_normal()
        return float(mean(code[None])[0] + NOISE * noise)

    points = _evolve(space, lambda c: np.concatenate([1 - mean(c)[:, None], costs(c)], axis=1))
    reference = np.array([0.5, np.quantile(costs(space.sample_codes(2000, rng)), 0.99)])
    return Task(space, costs, mean, seen, reference, hypervolume(points, reference))


def _evolve(space: SearchSpace, values: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """The points of a long NSGA-II run (pymoo)."""
    from pymoo.algorithms.moo.nsga2 import NSGA2
    from pymoo.optimize import minimize

    algorithm = NSGA2(pop_size=300, eliminate_duplicates=True, **_integer())
    return np.asarray(minimize(_problem(space, 2, values), algorithm, ("n_gen", 200), seed=0).F)


def _integer() -> dict[str, Any]:
    from pymoo.operators.crossover.ux import UX
    from pymoo.operators.sampling.rnd import IntegerRandomSampling

    return {"sampling": IntegerRandomSampling(), "crossover": UX(), "mutation": _redraw()}


def _redraw() -> Any:
    from pymoo.core.mutation import Mutation

    class Redraw(Mutation):  # type: ignore[misc]
        """Each variable is drawn anew with probability 1/d."""

        def _do(self, problem: Any, x: np.ndarray, *args: Any, random_state: Any = None, **kwargs: Any) -> np.ndarray:
            rng = random_state if random_state is not None else np.random
            fresh = np.floor(rng.random(x.shape) * (problem.xu - problem.xl + 1)) + problem.xl
            return np.where(rng.random(x.shape) < 1 / x.shape[1], fresh.astype(int), x)

    return Redraw()


def _problem(space: SearchSpace, m: int, values: Callable[[np.ndarray], np.ndarray]) -> Any:
    from pymoo.core.problem import Problem

    top = np.array([max(len(c.options) - 1, 0) for c in space.choices])

    class Table(Problem):  # type: ignore[misc]
        def _evaluate(self, x: np.ndarray, out: dict[str, Any], *args: Any, **kwargs: Any) -> None:
            out["F"] = values(np.asarray(x, float))

    return Table(n_var=len(top), n_obj=m, xl=np.zeros(len(top)), xu=top, vtype=int)


def sampler_of(name: str, task: Task, seed: int) -> optuna.samplers.BaseSampler:
    if name == "pareto":
        return ParetoSampler(
            known_many=lambda many: [[None, *row] for row in task.costs(np.array([task.code(p) for p in many]))],
            canonical=lambda p: task.params(task.canonical(task.code(p))), seed=seed, space=distributions(task),
        )  # fmt: skip
    if name == "tpe":
        return optuna.samplers.TPESampler(multivariate=True, seed=seed)
    if name == "nsga2":
        return optuna.samplers.NSGAIISampler(seed=seed)
    if name == "gp":
        return optuna.samplers.GPSampler(seed=seed)
    return optuna.samplers.RandomSampler(seed=seed)


def distributions(task: Task) -> dict[str, Any]:
    return {c.name: CategoricalDistribution(c.options) for c in task.space.choices if len(c.options) > 1}


def search(task: Task, name: str, seed: int, evaluations: int) -> tuple[list[np.ndarray], list[float], float]:
    """Codes and accuracies in the order of their first evaluation, and the median seconds of a suggestion.

    A candidate that builds a network already trained is told its accuracy and costs no evaluation, in every sampler.
    """
    trained: dict[bytes, tuple[np.ndarray, float]] = {}

    def accuracy(code: np.ndarray) -> float:
        code = task.canonical(code)
        if code.tobytes() not in trained:
            trained[code.tobytes()] = code, task.seen(code, seed)
        return trained[code.tobytes()][1]

    def objectives(codes: np.ndarray) -> np.ndarray:
        return np.array([[1 - accuracy(c), *task.costs(c[None])[0]] for c in codes])

    seconds = []
    if name == "pymoo-nsga2":
        from pymoo.algorithms.moo.nsga2 import NSGA2

        algorithm = NSGA2(pop_size=20, eliminate_duplicates=True, **_integer())
        algorithm.setup(_problem(task.space, len(task.reference), objectives), termination=("n_gen", 100000), seed=seed)
        for _ in range(evaluations):
            if len(trained) < evaluations:
                algorithm.next()
    else:
        study = optuna.create_study(
            directions=["maximize"] + ["minimize"] * (len(task.reference) - 1), sampler=sampler_of(name, task, seed)
        )
        for _ in range(4 * evaluations):
            if len(trained) >= evaluations:
                break
            begun = time.perf_counter()
            trial = study.ask(distributions(task))
            seconds.append(time.perf_counter() - begun)
            code = task.code(trial.params)
            study.tell(trial, [accuracy(code), *task.costs(code[None])[0]])
    codes, accuracies = zip(*trained.values(), strict=True)
    return list(codes), list(accuracies), float(np.median(seconds or [0.0]))


def share(task: Task, codes: list[np.ndarray], accuracies: list[float]) -> float:
    """The hypervolume of the front chosen by what was seen, scored by the mean accuracy, as a share of the truth."""
    at = np.array(codes)
    costs = task.costs(at)
    chosen = non_dominated(np.concatenate([1 - np.array(accuracies)[:, None], costs], axis=1))
    points = np.concatenate([1 - task.mean(at)[:, None], costs], axis=1)[chosen]
    return hypervolume(points, task.reference) / task.truth


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("task", choices=("macro2", "macro3", "fbnet"))
    parser.add_argument("sampler")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--evaluations", type=int, default=100)
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    task = fbnet() if given.task == "fbnet" else macro(int(given.task[-1]))
    for seed in range(given.seeds):
        codes, accuracies, median = search(task, given.sampler, seed, given.evaluations)
        new = not given.out.exists()
        with given.out.open("a", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            if new:
                writer.writerow(("task", "sampler", "seed", "evaluations", "share", "median_suggestion_s"))
            for n in BUDGETS:
                if n <= given.evaluations:
                    found = share(task, codes[:n], accuracies[:n])
                    writer.writerow((given.task, given.sampler, seed, n, f"{found:.5f}", f"{median:.4f}"))
        print(given.task, given.sampler, seed, f"{share(task, codes, accuracies):.4f}", f"{median:.3f} s", flush=True)


if __name__ == "__main__":
    main()
