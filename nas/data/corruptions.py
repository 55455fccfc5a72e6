"""Common corruptions of images in five severities, as a camera, a lens or a codec makes them.

Of Hendrycks and Dietterich, "Benchmarking Neural Network Robustness to Common Corruptions and Perturbations", ICLR
2019, with the constants of CIFAR-10-C for images of at most 64 pixels a side and those of ImageNet-C for larger ones.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from nas.errors import UserError, unknown

Pixels = NDArray[np.uint8]  # (n, h, w, 3)
Values = NDArray[np.float64]  # (n, h, w, 3), from 0 to 1

SEVERITIES = range(1, 6)
SMALL = 64  # pixels a side up to which CIFAR-10-C's constants hold
CHUNK = 2_000_000  # values that are corrupted at a time: 16 MB
ROUNDING = 1e-6  # of 256 steps: what floating point may lack to a whole step


@dataclass(frozen=True, slots=True)
class Corruption:
    """One kind: what it does to a batch with the constant of a severity, and its constants, from weak to strong."""

    apply: Callable[[Pixels, Any, np.random.Generator], Pixels]
    small: tuple[Any, ...]  # up to SMALL pixels: CIFAR-10-C
    large: tuple[Any, ...]  # ImageNet-C


def corrupt(pixels: Pixels, corruption: str, severity: int, *, seed: int) -> Pixels:
    """Images uint8 (n, h, w, 3) with a corruption of CORRUPTIONS, of a severity from 1 to 5, in the same shape.

    Equal seeds give equal images; only the noise draws from the seed, anew for every image. Raises UserError for an
    unknown corruption or severity.
    """
    if corruption not in CORRUPTIONS:
        raise unknown("corruption", corruption, CORRUPTIONS)
    if severity not in SEVERITIES:
        raise UserError(f"a severity must be a whole number from 1 to 5; got {severity}")
    kind, side = CORRUPTIONS[corruption], max(pixels.shape[1:3])
    constant = (kind.small if side <= SMALL else kind.large)[severity - 1]
    generator = np.random.default_rng([seed, severity])
    step = max(1, CHUNK // max(1, pixels[:1].size))
    corrupted = np.empty_like(pixels)
    for start in range(0, len(pixels), step):
        corrupted[start : start + step] = kind.apply(pixels[start : start + step], constant, generator)
    return corrupted


def _gaussian_noise(pixels: Pixels, deviation: float, generator: np.random.Generator) -> Pixels:
    return _pixels(_values(pixels) + deviation * generator.standard_normal(pixels.shape))


def _gaussian_blur(pixels: Pixels, sigma: float, _: np.random.Generator) -> Pixels:
    """Over four standard deviations on each side; beyond the edge its last pixel is repeated."""
    weights = _gaussian(int(4 * sigma + 0.5), sigma)
    return _pixels(_filtered(_values(pixels), np.outer(weights, weights), "edge"))


def _defocus_blur(pixels: Pixels, disk: tuple[float, float], _: np.random.Generator) -> Pixels:
    """A disk of `radius` pixels whose edge is smoothed by `sigma`; beyond the edge the image is mirrored."""
    radius, sigma = disk
    reach = max(8, int(radius))
    at = np.arange(-reach, reach + 1)
    inside = (at[:, None] ** 2 + at**2 <= radius**2).astype(np.float64)
    smooth = _gaussian(1 if radius <= 8 else 2, sigma)
    kernel = _filtered((inside / inside.sum())[None, :, :, None], np.outer(smooth, smooth), "reflect")[0, :, :, 0]
    return _pixels(_filtered(_values(pixels), kernel, "reflect"))


def _brightness(pixels: Pixels, added: float, _: np.random.Generator) -> Pixels:
    """More of HSV's value, the largest channel; at one hue and saturation the channels grow in proportion to it."""
    values = _values(pixels)
    value = values.max(axis=-1, keepdims=True)
    brighter = np.minimum(value + added, 1)
    black = value == 0  # without a hue: it becomes grey
    return _pixels(np.where(black, brighter, values * (brighter / np.where(black, 1, value))))


