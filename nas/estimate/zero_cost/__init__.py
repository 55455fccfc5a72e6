"""Scores of a network that nothing was trained for, one file each, from their papers. Of every score, more is better.

A score sees one initialization; `nas.estimate.zero_cost.estimator` takes the mean of several.
"""

from __future__ import annotations

from collections.abc import Callable

from nas.estimate.zero_cost.descriptors import depth, layers, macs, operations, params, stage_sum
from nas.estimate.zero_cost.expressivity import expressivity
from nas.estimate.zero_cost.initialization import Initialized
from nas.estimate.zero_cost.jacobian_covariance import jacobian_covariance
from nas.estimate.zero_cost.naswot import naswot
from nas.estimate.zero_cost.progressivity import progressivity
from nas.estimate.zero_cost.swap import swap
from nas.estimate.zero_cost.synflow import synflow
from nas.estimate.zero_cost.trainability import trainability
from nas.estimate.zero_cost.zico import zico
from nas.space.network import Network

DESCRIPTORS: dict[str, Callable[[Network], float]] = {
    "depth": depth, "layers": layers, "macs": macs, "params": params, "operations": operations, "stage-sum": stage_sum,
}  # fmt: skip
SCORES: dict[str, Callable[[Initialized], float]] = {
    "swap": swap, "naswot": naswot, "trainability": trainability, "expressivity": expressivity,
    "progressivity": progressivity, "jacobian-covariance": jacobian_covariance, "zico": zico, "synflow": synflow,
}  # fmt: skip
