"""How fast is `nas.train.loop.fit` beside a plain PyTorch loop of the same steps? See README.md.

    python experiments/deployed-accuracy/throughput.py [--rounds 7]

Both take turns, in one process and on one thread; printed are the median, the least and the most of the ratios of
processor seconds, plain / fit. The plain loop has no clipping, no checks, no validation and no warm-up.
"""

from __future__ import annotations

import argparse
from statistics import median
from time import process_time

import numpy as np
import torch
from torch.nn import functional as F

from nas.data.catalog import load_dataset
from nas.data.dataset import Dataset
from nas.models.builder import build
from nas.space.network import Network
from nas.space.search_space import load_space
from nas.tasks.classification import Classification
from nas.train.loop import fit
from nas.train.recipe import Recipe

BATCH = 16


def plain(network: Network, data: Dataset, size: int) -> None:
    model = build(network).to(memory_format=torch.channels_last).train()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9, nesterov=True)
    order = torch.randperm(len(data.train), generator=torch.Generator().manual_seed(0))
    for chosen in order[: len(order) // BATCH * BATCH].split(BATCH):
        pixels = data.train.images.take(chosen, size)
        images = pixels.permute(0, 3, 1, 2).to(torch.float32, memory_format=torch.channels_last).div_(127.5).sub_(1)
        loss = F.cross_entropy(model(images), data.train.labels[chosen])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--images", type=int, default=480)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    space, whole, rng = load_space("tiny"), load_dataset("digits", seed=0), np.random.default_rng(0)
    data = Dataset(
        whole.name, whole.classes, whole.train.subset(torch.arange(asked.images)),
        whole.validation.subset(torch.arange(2)), whole.flip, "", "", whole.test_split(),
    )  # fmt: skip
    for _ in range(4):
        network = space.network(space.sample(rng), 10)
        size = network.input_shape[1]
        recipe = Recipe(1, BATCH, size, 0.01)
        ratios = []
        for _ in range(asked.rounds + 1):
            begun = process_time()
            plain(network, data, size)
            between = process_time()
            fit(build(network), Classification(data.classes), data.train, data.validation, recipe, seed=0)
            ratios.append((between - begun) / (process_time() - between))
        ratios = ratios[1:]  # the first warms up
        print(
            f"{size} pixels, {network.macs / 1e6:.1f} M: {median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
        )


main()
