"""What predictions of whole networks must beat: one figure for all of them, and a straight line through their MACs."""

from __future__ import annotations

import numpy as np


def by_median(cost: np.ndarray, wanted: int) -> np.ndarray:
    """The median of the costs (n,) for each of so many networks, (wanted,)."""
    return np.full(wanted, np.median(cost))


def by_macs(macs: np.ndarray, cost: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Costs of networks with the MACs `wanted` (k,), on the line through (n,) others: relative least squares."""
    slope, offset = np.linalg.lstsq(np.stack([macs, np.ones(len(macs))], 1) / cost[:, None], np.ones(len(cost)))[0]
    return np.asarray(slope * wanted + offset)
