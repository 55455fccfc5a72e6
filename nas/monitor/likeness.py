"""Which of the known corruptions a drift looks like, by statistics of the pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nas.data.corruptions import CORRUPTIONS, SEVERITIES, Pixels, corrupt

IMAGES = 256  # that are corrupted to compare with
NEAREST = 3
PLAIN = "clean"


@dataclass(frozen=True, slots=True)
class Likeness:
    """A corruption of a severity, and how far the frames are from it: in standard deviations of clean pictures."""

    corruption: str  # or clean
    severity: int
    distance: float

    @property
    def text(self) -> str:
        return f"{self.corruption} {self.severity}" if self.severity else self.corruption


def statistics_of(pixels: Pixels) -> np.ndarray:
    """Pictures uint8 (n, h, w, 3) to (n, 8): how bright each channel is, contrast, edges, noise, and what is clipped.

    Edges are gradients over one pixel; noise is what the mean of four neighbors does not explain. Both as logarithms.
    """
    values = pixels.astype(np.float32)
    grey = values.mean(axis=3)
    across, down = np.abs(np.diff(grey, axis=2)).mean(axis=(1, 2)), np.abs(np.diff(grey, axis=1)).mean(axis=(1, 2))
    inner = grey[:, 1:-1, 1:-1]
    around = (grey[:, :-2, 1:-1] + grey[:, 2:, 1:-1] + grey[:, 1:-1, :-2] + grey[:, 1:-1, 2:]) / 4
    noise = np.abs(inner - around).mean(axis=(1, 2))
    blocks = grey[:, :, 8::8] - grey[:, :, 7:-1:8] if grey.shape[2] > 8 else grey[:, :, :1]
    return np.column_stack([
        values.mean(axis=(1, 2)), grey.std(axis=(1, 2)), np.log(across + down + 1), np.log(noise + 1),
        np.log(np.abs(blocks).mean(axis=(1, 2)) + 1), (grey > 250).mean(axis=(1, 2)),
    ])  # fmt: skip


def likenesses(frames: Pixels, clean: Pixels, *, seed: int = 0) -> tuple[Likeness, ...]:
    """Every known corruption of every severity, and none, the nearest first; both uint8 (n, r, r, 3) of one size.

    The distance is that of the mean statistics, each in standard deviations of the clean pictures, root mean square.
    """
    some = clean[np.random.default_rng(seed).permutation(len(clean))[:IMAGES]]
    usual = statistics_of(some)
    scale, now = np.maximum(usual.std(axis=0), 1e-3), statistics_of(frames).mean(axis=0)

    def distance(statistics: np.ndarray) -> float:
        return float(np.sqrt((((statistics.mean(axis=0) - now) / scale) ** 2).mean()))

    found = [Likeness(PLAIN, 0, distance(usual))]
    for name in CORRUPTIONS:
        for severity in SEVERITIES:
            found.append(Likeness(name, severity, distance(statistics_of(corrupt(some, name, severity, seed=seed)))))
    return tuple(sorted(found, key=lambda one: one.distance))


def nearest(found: Sequence[Likeness], number: int = NEAREST) -> tuple[Likeness, ...]:
    """The nearest corruptions, one severity of each kind; none where the frames look clean."""
    if found[0].corruption == PLAIN:
        return ()
    best: dict[str, Likeness] = {}
    for one in found:
        if one.corruption != PLAIN:
            best.setdefault(one.corruption, one)
    return tuple(list(best.values())[:number])
