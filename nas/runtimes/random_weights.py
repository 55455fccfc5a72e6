"""Weights for timing: random, and repeating, so that a bundle packs small. Equal for every format that blocks take."""

from __future__ import annotations

import numpy as np

_PATTERN = 4093  # values; a prime, so that no two rows of a weight are alike


class RandomWeights:
    """Draws from a repeating pattern: a bundle of networks packs into a hundredth of its size, and values cost nothing.

    `largest` is the pattern's largest absolute value, which an int8 weight stores as 127.
    """

    def __init__(self, seed: int) -> None:
        self._pattern = np.random.default_rng(seed).standard_normal(_PATTERN).astype(np.float32)
        self.largest = float(np.abs(self._pattern).max())

    def draw(self, *shape: int) -> np.ndarray:
        """float32 (out, in / groups, ...) of a weight, or (out,) of a bias."""
        return np.resize(self._pattern, shape) * np.float32(spread(*shape))


def spread(*shape: int) -> float:
    """The standard deviation of such a weight or bias.

    It keeps the size of activations (He et al., ICCV 2015): denormal numbers run slower.
    """
    fan_in = int(np.prod(shape[1:]))
    return float(np.sqrt(2 / fan_in)) if len(shape) > 1 else 0.01
