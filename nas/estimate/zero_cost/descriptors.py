"""What a network's table of blocks tells without any weights: the baselines that a score has to beat."""

from __future__ import annotations

from collections import Counter
from math import log, prod

import numpy as np

from nas.estimate.structure import works
from nas.pareto import Array
from nas.space.block import KINDS
from nas.space.block_table import block_table
from nas.space.network import Network
from nas.space.search_space import SearchSpace


def depth(network: Network) -> float:
    """The number of blocks of the backbone that are not identities."""
    return float(sum(map(works, network.backbone)))


def layers(network: Network) -> float:
    """The number of layers with weights."""
    return float(sum(layer.weights > 0 for layer in network.layers))


def macs(network: Network) -> float:
    """Multiply-adds of one inference."""
    return float(network.macs)


def params(network: Network) -> float:
    """Trained parameters."""
    return float(network.params)


def operations(network: Network) -> float:
    """The sum of operations: over the blocks that expand, the ratio of expanded channels to input channels."""
    return sum(block.mid / block.in_shape[0] for block in network.backbone)


def stage_sum(network: Network) -> float:
    """The sum over stages of log(1 + blocks that are not identities)."""
    stages = network.stages or range(len(network.blocks))
    working = Counter(stage for stage, block in zip(stages, network.backbone, strict=False) if works(block))
    return log(prod(1 + count for count in working.values()))  # one logarithm: equal networks are exactly equal


def of_codes(space: SearchSpace, codes: Array, classes: int | None = None) -> dict[str, Array]:
    """`macs`, `params` and `stage_sum` (n,) of candidates by their codes (n, d): what the functions above tell."""
    table = block_table(space, codes, classes)
    counted = [(sum(x.macs for x in block.layers), sum(x.params for x in block.layers)) for block in table.blocks]
    summed = table.total(np.array(counted, dtype=float).reshape(-1, 2))
    pools = np.array([*(KINDS[block.kind].pools for block in table.blocks), False])[table.index]
    counts = np.array([*map(works, table.blocks), False])[table.index] & ~np.logical_or.accumulate(pools, axis=0)
    begins = np.cumsum([0, *(stage.deepest for stage in space.stages)])[:-1]
    depths = np.add.reduceat(counts, begins, axis=0, dtype=float)
    return {"macs": summed[:, 0], "params": summed[:, 1], "stage_sum": np.log(np.prod(1 + depths, axis=0))}
