"""AZ-NAS's progressivity: whether every block of a network adds to what the outputs can tell apart."""

from __future__ import annotations

from itertools import pairwise

from nas.estimate.zero_cost.block_features import entropies
from nas.estimate.zero_cost.initialization import Initialized


def progressivity(given: Initialized) -> float:
    """The smallest rise, from one block to the next, of the entropy of the output's principal components.

    Higher is better. Lee and Ham, AZ-NAS, CVPR 2024. 0 for a network of one block.
    """
    found = entropies(given)
    return min((after - before for before, after in pairwise(found)), default=0.0)
