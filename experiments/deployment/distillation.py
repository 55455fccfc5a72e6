"""Does a larger teacher help? A student with one against the same student alone, equally long. See README.md.

    python distillation.py npz:cifar10.npz [--images 8000] [--epochs 12] [--seeds 3] [--out distillation.csv]

The teacher is trained once. Every student has the same images, epochs and recipe; a seed draws its weights, order and
augmentation, alone and with the teacher. Trainings whose row is in the file already are not done again.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from statistics import fmean, stdev

import torch

from nas.data.catalog import load_dataset
from nas.data.dataset import Dataset
from nas.files.csv import append_rows, read_appended
from nas.models.trained import TrainedModel
from nas.space.candidate import Candidate
from nas.space.network import Network
from nas.space.search_space import load_space
from nas.train.distill import Teacher, teacher_of
from nas.train.full import train_full
from nas.train.full_folder import read_result
from nas.train.full_recipe import full_recipe

COLUMNS = ("network", "macs_m", "teacher", "temperature", "alpha", "seed", "test", "validation", "seconds")
CPU = torch.device("cpu")
BATCH = 64
ARMS = (("none", 4.0, 0.9), ("larger", 4.0, 0.9), ("larger", 2.0, 0.5))  # teacher, temperature, alpha
HELD = 2000  # validation images


def network(width: float, depth: int, expand: int) -> Network:
    """Of the space tiny at 32 pixels: every stage has the same depth, kernel 3 and the same expansion."""
    space = load_space("tiny")
    values = {c.name: c.options[0] for c in space.choices if c.options}
    values |= {"resolution": 32, "width": width, "precision": "fp32"}
    for name in values:
        for kind, value in (("depth", depth), ("kernel", 3), ("expand", expand)):
            if name.endswith(f".{kind}"):
                values[name] = value
    return space.network(Candidate.of(values), 10)


def some(data: Dataset, images: int) -> Dataset:
    """So many training images and 2,000 others to validate, in the same mix of classes; all test images."""
    train = data.train.share(images / len(data.train), 0)
    return replace(data, train=train, validation=data.validation.share(HELD / len(data.validation), 0))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("dataset")
    parser.add_argument("--images", type=int, default=8000)
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--teacher-epochs", type=int, default=16)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=Path("distillation.csv"))
    asked = parser.parse_args()
    data = some(load_dataset(asked.dataset), asked.images)
    small, large = network(0.5, 1, 4), network(1.0, 3, 6)
    place = Path("distillation")  # a killed training goes on there

    def train(name: str, net: Network, teacher: Teacher | None, t: float, a: float, seed: int) -> TrainedModel:
        epochs = asked.teacher_epochs if net is large else asked.epochs
        recipe = full_recipe({}, images=len(data.train), resolution=32, batch_size=BATCH, epochs=epochs,
                             temperature=t, alpha=a)  # fmt: skip
        folder = place / f"{name}-{t:g}-{a:g}-{seed}"
        model = train_full(net, data, recipe, folder, seed=seed, teacher=teacher, device=CPU)
        result = read_result(folder)
        key = (name, f"{t:g}", f"{a:g}", str(seed))
        if key not in {(r["teacher"], r["temperature"], r["alpha"], r["seed"]) for r in rows()}:
            found = result.accuracy["fp32"]
            row = ("teacher" if net is large else "student", f"{net.macs / 1e6:.2f}", name, f"{t:g}", f"{a:g}", seed,
                   f"{found.test:.4f}", f"{found.validation:.4f}", f"{result.seconds:.0f}")  # fmt: skip
            append_rows(asked.out, COLUMNS, [row])
            print(*row, sep=" | ", flush=True)
        return model

    def rows() -> list[dict[str, str]]:
        return [dict(row) for _, row in read_appended(asked.out, COLUMNS, "distillation.py")]

    larger = teacher_of(train("itself", large, None, 4.0, 0.9, 0), "larger", CPU)
    for arm in (ARMS[:2], ARMS[2:]):
        for seed in range(asked.seeds):
            for name, t, a in arm:
                train(name, small, larger if name != "none" else None, t, a, seed)
    tests = {
        arm: [float(r["test"]) for r in sorted(rows(), key=lambda r: int(r["seed"]))
              if (r["teacher"], float(r["temperature"]), float(r["alpha"])) == arm]
        for arm in ARMS
    }  # fmt: skip
    for arm in ARMS[1:]:
        gains = [100 * (b - a) for a, b in zip(tests[ARMS[0]], tests[arm], strict=True)]
        error = stdev(gains) / len(gains) ** 0.5 if len(gains) > 1 else float("nan")
        taught, alone = 100 * fmean(tests[arm]), 100 * fmean(tests[ARMS[0]])
        print(f"T {arm[1]:g}, alpha {arm[2]:g}: {taught:.2f}% against {alone:.2f}% alone, {fmean(gains):+.2f} "
              f"±{error:.2f} points over {len(gains)} seeds")  # fmt: skip


if __name__ == "__main__":
    main()