def _contrast(pixels: Pixels, share: float, _: np.random.Generator) -> Pixels:
    """Less of each channel's distance from its mean over the image."""
    values = _values(pixels)
    mean = values.mean(axis=(1, 2), keepdims=True)
    return _pixels((values - mean) * share + mean)


def _jpeg(pixels: Pixels, quality: int, _: np.random.Generator) -> Pixels:
    return np.stack([_recoded(image, quality) for image in pixels])


def _recoded(image: Pixels, quality: int) -> Pixels:
    file = io.BytesIO()
    Image.fromarray(image).save(file, "JPEG", quality=quality)
    with Image.open(file, formats=["JPEG"]) as opened:
        return np.asarray(opened)


def _pixelate(pixels: Pixels, share: float, _: np.random.Generator) -> Pixels:
    """Fewer pixels, each the mean of those that it covers, drawn as large squares."""
    height, width = pixels.shape[1:3]
    fewer = max(1, int(width * share)), max(1, int(height * share))
    small = [Image.fromarray(image).resize(fewer, Image.Resampling.BOX) for image in pixels]
    return np.stack([np.asarray(image.resize((width, height), Image.Resampling.NEAREST)) for image in small])


CORRUPTIONS = {
    "gaussian-noise": Corruption(_gaussian_noise, (0.04, 0.06, 0.08, 0.09, 0.10), (0.08, 0.12, 0.18, 0.26, 0.38)),
    "gaussian-blur": Corruption(_gaussian_blur, (0.4, 0.6, 0.7, 0.8, 1.0), (1.0, 2.0, 3.0, 4.0, 6.0)),
    "defocus-blur": Corruption(
        _defocus_blur,
        ((0.3, 0.4), (0.4, 0.5), (0.5, 0.6), (1.0, 0.2), (1.5, 0.1)),  # radius, smoothing of its edge
        ((3.0, 0.1), (4.0, 0.5), (6.0, 0.5), (8.0, 0.5), (10.0, 0.5)),
    ),
    "brightness": Corruption(_brightness, (0.05, 0.1, 0.15, 0.2, 0.3), (0.1, 0.2, 0.3, 0.4, 0.5)),
    "contrast": Corruption(_contrast, (0.75, 0.5, 0.4, 0.3, 0.15), (0.4, 0.3, 0.2, 0.1, 0.05)),
    "jpeg": Corruption(_jpeg, (80, 65, 58, 50, 40), (25, 18, 15, 10, 7)),
    "pixelate": Corruption(_pixelate, (0.95, 0.9, 0.85, 0.75, 0.65), (0.6, 0.5, 0.4, 0.3, 0.25)),
}


def _values(pixels: Pixels) -> Values:
    return pixels / np.float64(255)


def _pixels(values: Values) -> Pixels:
    """Rounded down to 256 steps, as the benchmark's images are."""
    return (255 * np.clip(values, 0, 1) + ROUNDING).astype(np.uint8)


def _gaussian(reach: int, sigma: float) -> Values:
    """Weights (2 reach + 1,) that sum to one."""
    weights: Values = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    weights /= weights.sum()
    return weights


def _filtered(values: Values, kernel: Values, beyond: Any) -> Values:
    """Images (n, h, w, c) with a symmetric kernel (k, k), k odd, over them; `beyond` the edge as `np.pad` has it."""
    reach, (height, width) = len(kernel) // 2, values.shape[1:3]
    padded = np.pad(values, ((0, 0), (reach, reach), (reach, reach), (0, 0)), mode=beyond)
    shape = padded.shape[1:3]
    spectrum = np.fft.rfft2(padded, axes=(1, 2)) * np.fft.rfft2(kernel, shape)[None, :, :, None]
    over: Values = np.fft.irfft2(spectrum, shape, axes=(1, 2))
    return over[:, 2 * reach : 2 * reach + height, 2 * reach : 2 * reach + width]
