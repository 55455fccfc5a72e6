"""Does it pay to search hyperparameters together with the architecture? A row a run; see README.md.

    python joint.py [--seeds 5] [--trials 24] [--out joint.csv]

The same space with and without its hyperparameters, equally many trainings of equally many steps. Appends to joint.csv;
runs that are there already are left out. At the end the table is printed, from the CSV alone.
"""

from __future__ import annotations

import argparse
import re
import tempfile
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch

import nas
from nas.device.profile import load_device
from nas.files.csv import append_rows, read_appended
from nas.run import Trial, front_volume
from nas.search.problem.costs import DevicePricer
from nas.space.search_space import load_space

ARMS = {
    "joint": "learning rate, weight decay and label smoothing searched together with the architecture",
    "joint, random": "the same by the random sampler",
    "fixed": "the recipe's defaults for every network",
    "fixed, tuned": "for every network those of the most accurate network of the joint search of the next seed",
}
TUNED = ("learning_rate", "weight_decay", "label_smoothing")
FIGURES = ("hypervolume", "test_hypervolume", "picked_test", "best_test", "mean_test")
COLUMNS = ("arm", "seed", "trials", "trained", "failed", "seconds", "front", *FIGURES, *TUNED)
POOL = 2000  # random candidates, the slowest of which sets the reference point of all hypervolumes


def derived(text: str, hyperparameters: Mapping[str, str] | None, largest: int) -> str:
    """The text of a space without its larger resolutions, and with these values instead of its hyperparameters.

    None leaves them as they are.
    """
    sizes = [int(n) for n in re.findall(r"\d+", re.search(r"^resolution = \[(.*?)\]", text, re.M | re.S)[1])]  # type: ignore[index]
    kept = [n for n in sizes if n <= largest]
    text = re.sub(r"^resolution = \[.*?\]", f"resolution = {kept}", text, count=1, flags=re.M | re.S)
    if hyperparameters is None:
        return text
    lines = "".join(f"{name} = [{value}]\n" for name, value in hyperparameters.items())
    table = f"[hyperparameters]\n{lines}\n" if lines else ""
    return re.sub(r"^\[hyperparameters\]\n.*?(?=^\[|\Z)", table, text, count=1, flags=re.M | re.S)


def reference(asked: argparse.Namespace) -> float:
    """Milliseconds: a tenth above the slowest of many random candidates, the same for every run."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "space.toml"
        path.write_text(derived(load_space(asked.space).text, {}, asked.largest))
        space = load_space(str(path))
    codes = space.sample_codes(POOL, np.random.default_rng(0))
    slowest = DevicePricer(load_device(asked.device), space, 10).columns(codes)["latency_ms"].max()
    return 1.1 * float(slowest)


def searched(asked: argparse.Namespace, arm: str, seed: int, fixed: Mapping[str, str] | None) -> tuple[object, ...]:
    """The row of one run."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "space.toml"
        path.write_text(derived(load_space(asked.space).text, fixed, asked.largest))
        run = nas.search(
            asked.device, str(path), asked.dataset, ("accuracy", "latency"), trials=asked.trials, confirm=0.0,
            sampler="random" if arm == "joint, random" else "pareto", seed=seed, out=Path(folder) / "run",
            proxy={"epochs": asked.epochs, "batch_size": asked.batch_size},
        )  # fmt: skip
    settings = replace(run.settings, reference_point={**run.settings.reference_point, "latency_ms": asked.reference})
    front = [t for t in run.front_trials if t.test_accuracy is not None]
    tested = [t.test_accuracy or 0.0 for t in front]
    picked = max(front, key=believed)
    figures = (
        front_volume(run.trials, settings),
        front_volume([replace(t, accuracy=t.test_accuracy, expected_accuracy=None) for t in front], settings),
        picked.test_accuracy or 0.0, max(tested), float(np.mean(tested)),
    )  # fmt: skip
    trained = [t for t in run.trials if t.state == "trained"]
    values = picked.candidate.as_dict()
    return (
        arm, seed, len(run.trials), len(trained), len(run.trials) - len(trained),
        f"{sum(t.seconds for t in run.trials):.1f}", len(front), *(f"{x:.5f}" for x in figures),
        *(values.get(name, "") for name in TUNED),
    )  # fmt: skip


def believed(trial: Trial) -> float:
    return trial.expected_accuracy or trial.accuracy or 0.0


def report(rows: list[Mapping[str, str]]) -> None:
    """The mean of the seeds, and the difference to the joint search of the same seed with its standard error."""
    by = {(row["arm"], row["seed"]): row for row in rows}
    print(f"\n| | seeds | failed | seconds a run | {' | '.join(f.replace('_', ' ') for f in FIGURES)} |")
    print("|---" * (4 + len(FIGURES)) + "|")
    for arm in ARMS:
        own = [row for row in rows if row["arm"] == arm]
        if not own:
            continue
        cells = []
        for name in FIGURES:
            mean = 100 * np.mean([float(row[name]) for row in own])
            pairs = [(r, by["joint", r["seed"]]) for r in own if ("joint", r["seed"]) in by]
            less = 100 * np.array([float(row[name]) - float(joint[name]) for row, joint in pairs])
            paired = arm != "joint" and len(less) > 1
            error = f" ({less.mean():+.2f} ±{less.std(ddof=1) / np.sqrt(len(less)):.2f})" if paired else ""
            cells.append(f"{mean:.2f}{error}")
        failed, seconds = (np.mean([float(row[n]) for row in own]) for n in ("failed", "seconds"))
        print(f"| {arm} | {len(own)} | {failed:.1f} | {seconds:.0f} | {' | '.join(cells)} |")
    print("\nin brackets: less that of the joint search of the same seed, mean and its standard error")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--device", default="raspberry-pi-4")
    parser.add_argument("--space", default="tiny")
    parser.add_argument("--dataset", default="digits")
    parser.add_argument("--arms", nargs="+", choices=list(ARMS), default=list(ARMS))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--trials", type=int, default=24)
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--largest", type=int, default=48, help="pixels: larger resolutions of the space are left out")
    parser.add_argument("--processes", type=int, default=2, help="runs at a time, with one thread each")
    parser.add_argument("--out", type=Path, default=Path("joint.csv"))
    asked = parser.parse_args()
    asked.reference = reference(asked)
    known = {
        None: [a for a in asked.arms if a != "fixed, tuned"],
        "joint": [a for a in asked.arms if a == "fixed, tuned"],
    }
    with ProcessPoolExecutor(asked.processes, get_context("spawn")) as pool:
        for needs, arms in known.items():  # the tuned ones begin when all joint searches are over
            there = {(row["arm"], row["seed"]): row for row in rows_of(asked.out)}
            waiting = []
            for seed in range(asked.seeds):
                for arm in arms:
                    if (arm, str(seed)) in there:
                        continue
                    fixed: Mapping[str, str] | None = {} if arm == "fixed" else None
                    if needs:
                        other = there.get(("joint", str((seed + 1) % asked.seeds)))
                        if other is None:
                            parser.error("the arm 'fixed, tuned' needs the arm joint")
                        fixed = {name: other[name] for name in TUNED if other[name]}
                    waiting.append(pool.submit(searched, asked, arm, seed, fixed))
            for done in as_completed(waiting):
                append_rows(asked.out, COLUMNS, [done.result()])
                print(*done.result(), flush=True)
    report(rows_of(asked.out))


def rows_of(path: Path) -> list[Mapping[str, str]]:
    return [row for _, row in read_appended(path, COLUMNS, "joint.py")]


if __name__ == "__main__":
    main()
