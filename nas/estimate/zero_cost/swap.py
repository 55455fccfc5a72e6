"""SWAP: how many different patterns of activity over a few images the units of a network show."""

from __future__ import annotations

import torch
from torch import Tensor

from nas.estimate.zero_cost.activation_patterns import each_pattern
from nas.estimate.zero_cost.initialization import Initialized

IMAGES = 16  # patterns of 16 bits: the score ends at 65,536


def swap(given: Initialized) -> float:
    """The number of distinct columns of the matrix (images, units) of activity, over all units of all activations.

    Higher is better. Peng et al., SWAP-NAS, ICLR 2024; without their regularization by size. It does not change when a
    layer's weights are multiplied by a positive number where batch norm follows.
    """
    images = given.images[:IMAGES]
    found = torch.zeros(2 ** len(images), dtype=torch.bool)
    places = 2.0 ** torch.arange(len(images))

    def see(pattern: Tensor) -> None:
        found[(places @ pattern.float()).long()] = True  # exact: below 2^24

    each_pattern(given.blocks, images, see)
    return float(found.sum())
