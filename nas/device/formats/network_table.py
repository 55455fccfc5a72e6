"""Whole networks measured on one device: thousands of candidates of a search space, and each one's milliseconds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nas.space.block_table import BlockTable
from nas.space.layer import Precision


@dataclass(frozen=True)
class NetworkTable:
    """n networks: their blocks, and `latency_ms` (n,), above 0, of a whole batch."""

    names: tuple[str, ...]
    blocks: BlockTable
    latency_ms: np.ndarray
    precision: Precision = "fp32"
    batch: int = 1

    @property
    def uses(self) -> np.ndarray:
        """How often each network has each distinct block, (n, blocks)."""
        uses = np.zeros((len(self.names), len(self.blocks.blocks)))
        for position in self.blocks.index:
            present = np.flatnonzero(position >= 0)
            uses[present, position[present]] += 1
        return uses

    @property
    def macs(self) -> np.ndarray:
        """Millions of MACs of each network, one image, (n,)."""
        per_block = np.array([sum(layer.macs for layer in block.layers) for block in self.blocks.blocks])
        return np.asarray(self.uses @ per_block / 1e6)
