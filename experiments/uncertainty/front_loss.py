"""What a front promises on validation and holds on test images: the raw front, and the confirmed one of the same run.

    python front_loss.py --device raspberry-pi-4 --seeds 10 --out front_loss.csv
    python front_loss.py --runs guided-0 guided-1        # finished searches: their final fronts alone

Of each seed a search is run. Its raw front is formed of first trainings alone, as they stood when it began to confirm;
all networks of both fronts are measured on the test split.
"""

from __future__ import annotations

import argparse
import csv
import math
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np

import nas
from nas.catalog import home
from nas.data.catalog import load_dataset
from nas.estimate.estimator import Estimator
from nas.models.trained import TrainedModel, load_trial
from nas.pareto import non_dominated
from nas.run import Run, Trial, load_run, pareto_trials, points
from nas.search.estimator import estimator_of
from nas.search.progress import Progress
from nas.space.search_space import SearchSpace, load_space

TOLD_APART = 1.28  # standard deviations of a difference: the better one is so with a probability of 90%


def main() -> None:
    """A row a seed, and the means."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--device", default="raspberry-pi-4")
    parser.add_argument("--space", default="tiny")
    parser.add_argument("--dataset", default="digits")
    parser.add_argument("--trials", type=int, default=42)  # as the default job of five minutes here: 33 new, 9 again
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--confirm", type=float, default=0.2)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--controls", type=int, default=8, help="random networks that tell how hard the test split is")
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("front_loss.csv"))
    parser.add_argument("--runs", nargs="+", type=Path, help="finished runs, whose fronts were measured on test images")
    asked = parser.parse_args()
    if asked.runs:
        finished(asked.runs)
        return
    rows = []
    for seed in range(asked.first_seed, asked.first_seed + asked.seeds):
        with tempfile.TemporaryDirectory() as folder:
            rows.append(measure(asked, seed, Path(folder) / "run"))
        print(rows[-1], flush=True)
        with asked.out.open("w") as file:
            writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)
    print({name: round(float(np.mean([row[name] for row in rows])), 3) for name in rows[0]})


def finished(paths: list[Path]) -> None:
    """Prints what the front of each run promised beyond its test accuracies, and what is dominated there."""
    found = []
    for path in paths:
        run = load_run(path)
        front = [t for t in run.front_trials if t.test_accuracy is not None]
        found.append((len(front), promised(front), 100 * dominated(run, on_test(front))))
        print(f"{path.name}: {found[-1][0]} networks, {found[-1][1]:+.2f} points, {found[-1][2]:.0f}% dominated")
    means, errors = np.mean(found, axis=0), np.std(found, axis=0, ddof=1) / math.sqrt(len(found))
    print(f"mean {means[1]:+.2f} ± {errors[1]:.2f} points, {means[2]:.0f} ± {errors[2]:.0f}% dominated")


def promised(front: list[Trial]) -> float:
    """Points of accuracy beyond those on test images, mean."""
    return 100 * mean([(t.expected_accuracy or t.accuracy or 0.0) - (t.test_accuracy or 0.0) for t in front])


def on_test(front: list[Trial]) -> list[Trial]:
    return [replace(t, accuracy=t.test_accuracy, expected_accuracy=None) for t in front]


def measure(asked: argparse.Namespace, seed: int, path: Path) -> dict[str, float]:
    """Losses in points of accuracy, and shares, of one search."""
    first: dict[int, TrainedModel] = {}  # the raw front's, before the search drops those that the final one lacks
    before: list[Trial] = []

    def watch(progress: Progress) -> None:
        if progress.confirming and not before:  # trials.csv still has what the first trainings gave
            before.extend(load_run(path).trials)
            raw = pareto_trials(before, load_run(path).settings)
            first.update({t.trial: load_trial(path, t.trial) for t in raw})

    run = nas.search(
        asked.device, asked.space, asked.dataset, trials=asked.trials, confirm=asked.confirm, seed=seed, out=path,
        proxy={"epochs": asked.epochs, "batch_size": asked.batch_size}, on_progress=watch,
    )  # fmt: skip
    if not before:  # no network was trained again
        before = [replace(t, expected_accuracy=None) for t in run.trials]
        kept = {t.trial for t in run.trials if run.model(t.trial).exists()}
        first = {t.trial: load_trial(path, t.trial) for t in pareto_trials(before, run.settings) if t.trial in kept}
    dataset = load_dataset(run.settings.dataset, seed=seed, cache_dir=home() / "datasets")
    space = load_space(run.settings.space)
    estimator = estimator_of(run.settings, dataset, space)
    shifts = [shift(estimator, space, run, number) for number in range(asked.controls)]
    raw = [t for t in pareto_trials(before, run.settings) if t.trial in first]
    tested = {number: estimator.test_accuracy(model) for number, model in first.items()}
    front = [t for t in run.front_trials if t.test_accuracy is not None]
    return {
        "seed": seed, "networks": len(run.trials), "trainings": sum(t.trainings for t in run.trials),
        "validation_images": len(dataset.validation), "test_images": len(dataset.test_split()),
        "raw_front": len(raw), "front": len(front),
        "raw_loss": 100 * mean([(t.accuracy or 0.0) - tested[t.trial] for t in raw]),
        "loss": promised(front),
        "shift": 100 * mean(shifts),
        "raw_dominated": dominated(run, [replace(t, accuracy=tested[t.trial]) for t in raw]),
        "dominated": dominated(run, on_test(front)),
        "told_apart": told_apart(front, run),
        "inside": inside(front, len(dataset.validation), len(dataset.test_split())),
    }  # fmt: skip


def shift(estimator: Estimator, space: SearchSpace, run: Run, number: int) -> float:
    """Validation less test accuracy of a random network, which nobody chose: what the two splits alone make."""
    candidate = space.sample(np.random.default_rng([run.settings.seed, number, 7]))
    network = space.network(candidate, run.settings.classes)
    found = estimator.estimate(network, candidate.as_dict(), seed=number)
    return math.nan if found.model is None else found.accuracy - estimator.test_accuracy(found.model)


def dominated(run: Run, tested: list[Trial]) -> float:
    """The share of a front's networks that another one of it beats on the test split."""
    return float(1 - non_dominated(points(tested, run.settings)).mean()) if tested else math.nan


def inside(front: list[Trial], validation: int, test: int) -> float:
    """The share of a front's networks whose test accuracy is within the 90% interval, the test's own noise included."""
    found = []
    for t in front:
        p = t.expected_accuracy or t.accuracy or 0.0
        noise = math.sqrt((t.accuracy_deviation or 0.0) ** 2 + p * (1 - p) * (1 / validation + 1 / test))
        found.append(abs((t.test_accuracy or 0.0) - p) <= 1.645 * noise)
    return mean([float(x) for x in found])


def told_apart(front: list[Trial], run: Run) -> int:
    """The networks of a chain, from the cheapest, of which each is more accurate than the one before."""
    chain: list[Trial] = []
    for t in sorted(front, key=lambda t: t.value(run.settings.first_cost)):
        gain = (t.expected_accuracy or 0.0) - (chain[-1].expected_accuracy or 0.0) if chain else math.inf
        noise = math.hypot(t.accuracy_deviation or 0.0, (chain[-1].accuracy_deviation or 0.0) if chain else 0.0)
        if gain > TOLD_APART * noise:
            chain.append(t)
    return len(chain)


def mean(values: list[float]) -> float:
    return float(np.mean(values)) if values else math.nan


if __name__ == "__main__":
    main()
