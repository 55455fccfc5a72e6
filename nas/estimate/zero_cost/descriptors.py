"""What a network's table of blocks tells without any weights: the baselines that a score has to beat."""

from __future__ import annotations

from collections import Counter
from math import log, prod

from nas.estimate.structure import works
from nas.space.network import Network


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
