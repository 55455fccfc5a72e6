"""Corruptions that `nas` does not have: what is checked with them was calibrated on others.

Written for images of 32 pixels; severities 1 to 5. Equal seeds give equal images.
"""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
from PIL import Image

Pixels = np.ndarray  # uint8 (n, h, w, 3)


def frost(pixels: Pixels, severity: int, seed: int) -> Pixels:
    """Crystals: bright ridged noise of several scales, laid over a darker image, as CIFAR-10-C's weights have it."""
    kept, laid = ((1.0, 0.2), (1.0, 0.3), (0.9, 0.4), (0.85, 0.4), (0.75, 0.45))[severity - 1]
    rng = np.random.default_rng([seed, 11])
    ridges = 1 - np.abs(_clouds(rng, len(pixels), pixels.shape[1:3], 1.2))
    crystals = 255 * ridges[..., None] * np.array([0.85, 0.95, 1.0])
    return _rounded(kept * pixels + laid * crystals)


def fog(pixels: Pixels, severity: int, seed: int) -> Pixels:
    """Smooth bright clouds, which take contrast away."""
    thick = (0.2, 0.5, 0.75, 1.0, 1.5)[severity - 1]
    rng = np.random.default_rng([seed, 12])
    clouds = thick * 255 * (0.5 + 0.5 * _clouds(rng, len(pixels), pixels.shape[1:3], 2.0))[..., None]
    most = pixels.max(axis=(1, 2, 3), keepdims=True)
    return _rounded((pixels + clouds) * most / (most + 255 * thick + 1e-9))


def color_cast(pixels: Pixels, severity: int, seed: int) -> Pixels:
    """Another white balance: warm, as of a bulb."""
    far = (0.05, 0.1, 0.15, 0.2, 0.3)[severity - 1]
    return _rounded(pixels * np.array([1 + far, 1.0, 1 - far]))


def motion_blur(pixels: Pixels, severity: int, seed: int) -> Pixels:
    """Along a diagonal, a direction for each image."""
    steps = (2, 3, 4, 5, 6)[severity - 1]
    values, way = pixels.astype(np.float64), np.random.default_rng([seed, 13]).integers(0, 4, len(pixels))
    out = np.empty_like(values)
    for n, (dy, dx) in enumerate(((0, 1), (1, 0), (1, 1), (1, -1))):
        own = values[way == n]
        out[way == n] = np.mean([_moved(own, dy * k, dx * k) for k in range(steps)], axis=0)
    return _rounded(out)


def impulse_noise(pixels: Pixels, severity: int, seed: int) -> Pixels:
    """Salt and pepper."""
    share = (0.01, 0.02, 0.03, 0.05, 0.07)[severity - 1]
    drawn = np.random.default_rng([seed, 14, severity]).random(pixels.shape)
    return np.where(drawn < share / 2, 0, np.where(drawn > 1 - share / 2, 255, pixels)).astype(np.uint8)


def darker(pixels: Pixels, severity: int, seed: int) -> Pixels:
    """Dusk: less light, and the noise that a sensor then has."""
    light = (0.8, 0.65, 0.5, 0.4, 0.3)[severity - 1]
    noise = np.random.default_rng([seed, 15]).standard_normal(pixels.shape)
    return _rounded(light * pixels + noise * np.sqrt(light * pixels + 1) * 0.3)


def recoded(pixels: Pixels, severity: int, seed: int) -> Pixels:
    """WebP, another codec than JPEG."""
    quality = (60, 40, 25, 12, 3)[severity - 1]
    made = []
    for image in pixels:
        file = io.BytesIO()
        Image.fromarray(image).save(file, "WEBP", quality=quality)
        made.append(np.asarray(Image.open(file).convert("RGB")))
    return np.stack(made)


HELD_OUT: dict[str, Callable[[Pixels, int, int], Pixels]] = {
    "frost": frost, "fog": fog, "color-cast": color_cast, "motion-blur": motion_blur, "impulse-noise": impulse_noise,
    "darker": darker, "webp": recoded,
}  # fmt: skip


def _rounded(values: np.ndarray) -> Pixels:
    return np.clip(values + 0.5, 0, 255).astype(np.uint8)


def _moved(values: np.ndarray, down: int, right: int) -> np.ndarray:
    """Shifted, with the edge repeated."""
    height, width = values.shape[1:3]
    rows = np.clip(np.arange(height) - down, 0, height - 1)
    columns = np.clip(np.arange(width) - right, 0, width - 1)
    return values[:, rows][:, :, columns]


def _clouds(rng: np.random.Generator, count: int, shape: tuple[int, int], slope: float) -> np.ndarray:
    """Noise (count, h, w) whose amplitude falls with the frequency to the power of `slope`, from -1 to 1."""
    height, width = shape
    frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None])
    frequency[0, 0] = np.inf
    waves = np.fft.rfft2(rng.standard_normal((count, height, width))) / frequency**slope
    drawn = np.fft.irfft2(waves, shape)
    return drawn / np.abs(drawn).max(axis=(1, 2), keepdims=True)
