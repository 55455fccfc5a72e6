"""Which short training ranks networks best for its seconds? A row for each recipe, network and seed; see README.md.

    python recipes.py nas_bench_macro.csv cifar10.npz --recipe "adamw, 16 then 32 px" [--networks 24] [--best 8]

Appends to recipes.csv; what is there already is left out. One thread, processor seconds. Residual blocks begin as
identities, every image is seen once, without augmentation, and the learning rate falls to 0.
"""

from __future__ import annotations

import argparse
import math
from dataclasses import dataclass, replace
from pathlib import Path
from time import process_time

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from nas.data.catalog import load_dataset
from nas.data.dataset import Dataset
from nas.estimate.bench.measurements import choose
from nas.estimate.table import read_known
from nas.files.csv import append_rows, read_appended
from nas.models.builder import build
from nas.models.parts import silence_residuals
from nas.space.network import Network
from nas.space.search_space import load_space
from nas.tasks.classification import Classification
from nas.train.loop import calibrate, measure, normalize, spread

COLUMNS = ("recipe", "network", "seed", "accuracy", "log_loss", "train_loss", "seconds", "truth", "best_tenth")
SMALL = 16  # pixels


@dataclass(frozen=True)
class Recipe:
    passes: int  # images seen at 16 pixels
    last_passes: int = 0  # and then at 32
    learning_rate: float = 0.004
    decay: float = 0.05
    sgd: bool = False


RECIPES = {
    "sgd, 16 px": Recipe(26_000, learning_rate=0.1, decay=5e-4, sgd=True),
    "adamw, 16 px": Recipe(26_000),
    "adamw, 16 then 32 px": Recipe(14_000, 3_500),
}
BATCH = 64
WARMUP = 0.1


def train(network: Network, recipe: Recipe, data: Dataset, seed: int) -> tuple[nn.Module, float, int]:
    """The trained module, the mean training loss of its last fifth, and the resolution at the end."""
    generator = torch.Generator().manual_seed(seed)
    model = build(network, seed=seed).to(memory_format=torch.channels_last)
    silence_residuals(model)
    groups = [
        {"params": [p for p in model.parameters() if p.ndim > 1], "weight_decay": recipe.decay},
        {"params": [p for p in model.parameters() if p.ndim <= 1], "weight_decay": 0.0},
    ]
    optimizer: torch.optim.Optimizer = torch.optim.AdamW(groups, lr=recipe.learning_rate)
    if recipe.sgd:
        optimizer = torch.optim.SGD(groups, lr=recipe.learning_rate, momentum=0.9, nesterov=True)
    small = recipe.passes // BATCH
    steps = small + recipe.last_passes // BATCH
    warmup = max(1, round(WARMUP * steps))
    epochs = math.ceil(steps * BATCH / len(data.train))
    order = torch.cat([torch.randperm(len(data.train), generator=generator) for _ in range(epochs)])
    losses = []
    model.train()
    for step in range(steps):
        share = (step + 1) / warmup if step < warmup else 1 - (step - warmup) / max(1, steps - warmup)
        for group in optimizer.param_groups:
            group["lr"] = recipe.learning_rate * share
        rows = order[step * BATCH : (step + 1) * BATCH]
        resolution = SMALL if step < small else network.input_shape[1]
        logits = model(normalize(data.train.images.take(rows, resolution)))
        loss = F.cross_entropy(logits, data.train.labels[rows])
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 5.0)
        optimizer.step()
        losses.append(float(loss.detach()))
    calibrate(model, data.train, resolution, 1024)
    return model, float(np.mean(losses[-len(losses) // 5 :])), resolution


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("table", type=Path)
    parser.add_argument("images")
    parser.add_argument("--recipe", choices=list(RECIPES), required=True)
    parser.add_argument("--networks", type=int, default=24)
    parser.add_argument("--best", type=int, default=8)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--scale", type=float, default=1.0, help="so many times the images")
    parser.add_argument("--skip", type=int, default=0, help="leave out the first so many networks")
    parser.add_argument("--validation", type=int, default=2000, help="images")
    parser.add_argument("--out", type=Path, default=Path("recipes.csv"))
    given = parser.parse_args()
    torch.set_num_threads(1)
    known = read_known(given.table, load_space("nas-bench-macro"), ("acc_seed0", "acc_seed1", "acc_seed2"))
    chosen = choose(known, given.networks, given.best, given.skip, 0)
    data = load_dataset(f"npz:{given.images}", seed=0)
    validation = data.validation.subset(spread(len(data.validation), given.validation))
    recipe, label = RECIPES[given.recipe], given.recipe
    if given.scale != 1:
        passes, last = round(recipe.passes * given.scale), round(recipe.last_passes * given.scale)
        recipe, label = replace(recipe, passes=passes, last_passes=last), f"{label} x{given.scale:g}"
    if given.validation != 2000:
        label = f"{label}, {given.validation} validation images"
    there = {(r["recipe"], r["network"], r["seed"]) for _, r in read_appended(given.out, COLUMNS, "recipes.py")}
    for k in chosen.networks:
        if (label, k.name, str(given.seed)) in there:
            continue
        begun = process_time()
        model, last_loss, resolution = train(k.network, recipe, data, given.seed)
        seconds = process_time() - begun
        accuracy, loss = measure(model, Classification(data.classes), validation, resolution)
        row = (label, k.name, given.seed, f"{accuracy:.4f}", f"{loss:.5f}", f"{last_loss:.5f}", f"{seconds:.2f}")
        append_rows(given.out, COLUMNS, [(*row, f"{k.accuracy:.5f}", int(k.accuracy >= chosen.top_accuracy))])
        print(*row, flush=True)


main()
