"""Cheap statistics of pictures, which a change of light, lens, sensor or codec moves."""

from __future__ import annotations

import numpy as np

SIDE = 32  # pixels a side that are looked at, at most
TILE = 16  # of a larger picture: tiles of so many pixels, spread over it, on the grid of JPEG's blocks
BLOCK = 8
NAMES = (
    "mean", "red", "blue", "contrast", "darkest", "lightest", "gradient across", "gradient down", "curvature", "flat",
    "color gradient", "color curvature", "block borders", "clipped", "fine detail",
)  # fmt: skip
FLAT, DETAIL = 2.0, 6.0  # steps of 255 up to which neighbors, or a block's finest frequencies, count as flat
HIGH, LOW = 250.0, 5.0  # values beyond are clipped
FINE = 7  # a block's frequencies across and down, together, from which on they are detail


class Pictures:
    """Statistics of pictures of one size; `NAMES` says what they are.

    Of pictures of more than 32 pixels a side four tiles of 16 x 16 pixels are looked at; mostly every second
    row, for neighbors say nearly the same.
    """

    def __init__(self, height: int, width: int) -> None:
        self.rows, self.columns = _tiles(height), _tiles(width)
        self.whole = height <= SIDE and width <= SIDE
        self.shape = (len(self.rows), len(self.columns), 3)
        rows, columns = (self.shape[0] + 1) // 2, self.shape[1]
        border = np.zeros(columns - 1, np.float32)
        border[BLOCK - 1 :: BLOCK] = 1
        inside = np.tile(1 - border, rows)
        self.inside, self.border = inside / max(inside.sum(), 1), np.tile(border, rows) / max(border.sum() * rows, 1)
        self.grid = self.shape[0] // BLOCK * BLOCK, columns // BLOCK * BLOCK
        self.cosines = _cosines()
        frequency = np.add.outer(np.arange(BLOCK), np.arange(BLOCK)) >= FINE
        tiled = np.tile(frequency, (self.grid[0] // BLOCK, self.grid[1] // BLOCK)).ravel().astype(np.float32)
        self.fine = tiled / max(tiled.sum(), 1)
        self.means = {n: np.full(n, 1 / max(n, 1), np.float32) for n in self._sizes()}

    def _sizes(self) -> list[int]:
        half, columns = (self.shape[0] + 1) // 2, self.shape[1]
        return [half * columns, half * (columns - 1), self.shape[0] // 2 * columns, half * (columns - 2)]

    def part(self, pixels: np.ndarray) -> np.ndarray:
        """What is looked at of uint8 (h, w, 3)."""
        return pixels if self.whole else pixels[self.rows[:, None], self.columns]

    def statistics(self, parts: np.ndarray) -> np.ndarray:
        """Of uint8 (n, *shape), as `part` gives them: float64 (n, 15)."""
        count, whole = len(parts), parts[..., 1].astype(np.float32)
        values = parts[:, ::2].astype(np.float32)
        green = whole[:, ::2]
        red, blue = values[..., 0] - green, values[..., 2] - green
        signed = green[:, :, 1:] - green[:, :, :-1]
        across = np.abs(signed).reshape(count, -1)
        down = np.abs(whole[:, 1::2] - green[:, : whole.shape[1] // 2])
        second = np.abs(signed[:, :, 1:] - signed[:, :, :-1])
        color = red[:, :, 1:] - red[:, :, :-1]
        color_second = np.abs(color[:, :, 1:] - color[:, :, :-1])
        mean, square = self._mean(green), self._mean(green * green)
        mean_across, mean_color = self._mean(across), self._mean(np.abs(color))
        every, flat = whole.reshape(count, -1), self._mean(np.minimum(across, FLAT))
        clipped = self._mean(np.maximum(green, HIGH)) - HIGH + LOW - self._mean(np.minimum(green, LOW))
        inside, border = across @ self.inside, across @ self.border
        found = [
            mean, self._mean(red), self._mean(blue), np.log(np.sqrt(np.maximum(square - mean * mean, 0)) + 1),
            np.sqrt(every.min(axis=1)), np.sqrt(255 - every.max(axis=1)), np.log(mean_across + 0.5),
            np.log(self._mean(down) + 0.5), np.log((self._mean(second) + 0.5) / (mean_across + 0.5)),
            np.log((FLAT + 0.05 - flat) / (flat + 0.05)), np.log((mean_color + 0.25) / (mean_across + 0.5)),
            np.log((self._mean(color_second) + 0.25) / (mean_color + 0.25)), np.log((border + 0.5) / (inside + 0.5)),
            np.log(clipped + 0.02), self._detail(whole),
        ]  # fmt: skip
        return np.stack(found, axis=1).astype(np.float64)

    def _mean(self, values: np.ndarray) -> np.ndarray:
        flat = values.reshape(len(values), -1)
        return np.asarray(flat @ self.means[flat.shape[1]])

    def _detail(self, green: np.ndarray) -> np.ndarray:
        """How much of the blocks' finest frequencies is not zero, which a codec rounds them to."""
        count, (rows, columns) = len(green), self.grid
        if not rows or not columns:
            return np.zeros(count, np.float32)
        cut = green[:, :rows, :columns]
        downward = self.cosines @ cut.reshape(count * rows // BLOCK, BLOCK, columns)
        both = downward.reshape(-1, BLOCK) @ self.cosines.T
        present = np.minimum(np.abs(both), DETAIL).reshape(count, -1) @ self.fine
        return np.asarray(np.log((present + 0.05) / (DETAIL + 0.05 - present)))


def _cosines() -> np.ndarray:
    """The orthonormal cosine transform of a block's row, float32 (8, 8)."""
    at = np.arange(BLOCK)
    made = np.cos(np.pi * np.outer(at, 2 * at + 1) / (2 * BLOCK)) * np.sqrt(2 / BLOCK)
    made[0] /= np.sqrt(2)
    return np.asarray(made, np.float32)


def _tiles(side: int) -> np.ndarray:
    """The rows or columns that are looked at."""
    if side <= SIDE:
        return np.arange(side)
    ends = (side - TILE) // BLOCK * BLOCK
    first = np.array([ends // 4, ends - ends // 4]) // BLOCK * BLOCK
    return np.asarray((first[:, None] + np.arange(TILE)).ravel())
