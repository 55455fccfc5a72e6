"""From the sum of block costs to the cost of a whole network: a profile's calibration."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from nas.device.tables.columns import MOST_COST
from nas.files.toml import Table

if TYPE_CHECKING:
    import numpy as np

Slope = Annotated[float, Field(gt=0, le=1e6)]
Term = Annotated[float, Field(ge=-MOST_COST, le=MOST_COST)]


class Line(Table):
    """From the sum of block times to the time of a whole network.

    slope x sum + per_block_ms x blocks + per_million_params_ms x params / 10^6 + offset_ms. Timed on its own, each
    block also pays for the start of a run, which the term per block takes back; and it finds its weights in the caches,
    which inside a network the other blocks' weights have driven out.
    """

    slope: Slope
    offset_ms: Term
    per_block_ms: Term = 0.0
    per_million_params_ms: Term = 0.0

    def of(self, total: np.ndarray, blocks: np.ndarray, params: np.ndarray) -> np.ndarray:
        """Whole networks' ms (n,) from their sums of block times, numbers of blocks, and parameters, (n,) each."""
        rest = self.per_block_ms * blocks + self.per_million_params_ms * params / 1e6 + self.offset_ms
        return self.slope * total + rest

    def __str__(self) -> str:
        return _line(self.slope, self.per_block_ms, self.per_million_params_ms, self.offset_ms, "ms")


class EnergyLine(Table):
    """The same of energy."""

    slope: Slope
    offset_mj: Term
    per_block_mj: Term = 0.0
    per_million_params_mj: Term = 0.0

    def of(self, total: np.ndarray, blocks: np.ndarray, params: np.ndarray) -> np.ndarray:
        rest = self.per_block_mj * blocks + self.per_million_params_mj * params / 1e6 + self.offset_mj
        return self.slope * total + rest

    def __str__(self) -> str:
        return _line(self.slope, self.per_block_mj, self.per_million_params_mj, self.offset_mj, "mJ")


def _line(slope: float, per_block: float, per_million_params: float, offset: float, unit: str) -> str:
    """A calibration in words; terms of 0 are left out."""
    each = ((per_block, " a block"), (per_million_params, " a million params"), (offset, ""))
    return " ".join([f"{slope:.4g} x sum of blocks", *(f"{value:+.3g} {unit}{of}" for value, of in each if value)])
