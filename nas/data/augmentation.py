"""Augmentation of whole batches on their device: random crops and flips, and RandAugment on top; also with boxes."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from nas.space.hyperparameters import Augmentation

CROP_SHARE = 1 / 8  # padding on each side: the 4 pixels of CIFAR's 32
GROUP = 16  # images that share one draw of RandAugment's operations
ZOOM = (0.6, 1.5)  # of pictures with boxes
LEAST_SEEN = 0.25  # of a box's area, that must stay in the picture
COLOR = 0.3  # how far brightness and contrast of pictures with boxes are moved, as a share
GREY = 114  # around a picture that is smaller than its square


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


def augment_boxes(
    pixels: Tensor, target: Tensor, augmentation: Augmentation, *, flip: bool, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Pictures with boxes, uint8 (n, r, r, 3) and float32 (n, m, 8) as of `nas.tasks.detection`, to the same shapes.

    "crop-flip": each mirrored with probability 1/2 where `flip`, zoomed by 0.6 to 1.5 in logarithm and shifted, grey
    outside. "randaugment" moves brightness and contrast too. A box of which less than a quarter is left is dropped.
    """
    if augmentation == "none":
        return pixels, target
    n, low, high = len(pixels), *(math.log(x) for x in ZOOM)
    zoom = torch.exp(low + (high - low) * torch.rand(n, generator=generator))
    spare = (1 / zoom - 1).abs() / 2  # how far the middle may move: all of what is larger stays in view, or outside
    middle = 0.5 + spare[:, None] * (2 * torch.rand(n, 2, generator=generator) - 1)
    mirrored = (torch.rand(n, generator=generator) < 0.5) & flip
    sign = torch.where(mirrored, -1.0, 1.0)
    matrix = torch.zeros(n, 2, 3)
    matrix[:, 0, 0], matrix[:, 1, 1] = sign / zoom, 1 / zoom
    matrix[:, :, 2] = 2 * middle - 1
    images = pixels.permute(0, 3, 1, 2).float() - GREY
    grid = torch.nn.functional.affine_grid(matrix, list(images.shape), align_corners=False)
    images = torch.nn.functional.grid_sample(images, grid, align_corners=False) + GREY
    if augmentation == "randaugment":
        contrast, brightness = (COLOR * (2 * torch.rand(n, 1, 1, 1, generator=generator) - 1) for _ in range(2))
        images = (images - 127.5) * (1 + contrast) + 127.5 * (1 + brightness)
    return images.round().clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1).contiguous(), _moved(
        target, zoom, middle, sign
    )


def _moved(target: Tensor, zoom: Tensor, middle: Tensor, sign: Tensor) -> Tensor:
    """The boxes where the picture's point `middle` (n, 2) has become its center, mirrored where `sign` is -1."""
    found = target.clone()
    corners = (target[..., 1:5].reshape(*target.shape[:2], 2, 2) - middle[:, None, None]) * zoom[:, None, None, None]
    corners[..., 0] *= sign[:, None, None]
    corners = corners.sort(dim=2).values + 0.5
    area = (corners[:, :, 1] - corners[:, :, 0]).prod(-1)
    seen = corners.clamp(0, 1)
    left = (seen[:, :, 1] - seen[:, :, 0]).prod(-1) >= LEAST_SEEN * area
    found[..., 1:5] = seen.flatten(2)
    found[..., 0] = torch.where(left, target[..., 0], -1.0)
    return found


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
