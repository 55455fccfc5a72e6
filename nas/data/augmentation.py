"""Augmentation of whole batches on their device: random crops and flips, and RandAugment on top."""

from __future__ import annotations

import torch
from torch import Tensor

from nas.space.hyperparameters import Augmentation

CROP_SHARE = 1 / 8  # padding on each side: the 4 pixels of CIFAR's 32
GROUP = 16  # images that share one draw of RandAugment's operations


def augment(pixels: Tensor, augmentation: Augmentation, *, flip: bool, generator: torch.Generator) -> Tensor:
    """uint8 (n, r, r, 3) to the same shape; `flip` says whether images may be mirrored."""
    if augmentation == "none":
        return pixels
    cropped = _crop_flip(pixels, flip, generator)
    return _randaugment(cropped, generator) if augmentation == "randaugment" else cropped


def _crop_flip(pixels: Tensor, flip: bool, generator: torch.Generator) -> Tensor:
    """Each image shifted by up to 1/8 of its side, black outside, and mirrored with probability 1/2."""
    n, side = pixels.shape[:2]
    pad = max(1, round(side * CROP_SHARE))
    shift = torch.randint(2 * pad + 1, (2, n, 1), generator=generator)
    rows, columns = shift + torch.arange(side)
    if flip:
        mirrored = torch.rand(n, 1, generator=generator) < 0.5
        columns = torch.where(mirrored, columns.flip(1), columns)
    padded = torch.nn.functional.pad(pixels, (0, 0, pad, pad, pad, pad))
    image = torch.arange(n)[:, None, None]
    return padded[image, rows[:, :, None], columns[:, None, :]]


def _randaugment(pixels: Tensor, generator: torch.Generator) -> Tensor:
    """Two random operations of middling strength for each group of images (Cubuk et al., NeurIPS 2020)."""
    from torchvision.transforms.v2 import RandAugment

    transform = RandAugment(num_ops=2, magnitude=7)
    with torch.random.fork_rng(devices=[]):  # torchvision draws from the global generator
        torch.manual_seed(int(torch.randint(2**31, (), generator=generator)))
        groups = [transform(group) for group in torch.split(pixels.permute(0, 3, 1, 2), GROUP)]
    return torch.cat(groups).permute(0, 2, 3, 1)


def mix(
    images: Tensor, labels: Tensor, classes: int, alpha: float, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Each image blended with another of its batch, and its label likewise (mixup: Zhang et al., ICLR 2018).

    float32 (n, 3, r, r) and int64 (n,) to images of the same shape and targets float32 (n, classes). One share a batch,
    drawn from Beta(alpha, alpha).
    """
    from torchvision.transforms.v2 import MixUp

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(torch.randint(2**31, (), generator=generator)))
        mixed, targets = MixUp(alpha=alpha, num_classes=classes)(images, labels)
    return mixed, targets
