"""Which short training reaches most at a candidate's own resolution for its processor seconds? See README.md.

    python experiments/deployed-accuracy/short_trainings.py SPACE --networks 0,1,7,8 --epochs 3 --schemes full,half

Digits, seed 1, one thread; networks are random candidates by seed 0. Appends to short_trainings.csv.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from time import process_time

import numpy as np
import torch
from torch import Tensor, nn

from nas.data.augmentation import augment
from nas.data.catalog import load_dataset
from nas.data.dataset import Dataset
from nas.files.csv import append_rows
from nas.models.builder import build
from nas.space.candidate import Candidate
from nas.space.network import Network
from nas.space.search_space import load_space
from nas.tasks.classification import Classification
from nas.train.loop import calibrate, evaluate, normalize
from nas.train.memory import keep_freed_memory

OUT = Path(__file__).with_suffix(".csv")
COLUMNS = ("space", "network", "resolution", "macs_m", "seed", "epochs", "scheme", "batch", "zero", "accuracy", "cpu_s")
# shares of the steps, each with its share of the resolution; "mixed": in random order but for the last tenth
PHASES = {
    "full": ((1.0, 1.0),),
    "half": ((0.6, 0.5), (0.4, 1.0)),
    "longer half": ((0.7, 0.5), (0.3, 1.0)),
    "long half": ((0.8, 0.5), (0.2, 1.0)),
    "three": ((0.5, 0.5), (0.3, 0.75), (0.2, 1.0)),
    "mixed": ((0.5, 0.5), (0.3, 0.75), (0.2, 1.0)),
    "quarter": ((0.8, 0.25), (0.2, 1.0)),
}


def resolutions(scheme: str, steps: int, generator: torch.Generator) -> list[float]:
    """The share of the resolution at each step."""
    planned = [share for part, share in PHASES[scheme] for _ in range(round(part * steps))]
    planned = (planned + [1.0] * steps)[:steps]
    if scheme != "mixed":
        return planned
    last = max(1, round(0.1 * steps))
    order = torch.randperm(steps - last, generator=generator).tolist()
    return [planned[i] for i in order] + [1.0] * last


def train(
    network: Network,
    candidate: Candidate,
    data: Dataset,
    scheme: str,
    *,
    batch: int,
    zero: bool,
    epochs: int,
    seed: int,
) -> float:
    """The validation accuracy at the network's own resolution. SGD, a rate that rises for a tenth, then falls to 0."""
    own, values = network.input_shape[1], candidate.as_dict()
    task, generator = Classification(data.classes), torch.Generator().manual_seed(seed)
    model = build(network, seed=seed).to(memory_format=torch.channels_last)
    for module in model.modules():  # whether a residual block begins as an identity
        if getattr(module, "residual", False) and isinstance(norm := getattr(module, "bn3", None), nn.BatchNorm2d):
            nn.init.constant_(norm.weight, 0.0 if zero else 1.0)
    decay = float(values.get("weight_decay", 1e-4))
    groups = [{"params": [p for p in model.parameters() if p.ndim > 1], "weight_decay": decay},
              {"params": [p for p in model.parameters() if p.ndim <= 1], "weight_decay": 0.0}]  # fmt: skip
    peak = float(values.get("learning_rate", 0.1))
    optimizer = torch.optim.SGD(groups, lr=peak, momentum=0.9, nesterov=True)
    per_epoch = len(data.train) // batch
    steps = per_epoch * epochs
    warmup, shares = max(1, round(0.1 * steps)), resolutions(scheme, steps, generator)
    model.train()
    for step, share in enumerate(shares):
        if step % per_epoch == 0:
            order = torch.randperm(len(data.train), generator=generator)
        for group in optimizer.param_groups:
            group["lr"] = peak * (
                (step + 1) / warmup if step < warmup else 1 - (step - warmup) / max(1, steps - warmup)
            )
        chosen: Tensor = order[step % per_epoch * batch :][:batch]
        size = own if share == 1 else min(own, max(8, 8 * round(own * share / 8)))
        pixels = data.train.images.take(chosen, size)
        pixels = augment(pixels, str(values.get("augmentation", "none")), flip=data.flip, generator=generator)
        loss = task.loss(model(normalize(pixels)), data.train.labels[chosen], float(values.get("label_smoothing", 0.1)))
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 5.0)
        optimizer.step()
    calibrate(model, data.train, own, 512)
    return evaluate(model, task, data.validation, own)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("space")
    parser.add_argument("--networks", default="0,1,7,8", help="numbers of the random candidates")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--schemes", default=",".join(PHASES))
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--zero", action="store_true", help="residual blocks begin as identities")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    keep_freed_memory()
    space, data, rng = load_space(asked.space), load_dataset("digits", seed=0), np.random.default_rng(0)
    wanted = [int(number) for number in asked.networks.split(",")]
    candidates = [space.sample(rng) for _ in range(max(wanted) + 1)]
    for number in wanted:
        network = space.network(candidates[number], 10)
        for scheme in asked.schemes.split(","):
            begun = process_time()
            accuracy = train(
                network,
                candidates[number],
                data,
                scheme,
                batch=asked.batch,
                zero=asked.zero,
                epochs=asked.epochs,
                seed=1,
            )
            row = (space.name, number, network.input_shape[1], f"{network.macs / 1e6:.1f}", 1, asked.epochs, scheme,
                   asked.batch, int(asked.zero), f"{accuracy:.4f}", f"{process_time() - begun:.2f}")  # fmt: skip
            append_rows(OUT, COLUMNS, [row])
            print(*row, flush=True)


main()
