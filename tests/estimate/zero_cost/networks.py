"""Small networks to score, and modules whose scores can be counted by hand."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from nas.estimate.zero_cost.initialization import Initialized, initialized
from nas.space.block import Block
from nas.space.network import Network


def chain(width: int = 16, blocks: int = 2, activation: str = "relu", se: int = 0) -> Network:
    """A stem, so many inverted residuals, and a classifier, for 12 pixels."""
    image, stem = (3, 12, 12), (width, 6, 6)
    middle = [
        Block("mbconv", stem, stem, 3, 1, mid=2 * width, se=se, activation=activation, gate="hsigmoid" if se else "")
        for _ in range(blocks)
    ]
    ends = (Block("pool_linear", stem, (10, 1, 1)),)
    return Network((Block("conv", image, stem, 3, 2, activation=activation), *middle, *ends), (0, *[1] * blocks, 2))


def shown(network: Network, seed: int = 0, images: int = 64) -> Initialized:
    """The network initialized with `seed`, shown the same random images each time."""
    generator = torch.Generator().manual_seed(7)
    side = network.input_shape[1]
    return initialized(
        network, torch.randn(images, 3, side, side, generator=generator), torch.arange(images) % 10, seed
    )


def by_hand(images: list[list[float]], *modules: nn.Module, labels: list[int] | None = None) -> Initialized:
    """Modules shown images of one pixel with so many channels."""
    shape = (len(images[0]), 1, 1)
    blocks = (*(Block("conv", shape, shape) for _ in modules), Block("pool_linear", shape, (2, 1, 1)))
    pixels = torch.tensor(images)[:, :, None, None]
    return Initialized(
        Network(blocks), nn.Sequential(*modules), pixels, torch.tensor(labels or [0] * len(images)), seed=0
    )


class Map(nn.Module):
    """A function as a module."""

    def __init__(self, function) -> None:  # type: ignore[no-untyped-def]
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.function(x)
        return out


def convolution(weight: float, stride: int = 1) -> nn.Conv2d:
    """One channel times a number, at every `stride`-th position."""
    made = nn.Conv2d(1, 1, 1, stride, bias=False)
    nn.init.constant_(made.weight, weight)
    return made.requires_grad_(False)
