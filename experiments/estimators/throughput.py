"""How fast is a proxy training beside a plain PyTorch loop of the same steps? See README.md.

    python throughput.py [--rounds 5] [--out throughput.csv]

Both take turns in one process with equally many threads, and the first turn of each warms up. A row a network: the
median, the least and the most of the ratios of the seconds that they took, plain / ours; above 1 ours is the faster.
The plain loop has the same network, batches, sizes of images, augmentation and optimizer, memory in channels last, and
the process keeps freed memory for both; it has no clipping, no checks of what is finite, and it measures nothing.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from statistics import median
from time import perf_counter

import numpy as np
import torch
from torch.nn import functional as F

from nas.data.augmentation import augment
from nas.data.dataset import Dataset, Split
from nas.data.images import ImagesInMemory
from nas.files.csv import append_rows
from nas.models.builder import build
from nas.space.network import Network
from nas.space.search_space import load_space
from nas.tasks.classification import Classification
from nas.train.loop import fit, mixed_precision, normalize
from nas.train.memory import keep_freed_memory
from nas.train.recipe import Recipe, recipe

COLUMNS = ("network", "resolution", "macs_m", "batch", "threads", "images_per_s", "plain_images_per_s", "ratio",
           "least", "most", "rounds")  # fmt: skip
CASES = (("nas-bench-macro", 0.05), ("nas-bench-macro", 0.5), ("nas-bench-macro", 0.95), ("mobilenet-v3", 0.1))
SAMPLE = 200  # random networks, of which the one at a quantile of MACs is taken
CPU = torch.device("cpu")


def network_at(space_name: str, quantile: float) -> Network:
    """The network of a space that has more MACs than such a share of random ones."""
    space, rng = load_space(space_name), np.random.default_rng(0)
    drawn = sorted((space.network(space.sample(rng), 10) for _ in range(SAMPLE)), key=lambda network: network.macs)
    return drawn[round(quantile * (SAMPLE - 1))]


def plain(network: Network, train: Split, chosen: Recipe) -> None:
    """One epoch."""
    model = build(network, seed=0).to(memory_format=torch.channels_last).train()
    weights, others = ([p for p in model.parameters() if (p.ndim > 1) is large] for large in (True, False))
    groups = [{"params": weights, "weight_decay": chosen.weight_decay}, {"params": others, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=chosen.learning_rate)
    generator, half = torch.Generator().manual_seed(0), mixed_precision(CPU)
    steps = len(train) // chosen.batch_size
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 - step / steps)
    order = torch.randperm(len(train), generator=generator)
    for step in range(steps):
        rows = order[step * chosen.batch_size : (step + 1) * chosen.batch_size]
        pixels = train.images.take(rows, chosen.resolution_at(step, steps))
        images = normalize(augment(pixels, chosen.augmentation, flip=True, generator=generator))
        with torch.autocast("cpu", half, enabled=half is not None):
            logits = model(images)
        loss = F.cross_entropy(logits.float(), train.labels[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()


def ours(network: Network, data: Dataset, chosen: Recipe) -> None:
    """One epoch of `nas.train.loop.fit`, with two validation images."""
    fit(build(network, seed=0), Classification(data.classes), data.train, data.validation, chosen, seed=0,
        flip=True, device=CPU)  # fmt: skip


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
    parser.add_argument("--images", type=int, default=1024, help="in a training of nas-bench-macro; others have half")
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--threads", type=int, help="default: what PyTorch takes")
    parser.add_argument("--out", type=Path, default=Path("throughput.csv"))
    asked = parser.parse_args()
    if asked.threads:
        torch.set_num_threads(asked.threads)
    keep_freed_memory()
    for space, quantile in CASES:
        network = network_at(space, quantile)
        size, proxy = network.input_shape[1], load_space(space).proxy
        data = images(asked.images if space == "nas-bench-macro" else asked.images // 2)
        small = max(8, 8 * round(size * proxy.resolution_share / 8))
        chosen = recipe({"optimizer": "adamw", "augmentation": "crop-flip"}, epochs=1, batch_size=asked.batch_size,
                        resolution=size)  # fmt: skip
        if small < size:
            chosen = replace(chosen, small_resolution=small, small_share=1 - proxy.full_resolution_share)
        seconds: list[tuple[float, float]] = []
        for number in range(asked.rounds + 1):
            spent = {}
            for loop in (plain, ours) if number % 2 else (ours, plain):
                begun = perf_counter()
                loop(network, data.train if loop is plain else data, chosen)
                spent[loop] = perf_counter() - begun
            seconds.append((spent[plain], spent[ours]))
        ratios = [a / b for a, b in seconds[1:]]
        seen = len(data.train) // asked.batch_size * asked.batch_size
        speeds = [seen / median(column) for column in zip(*seconds[1:], strict=True)]
        row = (
            f"{space}, {100 * quantile:.0f}% of its networks smaller", size, f"{network.macs / 1e6:.1f}",
            asked.batch_size, torch.get_num_threads(), f"{speeds[1]:.1f}", f"{speeds[0]:.1f}",
            *(f"{x:.3f}" for x in (median(ratios), min(ratios), max(ratios))), asked.rounds,
        )  # fmt: skip
        append_rows(asked.out, COLUMNS, [row])
        print(*row, sep=" | ", flush=True)


if __name__ == "__main__":
    main()
