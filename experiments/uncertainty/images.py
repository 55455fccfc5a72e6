"""How much of a network's luck on its validation images stays when it is trained again? See README.md.

python images.py npz:cifar10.npz --out images.csv
python images.py simulated --out images_simulated.csv      # answers drawn from a model, no training

A few networks are trained twice each, and run on 10,000 images that are no training images: the truth is the mean
accuracy of a network's two trainings on all of them. Then validation images are drawn from these, many times. Errors
are of differences between two networks, root mean square in points; luck on images alone, as the trainings are given.
"""

from __future__ import annotations

import argparse
import csv
from itertools import combinations
from pathlib import Path

import numpy as np
import torch

from nas.data.catalog import load_dataset
from nas.data.dataset import Split
from nas.models.builder import build
from nas.models.parts import silence_residuals
from nas.space.candidate import Candidate
from nas.space.network import Network
from nas.space.search_space import SearchSpace, load_space
from nas.tasks.classification import Classification
from nas.tasks.task import Task
from nas.train.loop import fit, normalize
from nas.train.recipe import recipe

SIZE, BATCH, DRAWS = 32, 256, 500
EASE, OWN, SEED = 1.0, 0.4, 0.6  # simulated: standard deviations of an image's ease, for all, a network, a training
COLUMNS = ("images", "errors_same", "errors_anew", "errors_anew_shifted", "errors_once", "seeds")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("dataset")
    parser.add_argument("--networks", type=int, default=6)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--train", type=int, default=6000)
    parser.add_argument("--out", type=Path, required=True)
    asked = parser.parse_args()
    right = simulated(asked.networks) if asked.dataset == "simulated" else trained(asked)
    report(right, asked.out)


def simulated(networks: int) -> np.ndarray:
    """Of two trainings of each network on 10,000 images: right where the network and an image's ease exceed 0."""
    rng = np.random.default_rng(1)
    level, ease = np.linspace(0.3, 0.8, networks)[:, None, None], EASE * rng.standard_normal(10_000)
    own = OWN * rng.standard_normal((networks, 1, 10_000))
    return (level + ease + own + SEED * rng.standard_normal((networks, 2, 10_000)) > 0) * 1.0


def trained(asked: argparse.Namespace) -> np.ndarray:
    data = load_dataset(asked.dataset)
    train = data.train.subset(torch.arange(asked.train))
    rest = data.train.subset(torch.arange(len(data.train) - 10_000, len(data.train)))
    space, rng = load_space("tiny"), np.random.default_rng(0)
    return np.array([
        [answers(network, Classification(data.classes), train, rest, asked.epochs, seed) for seed in (0, 1)]
        for network in (network_of(space, rng, len(data.classes)) for _ in range(asked.networks))
    ])  # fmt: skip


def report(right: np.ndarray, out: Path) -> None:
    reached = right.mean(axis=2)
    print("accuracies", reached.round(3).tolist(), flush=True)
    centered = right - right.mean(axis=2, keepdims=True)
    variance = centered.var(axis=2).mean()
    seeds = np.mean([np.mean(a[0] * a[1]) for a in centered]) / variance
    others = np.mean([np.mean(a[s] * b[t]) for a, b in combinations(centered, 2) for s in (0, 1) for t in (0, 1)])
    print(f"correlation of being right: two seeds of a network {seeds:.3f}, two networks {others / variance:.3f}")
    rows = [errors(right, number) for number in (250, 500, 1000, 2000)]
    with out.open("w", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([COLUMNS, *rows])
    for row in rows:
        print(*row)


def network_of(space: SearchSpace, rng: np.random.Generator, classes: int) -> Network:
    return space.network(Candidate.of(space.sample(rng).as_dict() | {"resolution": SIZE}), classes)


def answers(network: Network, task: Task, train: Split, rest: Split, epochs: int, seed: int) -> np.ndarray:
    """Which of the images a training of the network gets right."""
    model = build(network, seed=seed)
    silence_residuals(model)
    few = rest.subset(torch.arange(BATCH))
    chosen = recipe({"optimizer": "adamw"}, epochs=epochs, batch_size=64, resolution=SIZE)
    fit(model, task, train, few, chosen, seed=seed, flip=True)
    with torch.inference_mode():
        parts = [
            model(normalize(rest.images.take(part, SIZE))).argmax(1) == rest.labels[part]
            for part in torch.arange(len(rest)).split(BATCH)
        ]
    return torch.cat(parts).numpy()


def errors(right: np.ndarray, images: int) -> tuple[object, ...]:
    """Of right (networks, seeds, images): both trainings on the same images, or the second on others.

    Half of the networks are trained twice. The shift between the two draws is left as it is, or taken away as the mean
    over the first trainings of these, which are run on the second draw too. `seeds`: the deviation of such differences
    by seeds.
    """
    rng, truth = np.random.default_rng(0), right.mean(axis=(1, 2))
    found: dict[str, list[np.ndarray]] = {name: [] for name in COLUMNS[1:5]}
    repeated = len(right) // 2  # of the networks; the others are trained once, and measured on the first draw
    for _ in range(DRAWS):
        drawn = rng.permutation(right.shape[2])[: 2 * images]
        first, second = right[:, :, drawn[:images]].mean(axis=2), right[:, :, drawn[images:]].mean(axis=2)
        again = rng.permutation(len(right))[:repeated]
        shift = float((second[again, 0] - first[again, 0]).mean())
        own, once = right.mean(axis=2)[:, 0], first[:, 0]
        for name, values in (
            ("errors_same", first.mean(axis=1)), ("errors_anew", (first[:, 0] + second[:, 1]) / 2),
            ("errors_anew_shifted", (first[:, 0] + second[:, 1] - shift) / 2),
        ):  # fmt: skip
            mixed, of = once - own, values - truth  # luck of those trained once, and of those trained twice
            luck = mixed.copy()
            luck[again] = of[again]
            found[name].append(np.array([luck[a] - luck[b] for a, b in combinations(range(len(luck)), 2)]))
        found["errors_once"].append(np.array([mixed[a] - mixed[b] for a, b in combinations(range(len(mixed)), 2)]))
    spread = np.sqrt(2 * right.mean(axis=2).var(axis=1, ddof=1).mean())
    return (images, *(f"{100 * np.sqrt(np.mean(np.square(v))):.3f}" for v in found.values()), f"{100 * spread:.3f}")


if __name__ == "__main__":
    main()
