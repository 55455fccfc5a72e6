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
FLAT, DETAIL = np.float32(2), np.float32(6)  # steps of 255 up to which neighbors, or fine frequencies, count as flat
HIGH, LOW = np.float32(250), np.float32(5)  # values beyond are clipped
FINE = 7  # a block's frequencies across and down, together, from which on they are detail


class Pictures:
    """Statistics of pictures of one size; `NAMES` says what they are.

    Of pictures of more than 32 pixels a side four tiles of 16 x 16 pixels are looked at; mostly every second
    row, for neighbors say nearly the same. Neighbors are subtracted over all rows of all pictures in one go; those of
    different rows get a weight of 0. Arrays are kept from call to call: the system takes longer to hand out memory
    than NumPy to fill it.
    """

    def __init__(self, height: int, width: int) -> None:
        self.rows, self.columns = _tiles(height), _tiles(width)
        self.whole = height <= SIDE and width <= SIDE
        self.shape = (len(self.rows), len(self.columns), 3)
        down, across = _strides(self.rows, 3 * width), _strides(self.columns, 3)
        self.tiles, self.strides = (*down[0], *across[0], 3), (*down[1], *across[1], 1)
        self.first = 3 * (width * int(self.rows[0]) + int(self.columns[0]))
        rows, columns = (self.shape[0] + 1) // 2, self.shape[1]
        column = np.tile(np.arange(columns), rows)
        border, inside = column % BLOCK == BLOCK - 1, column < columns - 1
        self.every, self.below = _mean_of(column >= 0), _mean_of(column[: self.shape[0] // 2 * columns] >= 0)
        self.across = np.stack([_mean_of(inside), _mean_of(inside & ~border), _mean_of(inside & border)], axis=1)
        self.beside, self.curved = _mean_of(inside), _mean_of(column < columns - 2)
        self.grid = self.shape[0] // BLOCK, columns // BLOCK
        self.cosines = _fine_cosines()
        self.fine = _mean_of(np.ones(self.grid[0] * self.grid[1] * self.cosines.shape[1], bool))
        self._kept: dict[str, np.ndarray] = {}

    def part(self, pixels: np.ndarray) -> np.ndarray:
        """What is looked at of uint8 (h, w, 3)."""
        if self.whole:
            return pixels
        if not pixels.flags.c_contiguous:  # a part of a larger one
            return np.asarray(pixels[self.rows[:, None], self.columns])
        tiles: np.ndarray = np.ndarray(self.tiles, np.uint8, pixels, self.first, self.strides)  # a fast view
        return tiles.reshape(self.shape)

    def statistics(self, parts: np.ndarray) -> np.ndarray:
        """Of uint8 (n, *shape), as `part` gives them: float64 (n, 15)."""
        count, (height, width, _) = len(parts), self.shape
        rows, lower = (height + 1) // 2, height // 2
        whole = self._room("whole", count, height, width)
        np.copyto(whole, parts[..., 1])
        upper, green = parts[:, ::2], self._room("green", count, rows, width)
        np.copyto(green, whole[:, ::2])
        red = np.subtract(upper[..., 0], green, out=self._room("red", count, rows, width))
        blue = np.subtract(upper[..., 2], green, out=self._room("other", count, rows, width))
        found = self._room("found", len(NAMES), count)
        found[0], found[1], found[2] = (self._mean(values, self.every) for values in (green, red, blue))
        other = np.multiply(green, green, out=blue)
        found[3] = np.sqrt(np.maximum(self._mean(other, self.every) - found[0] * found[0], 0)) + 1
        found[4] = np.sqrt(whole.min(axis=(1, 2)))
        found[5] = np.sqrt(255 - whole.max(axis=(1, 2)))
        signed = self._neighbors("signed", green)
        across = np.abs(signed, out=self._room("across", count, rows, width))
        mean_across, inside, border = (across.reshape(count, -1) @ self.across).T
        second = self._neighbors("second", signed)
        mean_second = self._mean(np.abs(second, out=second), self.curved)
        flat = self._mean(np.minimum(across, FLAT, out=across), self.beside)
        color = self._neighbors("signed", red)
        second = self._neighbors("second", color)
        color_second = self._mean(np.abs(second, out=second), self.curved)
        mean_color = self._mean(np.abs(color, out=color), self.beside)
        down = self._room("down", count, lower, width)
        np.abs(np.subtract(whole[:, 1::2], green[:, :lower], out=down), out=down)
        clipped = self._mean(np.maximum(green, HIGH, out=other), self.every) - HIGH
        clipped += LOW - self._mean(np.minimum(green, LOW, out=other), self.every)
        found[6], found[7], found[8] = mean_across + 0.5, self._mean(down, self.below) + 0.5, mean_second + 0.5
        found[8] /= found[6]
        found[9] = (FLAT + 0.05 - flat) / (flat + 0.05)
        found[10] = (mean_color + 0.25) / found[6]
        found[11] = (color_second + 0.25) / (mean_color + 0.25)
        found[12] = (border + 0.5) / (inside + 0.5)
        found[13] = clipped + 0.02
        found[14] = self._detail(whole)
        np.log(found[3], out=found[3])
        np.log(found[6:], out=found[6:])
        return found.T.astype(np.float64)

    def _room(self, name: str, *shape: int) -> np.ndarray:
        """An array of float32 that is kept, whose values are those of the last call."""
        if name not in self._kept or self._kept[name].shape != shape:
            self._kept[name] = np.zeros(shape, np.float32)
        return self._kept[name]

    def _neighbors(self, name: str, values: np.ndarray) -> np.ndarray:
        """Each value's difference to the next one, of the last one 0."""
        apart, flat = self._room(name, *values.shape), values.reshape(-1)
        np.subtract(flat[1:], flat[:-1], out=apart.reshape(-1)[:-1])
        return apart

    def _mean(self, values: np.ndarray, weights: np.ndarray) -> np.ndarray:
        return np.asarray(values.reshape(len(values), -1) @ weights)

    def _detail(self, green: np.ndarray) -> np.ndarray:
        """How much of the blocks' finest frequencies is not zero, which a codec rounds them to, as odds (n,)."""
        count, (down, across) = len(green), self.grid
        if not down or not across:
            return np.ones(count, np.float32)
        cut = green[:, : down * BLOCK, : across * BLOCK].reshape(count, down, BLOCK, across, BLOCK)
        blocks = self._room("blocks", count, down, across, BLOCK, BLOCK)
        np.copyto(blocks, cut.transpose(0, 1, 3, 2, 4))
        fine = self._room("fine", count * down * across, self.cosines.shape[1])
        np.matmul(blocks.reshape(-1, BLOCK * BLOCK), self.cosines, out=fine)
        np.minimum(np.abs(fine, out=fine), DETAIL, out=fine)
        present = self._mean(fine.reshape(count, -1), self.fine)
        return np.asarray((present + 0.05) / (DETAIL + 0.05 - present))


def _mean_of(chosen: np.ndarray) -> np.ndarray:
    """Weights, float32 (n,), that give the mean of the chosen ones, bool (n,); 0 where there is none."""
    return np.asarray(chosen / max(chosen.sum(), 1), np.float32)


def _fine_cosines() -> np.ndarray:
    """The orthonormal cosine transform of a block, its finest frequencies alone: float32 (64, 36)."""
    at = np.arange(BLOCK)
    row = np.cos(np.pi * np.outer(at, 2 * at + 1) / (2 * BLOCK)) * np.sqrt(2 / BLOCK)
    row[0] /= np.sqrt(2)
    whole = np.einsum("ux,vy->xyuv", row, row).reshape(BLOCK * BLOCK, BLOCK, BLOCK)
    return np.asarray(whole[:, np.add.outer(at, at) >= FINE], np.float32)


def _tiles(side: int) -> np.ndarray:
    """The rows or columns that are looked at."""
    if side <= SIDE:
        return np.arange(side)
    ends = (side - TILE) // BLOCK * BLOCK
    first = np.array([ends // 4, ends - ends // 4]) // BLOCK * BLOCK
    return np.asarray((first[:, None] + np.arange(TILE)).ravel())


def _strides(places: np.ndarray, step: int) -> tuple[tuple[int, int], tuple[int, int]]:
    """Of such rows or columns, `step` bytes apart: how many tiles and how long, and the bytes between each."""
    if len(places) <= TILE or places[TILE] == places[0] + TILE:
        return (1, len(places)), (0, step)
    return (len(places) // TILE, TILE), (int(places[TILE] - places[0]) * step, step)
