"""How fast is a training beside a plain PyTorch loop of the same steps? See README.md, and ../deployment/README.md.

    python throughput.py short [--rounds 5] [--threads 2] [--out throughput.csv]     a search's short training
    python throughput.py full                                                        a training in full

Both take turns in one process with equally many threads, and the first turn of each warms up. A row a network: the
median, the least and the most of the ratios of the seconds that they took, plain / ours; above 1 ours is the faster.
The plain loop has the same network, batches, sizes of images, augmentation, label smoothing and AdamW, memory in
channels last, and the process keeps freed memory for both. Beside a training in full it is tuned: the optimizer is one
fused kernel, and an average of weights is torch's own AveragedModel. It has no clipping, no checks of what is finite,
no state that could be resumed, and it measures nothing.
"""

from __future__ import annotations

import argparse
import math
from dataclasses import replace
from pathlib import Path
from statistics import median
from time import perf_counter

import numpy as np
import torch
from torch.nn import functional as F
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from nas.data.augmentation import augment
from nas.data.dataset import Dataset, Split
from nas.data.images import ImagesInMemory
from nas.files.csv import append_rows
from nas.models.builder import build
from nas.space.network import Network
from nas.space.search_space import load_space
from nas.tasks.classification import Classification
from nas.train.full_recipe import FullRecipe, full_recipe
from nas.train.loop import fit, mixed_precision, normalize
from nas.train.memory import keep_freed_memory
from nas.train.recipe import Recipe, recipe
from nas.train.training import Lesson, begin, train_on

COLUMNS = ("network", "resolution", "macs_m", "batch", "augmentation", "threads", "images_per_s", "plain_images_per_s",
           "ratio", "least", "most", "rounds")  # fmt: skip
SHORT = (
    ("nas-bench-macro", 0.05, 1024, "crop-flip"), ("nas-bench-macro", 0.5, 1024, "crop-flip"),
    ("nas-bench-macro", 0.95, 1024, "crop-flip"), ("mobilenet-v3", 0.1, 512, "crop-flip"),
)  # fmt: skip
FULL = (
    ("tiny", 0.5, 1024, "crop-flip"), ("tiny", 0.5, 1024, "randaugment"), ("nas-bench-macro", 0.5, 1024, "crop-flip"),
    ("mobilenet-v3", 0.1, 256, "crop-flip"),
)  # fmt: skip
SAMPLE = 200  # random networks, of which the one at a quantile of MACs is taken
CPU = torch.device("cpu")


def network_at(space_name: str, quantile: float) -> Network:
    """The network of a space that has more MACs than such a share of random ones."""
    space, rng = load_space(space_name), np.random.default_rng(0)
    drawn = sorted((space.network(space.sample(rng), 10) for _ in range(SAMPLE)), key=lambda network: network.macs)
    return drawn[round(quantile * (SAMPLE - 1))]


def recipe_of(space_name: str, network: Network, images: int, batch_size: int, augmentation: str, *, full: bool
) -> Recipe:  # fmt: skip
    """One epoch; a short training's images grow as those of the space's proxy do."""
    chosen, size = {"optimizer": "adamw", "augmentation": augmentation}, network.input_shape[1]
    if full:
        return full_recipe(chosen, images=images, epochs=1, batch_size=batch_size, resolution=size)
    proxy = load_space(space_name).proxy
    small = max(8, 8 * round(size * proxy.resolution_share / 8))
    made = recipe(chosen, epochs=1, batch_size=batch_size, resolution=size)
    grows = {"small_resolution": small, "small_share": 1 - proxy.full_resolution_share}
    return replace(made, **grows) if small < size else made


