"""ZiCo: how large and how steady the gradients of a network's weights are from batch to batch."""

from __future__ import annotations

import torch
from torch.nn.functional import cross_entropy

from nas.estimate.zero_cost.initialization import Initialized

BATCHES = 2
BATCH = 32  # images


def zico(given: Initialized) -> float:
    """The sum over convolutions and linear layers of log(sum over weights of mean |g| / std g).

    Mean and standard deviation are over batches; weights whose gradient does not vary are left out. Higher is better.
    Li et al., ZiCo, ICLR 2023; they use larger batches and PyTorch's default initialization.
    """
    weights = [weight.requires_grad_() for weight in given.blocks.parameters() if weight.ndim > 1]
    try:
        gradients = [
            torch.autograd.grad(cross_entropy(given.blocks(images), labels), weights)
            for images, labels in zip(
                given.images[: BATCHES * BATCH].chunk(BATCHES), given.labels[: BATCHES * BATCH].chunk(BATCHES),
                strict=True,
            )
        ]  # fmt: skip
    finally:
        given.blocks.requires_grad_(False)
    total = 0.0
    for layer in zip(*gradients, strict=True):
        stacked = torch.stack(layer)
        spread = stacked.std(0, correction=0)
        varies = spread > 0
        if bool(varies.any()):
            total += float((stacked.abs().mean(0)[varies] / spread[varies]).double().sum().log())
    return total
