"""NASWOT: how differently a network's units respond to different images."""

from __future__ import annotations

import torch
from torch import Tensor

from nas.estimate.zero_cost.activation_patterns import each_pattern
from nas.estimate.zero_cost.initialization import Initialized

IMAGES = 32


def naswot(given: Initialized) -> float:
    """log |K|, where K (n, n) counts for each pair of images the units that agree: both active or both not.

    Higher is better. Mellor et al., Neural Architecture Search without Training, ICML 2021. -inf where two images give
    the same pattern. It does not change when a layer's weights are multiplied by a positive number where batch norm
    follows.
    """
    images = given.images[:IMAGES]
    kernel = torch.zeros(len(images), len(images), dtype=torch.float64)

    def see(pattern: Tensor) -> None:
        signs = pattern.float() * 2 - 1
        kernel.add_((signs @ signs.T).double() + pattern.shape[1])  # agreements minus disagreements, plus all

    each_pattern(given.blocks, images, see)
    return float(torch.linalg.slogdet(kernel / 2).logabsdet)