def plain(network: Network, data: Dataset, chosen: Recipe) -> None:
    """One epoch."""
    full, train = isinstance(chosen, FullRecipe), data.train
    model = build(network, seed=0).to(memory_format=torch.channels_last).train()
    weights, others = ([p for p in model.parameters() if (p.ndim > 1) is large] for large in (True, False))
    groups = [{"params": weights, "weight_decay": chosen.weight_decay}, {"params": others, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=chosen.learning_rate, fused=full)
    generator, half = torch.Generator().manual_seed(0), mixed_precision(CPU)
    steps = len(train) // chosen.batch_size
    rate = (lambda at: 0.5 * (1 + math.cos(math.pi * at))) if full else (lambda at: 1 - at)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: rate(step / steps))
    average = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(0.99), use_buffers=True) if full else None
    order = torch.randperm(len(train), generator=generator)
    for step in range(steps):
        rows = order[step * chosen.batch_size : (step + 1) * chosen.batch_size]
        pixels = train.images.take(rows, chosen.resolution_at(step, steps))
        images = normalize(augment(pixels, chosen.augmentation, flip=True, generator=generator))
        with torch.autocast("cpu", half, enabled=half is not None):
            logits = model(images)
        loss = F.cross_entropy(logits.float(), train.labels[rows], label_smoothing=chosen.label_smoothing)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        if average:
            average.update_parameters(model)


def ours(network: Network, data: Dataset, chosen: Recipe) -> None:
    """One epoch of `nas.train.loop.fit`, or of `nas.train.training`, with two validation images."""
    model, task = build(network, seed=0), Classification(data.classes)
    if isinstance(chosen, FullRecipe):
        lesson = Lesson(task, data.train, data.validation, True, 0, CPU)
        train_on(begin(model, chosen, data.train, CPU), lesson, lambda now: None)
    else:
        fit(model, task, data.train, data.validation, chosen, seed=0, flip=True, device=CPU)


def images(number: int) -> Dataset:
    """Random pixels of 32x32: what they show does not matter for the time."""
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(256, (number, 32, 32, 3), generator=generator, dtype=torch.uint8)
    train = Split(ImagesInMemory(pixels), torch.randint(10, (number,), generator=generator))
    few = train.subset(torch.arange(2))
    return Dataset("noise", tuple("0123456789"), train, few, True, "", "", few)


def seconds_of(network: Network, data: Dataset, chosen: Recipe, rounds: int) -> list[tuple[float, float]]:
    """Of both loops in each round but the first, which warms up; each goes first in every other one."""
    found = []
    for turn in range(rounds + 1):
        spent = {}
        for loop in (plain, ours) if turn % 2 else (ours, plain):
            begun = perf_counter()
            loop(network, data, chosen)
            spent[loop] = perf_counter() - begun
        found.append((spent[plain], spent[ours]))
    return found[1:]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("training", choices=("short", "full"))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--threads", type=int, help="default: what PyTorch takes")
    parser.add_argument("--out", type=Path, default=Path("throughput.csv"))
    asked = parser.parse_args()
    if asked.threads:
        torch.set_num_threads(asked.threads)
    keep_freed_memory()
    full = asked.training == "full"
    for space, quantile, number, augmentation in FULL if full else SHORT:
        network, data = network_at(space, quantile), images(number)
        chosen = recipe_of(space, network, number, asked.batch_size, augmentation, full=full)
        pairs = seconds_of(network, data, chosen, asked.rounds)
        ratios = [a / b for a, b in pairs]
        seen = number // asked.batch_size * asked.batch_size
        speeds = [seen / median(column) for column in zip(*pairs, strict=True)]
        row = (
            f"{space}, {100 * quantile:.0f}% of its networks smaller", chosen.resolution, f"{network.macs / 1e6:.1f}",
            asked.batch_size, augmentation, torch.get_num_threads(), f"{speeds[1]:.1f}", f"{speeds[0]:.1f}",
            *(f"{x:.3f}" for x in (median(ratios), min(ratios), max(ratios))), asked.rounds,
        )  # fmt: skip
        append_rows(asked.out, COLUMNS, [row])
        print(*row, sep=" | ", flush=True)


if __name__ == "__main__":
    main()
