"""AZ-NAS's trainability: whether a gradient passes each block of a network without growing or fading."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import pad, pixel_unshuffle

from nas.estimate.zero_cost.block_features import IMAGES, noise
from nas.estimate.zero_cost.initialization import Initialized


def trainability(given: Initialized, images: int = IMAGES) -> float:
    """The mean over blocks of 2 - s - 1/s, s the spectral norm of the block's Jacobian as a random gradient sees it.

    0, the largest value, where every block keeps the length of gradients (s = 1). The network is shown Gaussian noise;
    the stem, which reads the image, does not count, nor do the head and identities, which the network does not hold.
    Higher is better. Lee and Ham, AZ-NAS, CVPR 2024.
    """
    generator = given.generator()
    stem, *blocks = given.body
    with torch.no_grad():
        x = stem(noise(given, images))
    found = []
    for block in blocks:
        norm, x = spectral_norm(block, x, generator)
        found.append(2 - norm - 1 / (norm + 1e-6))
    return sum(found) / len(found) if found else 0.0


def spectral_norm(block: nn.Module, x: Tensor, generator: torch.Generator) -> tuple[float, Tensor]:
    """The largest singular value of E[g_in g_out'], and the block's output for x (n, c, h, w).

    g_out is a random gradient of +1 and -1, g_in what the block makes of it, the mean is over images and positions.
    Where the block has a stride, the positions of its input that belong to one of its output are taken together.
    """
    x = x.detach().requires_grad_()
    out = block(x)
    g_out = torch.randint(0, 2, out.shape, generator=generator).to(out) * 2 - 1
    (g_in,) = torch.autograd.grad(out, x, g_out)
    (height, width), (rows, columns) = g_in.shape[2:], g_out.shape[2:]
    if (stride := -(-height // rows)) > 1:
        g_in = pixel_unshuffle(pad(g_in, (0, stride * columns - width, 0, stride * rows - height)), stride)
    flat_in, flat_out = (g.permute(0, 2, 3, 1).flatten(0, 2) for g in (g_in, g_out))
    mean = (flat_in.T @ flat_out / len(flat_out)).double()
    gram = mean @ mean.T if mean.shape[0] <= mean.shape[1] else mean.T @ mean
    return float(torch.linalg.eigvalsh(gram)[-1].clamp_min(0).sqrt()), out.detach()
