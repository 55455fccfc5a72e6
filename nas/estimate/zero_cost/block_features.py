"""What each block of a network gives for Gaussian noise, as AZ-NAS looks at it."""

from __future__ import annotations

import torch
from torch import Tensor

from nas.estimate.zero_cost.initialization import Initialized

IMAGES = 32


def noise(given: Initialized, images: int = IMAGES) -> Tensor:
    """Standard normal images (n, 3, h, w) of the size of the network's real ones."""
    drawn = torch.randn(images, *given.images.shape[1:], generator=given.generator())
    return drawn.contiguous(memory_format=torch.channels_last)


@torch.no_grad()
def entropies(given: Initialized) -> list[float]:
    """For each block of the body: the entropy of its output's principal components, 0 to log of the channels.

    The eigenvalues of the channels' covariance over images and positions, as shares of their sum.
    """
    found = []
    x = noise(given)
    for block in given.body:
        x = block(x)
        rows = x.permute(0, 2, 3, 1).flatten(0, 2)
        rows = rows - rows.mean(0)
        gram = rows.T @ rows if rows.shape[1] <= len(rows) else rows @ rows.T  # the same eigenvalues but for zeros
        values = torch.linalg.eigvalsh(gram.double()).clamp_min(0)
        found.append(float(torch.special.entr(values / values.sum()).sum()))
    return found
