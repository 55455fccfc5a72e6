"""What `nas bench search` finds: one CSV that grows search by search, its means and spreads, and their curves."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from importlib.resources import files
from itertools import product
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from nas.charts import SERIES_COLORS, SERIES_LINES, literal, new_figure, png, set_grid, set_note, set_title
from nas.errors import UserError
from nas.files.atomic import write_atomic
from nas.files.csv import MOST_BYTES, append_rows, number, read_appended, whole_number
from nas.files.lock import locked
from nas.files.plain import read_bytes
from nas.pareto import Array
from nas.search.bench.run import WALK, Task, bench, shares, walk_shares
from nas.search.bench.task import read_task

COLUMNS = ("table", "sampler", "seed", "evaluations", "share", "suggestion_s")
Curves = dict[str, dict[int, Array]]  # by sampler and seed: shares after 1, 2, ... evaluations


@dataclass(frozen=True)
class Bench:
    """What is compared: samplers with so many seeds on one table. The rest as of `read_task`."""

    table: Path
    samplers: tuple[str, ...]
    seeds: int
    evaluations: int
    costs: tuple[str, ...] | None = None
    least_accuracy: float | None = None
    descriptors: tuple[str, ...] | None = None

    def task(self) -> Task:
        return read_task(self.table, self.costs, self.least_accuracy, self.descriptors)

    @property
    def name(self) -> str:
        """What the results are of: they are never mixed with those of another table or reference."""
        digest = hashlib.sha256(read_bytes(self.table, MOST_BYTES, "CSV"))
        given = (
            (self.costs, self.least_accuracy)
            if self.descriptors is None
            else (self.costs, self.least_accuracy, self.descriptors)
        )
        digest.update(repr(given).encode())
        return f"{self.table.stem}-{digest.hexdigest()[:12]}"


def run_bench(given: Bench, file: Path, on_progress: Callable[[int, int], object] = lambda done, total: None) -> Curves:
    """Runs what the file lacks, a process for each processor, and adds it to the file, search by search.

    Returns all that was asked for. Raises UserError for a table that is wrong, and a file of something else.
    """
    task = given.task()  # before anything is written
    if WALK in given.samplers and task.walk is None:
        raise UserError(f"{given.table}: {WALK} needs a column macs; it has none")
    with locked(file.parent, busy="another nas bench search is running in {path}; wait for it, or give another --out"):
        return _run_bench(given, file, on_progress)


def _run_bench(given: Bench, file: Path, on_progress: Callable[[int, int], object]) -> Curves:
    name, there = given.name, read_curves(file)
    if other := sorted({table for table, _, _ in there} - {name}):
        raise UserError(f"{file} holds results of another table or reference ({other[0]}); give another --out")
    wanted = list(product(given.samplers, range(given.seeds)))
    missing = [(s, k) for s, k in wanted if len(there.get((name, s, k), ())) < given.evaluations]
    on_progress(len(wanted) - len(missing), len(wanted))
    for done, (sampler, seed, found, seconds) in enumerate(_searches(given, missing), len(wanted) - len(missing) + 1):
        there[name, sampler, seed] = found
        rows = [(name, sampler, seed, n, f"{x:.5f}", f"{seconds:.4f}") for n, x in enumerate(found, 1)]
        append_rows(file, COLUMNS, rows)
        on_progress(done, len(wanted))
    curves: Curves = {}
    for sampler, seed in wanted:
        curves.setdefault(sampler, {})[seed] = there[name, sampler, seed][: given.evaluations]
    return curves


def _searches(given: Bench, missing: Sequence[tuple[str, int]]) -> Iterator[tuple[str, int, Array, float]]:
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # for the processes: one thread each
    with ProcessPoolExecutor(os.cpu_count(), mp_context=get_context("spawn")) as pool:
        running = {pool.submit(_search, given, sampler, seed): (sampler, seed) for sampler, seed in missing}
        try:
            for future in as_completed(running):
                yield *running[future], *future.result()
        finally:
            pool.shutdown(cancel_futures=True)


def _search(given: Bench, sampler: str, seed: int) -> tuple[Array, float]:
    task = given.task()
    if sampler == WALK and task.walk is not None:
        return np.round(walk_shares(task.walk, task, seed, given.evaluations), 5), 0.0
    found = bench(task, sampler, seed, given.evaluations)
    curve = np.round(shares(task, found), 5)
    still = np.full(given.evaluations - len(curve), curve[-1] if len(curve) else 0.0)  # it found no more
    return np.concatenate([curve, still]), float(np.median(found.seconds))


def read_curves(file: Path) -> dict[tuple[str, str, int], Array]:
    """The file's curves by table, sampler and seed; none where there is no file.

    Half a last line, of a process that was killed, is left out; of a search that is there twice, the longer one counts.
    Raises UserError for a file of something else.
    """
    curves: dict[tuple[str, str, int], list[float]] = {}
    for line, row in read_appended(file, COLUMNS, "nas bench search"):
        key = row["table"], row["sampler"], whole_number(row["seed"], file, line, "seed")
        n, share = whole_number(row["evaluations"], file, line, "evaluations", least=1), row["share"]
        curve = curves.setdefault(key, [])
        if n > len(curve) + 1:
            raise UserError(f"{file}: evaluations must rise by one; line {line} has {n} after {len(curve)}")
        if n == len(curve) + 1:
            curve.append(number(share, file, line, "share", least=0.0))
    return {key: np.array(curve) for key, curve in curves.items()}


def shipped_table() -> Path:
    """A small table to try it on, which experiments/search-efficiency/digits_table.py measured."""
    return Path(str(files("nas.search.bench"))) / "digits.csv"


def at_evaluations(curves: dict[int, Array], n: int) -> Array:
    """The shares after n evaluations, (seeds,)."""
    return np.array([curve[n - 1] for curve in curves.values()])


def short(sampler: str) -> str:
    """A sampler's name without its module."""
    return sampler.rpartition(":")[2]


def draw_curves(curves: Curves, title: str, path: Path) -> None:
    """Means over seeds as lines, one standard deviation as bands, into a PNG file."""
    figure = new_figure(7.2, 4.6)
    axes = figure.subplots()
    for i, (sampler, found) in enumerate(curves.items()):
        color, length = SERIES_COLORS[i % len(SERIES_COLORS)], max(map(len, found.values()))
        x = np.arange(1, length + 1)
        every = np.stack([at_evaluations(found, int(n)) for n in x])
        mean, spread = 100 * every.mean(axis=1), 100 * every.std(axis=1)
        line = SERIES_LINES[i // len(SERIES_COLORS) % len(SERIES_LINES)]
        axes.plot(x, mean, line, color=color, label=literal(short(sampler)), linewidth=1.8)
        axes.fill_between(x, mean - spread, mean + spread, color=color, alpha=0.15, linewidth=0)
    axes.set(xlabel="networks trained", ylabel="share of the true front's hypervolume (%)")
    first = min(10, max(1, length // 4))
    low = min(100 * at_evaluations(found, first).mean() for found in curves.values())
    axes.set(xlim=(first, length), ylim=(max(0, low - 5), 100.5))
    set_grid(axes)
    axes.legend(loc="lower right", frameon=False)
    seeds = max(map(len, curves.values()))
    set_title(figure, title)
    set_note(figure, f"Mean over {seeds} seeds; bands: one standard deviation.")
    figure.subplots_adjust(left=0.09, right=0.97, top=0.92, bottom=0.16)
    write_atomic(path, png(figure))
