"""Jacobian covariance: how differently a network's output depends on different images."""

from __future__ import annotations

import torch

from nas.estimate.zero_cost.initialization import Initialized

IMAGES = 32
SMALL = 1e-5


def jacobian_covariance(given: Initialized) -> float:
    """-sum(log(v + k) + 1 / (v + k)) over the eigenvalues v of the correlation of the images' input gradients.

    The gradient is that of the sum of the logits; k is 1e-5. Higher is better. Mellor et al., the first version of
    Neural Architecture Search without Training, arXiv:2006.04647v1. It varies much from one initialization to another.
    """
    images = given.images[:IMAGES].clone().requires_grad_()
    (gradients,) = torch.autograd.grad(given.blocks(images).sum(), images)
    values = torch.linalg.eigvalsh(torch.corrcoef(gradients.flatten(1).double())) + SMALL
    return float(-(values.log() + 1 / values).sum())
