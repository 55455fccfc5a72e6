"""How fast is a full training beside a plain PyTorch loop of the same steps? See README.md.

    python training_throughput.py [--rounds 5] [--out training_throughput.csv]

Both take turns in one process with equally many threads, and the first turn of each warms up. A row a network: the
median, the least and the most of the ratios of the seconds that they took, plain / ours; above 1 ours is the faster.
The plain loop is tuned: the same network, batches, augmentation and label smoothing, AdamW as one fused kernel, a
cosine schedule, an average of weights by torch's own AveragedModel, memory in channels last, freed memory kept. It
clips nothing, checks nothing, keeps no state that could be resumed, and measures nothing.
"""

from __future__ import annotations

import argparse
import math
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
from nas.train.loop import mixed_precision, normalize
from nas.train.memory import keep_freed_memory
from nas.train.training import Lesson, begin, train_on

COLUMNS = ("network", "resolution", "macs_m", "batch", "augmentation", "threads", "images_per_s", "plain_images_per_s",
           "ratio", "least", "most", "rounds")  # fmt: skip
CASES = (
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


def plain(network: Network, train: Split, recipe: FullRecipe) -> None:
    """One epoch."""
    model = build(network, seed=0).to(memory_format=torch.channels_last).train()
    weights, others = ([p for p in model.parameters() if (p.ndim > 1) is large] for large in (True, False))
    groups = [{"params": weights, "weight_decay": recipe.weight_decay}, {"params": others, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=recipe.learning_rate, fused=True)
    generator, half = torch.Generator().manual_seed(0), mixed_precision(CPU)
    steps = len(train) // recipe.batch_size
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 0.5 * (1 + math.cos(math.pi * step / steps)))
    average = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(0.99), use_buffers=True)
    order = torch.randperm(len(train), generator=generator)
    for step in range(steps):
        rows = order[step * recipe.batch_size : (step + 1) * recipe.batch_size]
        pixels = train.images.take(rows, recipe.resolution)
        images = normalize(augment(pixels, recipe.augmentation, flip=True, generator=generator))
        with torch.autocast("cpu", half, enabled=half is not None):
            logits = model(images)
        loss = F.cross_entropy(logits.float(), train.labels[rows], label_smoothing=recipe.label_smoothing)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        average.update_parameters(model)


def ours(network: Network, data: Dataset, recipe: FullRecipe) -> None:
    """One epoch of `nas.train.training`, with two validation images."""
    lesson = Lesson(Classification(data.classes), data.train, data.validation, True, 0, CPU)
    train_on(begin(build(network, seed=0), recipe, data.train, CPU), lesson, lambda now: None)


def images(number: int) -> Dataset:
    """Random pixels of 32x32: what they show does not matter for the time."""
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(256, (number, 32, 32, 3), generator=generator, dtype=torch.uint8)
    train = Split(ImagesInMemory(pixels), torch.randint(10, (number,), generator=generator))
    few = train.subset(torch.arange(2))
    return Dataset("noise", tuple("0123456789"), train, few, True, "", "", few)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--out", type=Path, default=Path("training_throughput.csv"))
    asked = parser.parse_args()
    keep_freed_memory()
    for space, quantile, number, augmentation in CASES:
        network, data = network_at(space, quantile), images(number)
        recipe = full_recipe(
            {"optimizer": "adamw", "augmentation": augmentation}, images=number, epochs=1, batch_size=asked.batch_size,
            resolution=network.input_shape[1],
        )  # fmt: skip
        seconds: list[tuple[float, float]] = []
        for turn in range(asked.rounds + 1):
            spent = {}
            for loop in (plain, ours) if turn % 2 else (ours, plain):
                begun = perf_counter()
                loop(network, data.train if loop is plain else data, recipe)
                spent[loop] = perf_counter() - begun
            seconds.append((spent[plain], spent[ours]))
        ratios = [a / b for a, b in seconds[1:]]
        speeds = [number / median(column) for column in zip(*seconds[1:], strict=True)]
        row = (
            f"{space}, {100 * quantile:.0f}% of its networks smaller", recipe.resolution, f"{network.macs / 1e6:.1f}",
            asked.batch_size, augmentation, torch.get_num_threads(), f"{speeds[1]:.1f}", f"{speeds[0]:.1f}",
            *(f"{x:.3f}" for x in (median(ratios), min(ratios), max(ratios))), asked.rounds,
        )  # fmt: skip
        append_rows(asked.out, COLUMNS, [row])
        print(*row, sep=" | ", flush=True)


if __name__ == "__main__":
    main()
