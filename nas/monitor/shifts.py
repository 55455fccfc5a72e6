"""What may happen to a camera's pictures: the common corruptions, and changes of light, weather and motion.

A version's reference is calibrated on validation images under these, in three strengths each.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from nas.data.corruptions import CORRUPTIONS, Pixels, corrupt

SEVERITIES = (2, 4, 5)
Shift = Callable[[Pixels, int, int], Pixels]  # uint8 (n, h, w, 3), a severity from 1 to 5, a seed


def shifts() -> dict[str, Shift]:
    """All of them, by name."""
    known: dict[str, Shift] = {name: _corruption(name) for name in CORRUPTIONS}
    return known | {
        "warm": lambda pixels, severity, seed: _cast(pixels, 0.06 * severity),
        "cool": lambda pixels, severity, seed: _cast(pixels, -0.06 * severity),
        "dusk": _dusk, "haze": _haze, "rime": _rime, "shake": _shake, "specks": _specks,
    }  # fmt: skip


def _corruption(name: str) -> Shift:
    return lambda pixels, severity, seed: corrupt(pixels, name, severity, seed=seed)


def _cast(pixels: Pixels, far: float) -> Pixels:
    return _rounded(pixels * np.array([1 + far, 1.0, 1 - far]))


def _dusk(pixels: Pixels, severity: int, seed: int) -> Pixels:
    """Less light, and the noise of a sensor that sees little."""
    light = 1 - 0.15 * severity
    noise = np.random.default_rng([seed, severity]).standard_normal(pixels.shape)
    return _rounded(light * pixels + noise * np.sqrt(light * pixels) * 0.1 * severity)


def _haze(pixels: Pixels, severity: int, seed: int) -> Pixels:
    """A bright veil, thicker on one side."""
    count, height, width = pixels.shape[:3]
    rng = np.random.default_rng([seed, severity])
    down, across = np.linspace(-1, 1, height)[:, None], np.linspace(-1, 1, width)
    slopes = rng.uniform(-0.5, 0.5, (count, 2, 1, 1))
    veil = np.clip(0.15 * severity * (1 + slopes[:, 0] * down + slopes[:, 1] * across), 0, 0.9)[..., None]
    return _rounded(pixels * (1 - veil) + 215 * veil)


def _rime(pixels: Pixels, severity: int, seed: int) -> Pixels:
    """Bright streaks and grains over a darker picture."""
    count, height, width = pixels.shape[:3]
    rng = np.random.default_rng([seed, severity])
    grains = np.abs(
        _smooth(rng.standard_normal((count, height, width)), 1)
        + _smooth(rng.standard_normal((count, height, width)), 3)
    )
    grains /= grains.max(axis=(1, 2), keepdims=True)
    return _rounded(pixels * (1 - 0.05 * severity) + 255 * (0.12 * severity * (1 - grains))[..., None])


def _shake(pixels: Pixels, severity: int, seed: int) -> Pixels:
    """Along rows or columns, as far as a sixteenth of the side and more."""
    side = pixels.shape[1]
    steps = max(2, round(side / 32 * (severity + 1)))
    values, way = pixels.astype(np.float64), np.random.default_rng([seed, severity]).integers(0, 2, len(pixels)) > 0
    moved = [np.where(way[:, None, None, None], np.roll(values, k, 1), np.roll(values, k, 2)) for k in range(steps)]
    return _rounded(np.mean(moved, axis=0))


def _specks(pixels: Pixels, severity: int, seed: int) -> Pixels:
    drawn = np.random.default_rng([seed, severity]).random(pixels.shape[:3])[..., None]
    share = 0.012 * severity
    return np.asarray(np.where(drawn < share / 2, 0, np.where(drawn > 1 - share / 2, 255, pixels)), np.uint8)


def _smooth(values: np.ndarray, passes: int) -> np.ndarray:
    for _ in range(passes):
        for axis in (1, 2):
            values = (np.roll(values, 1, axis) + 2 * values + np.roll(values, -1, axis)) / 4
    return np.asarray(values / values.std())


def _rounded(values: np.ndarray) -> Pixels:
    return np.asarray(np.clip(values + 0.5, 0, 255), np.uint8)
