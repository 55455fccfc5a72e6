"""AZ-NAS's expressivity: how evenly the outputs of a network's blocks fill their channels."""

from __future__ import annotations

from nas.estimate.zero_cost.block_features import entropies
from nas.estimate.zero_cost.initialization import Initialized


def expressivity(given: Initialized) -> float:
    """The sum over blocks of the entropy of the output's principal components.

    Higher is better. Lee and Ham, AZ-NAS, CVPR 2024.
    """
    return sum(entropies(given))
