"""Synflow: how much a network's weights carry, all made positive. It mostly repeats depth and width."""

from __future__ import annotations

import copy

import torch
from timm.layers import BatchNormAct2d
from torch import nn

from nas.estimate.zero_cost.activation_patterns import activations
from nas.estimate.zero_cost.initialization import Initialized


def synflow(given: Initialized) -> float:
    """log of the sum over weights of |w dR/dw|; R is the sum of the logits for an image of ones.

    All weights are made positive, and batch norms and activations left out: on positive numbers ReLU is the identity,
    and ReLU6 or h-swish would only end or bend what is summed. Float64.
    Higher is better. Tanaka et al., NeurIPS 2020; as a score, Abdelfattah et al., ICLR 2021.
    """
    blocks = _linear(copy.deepcopy(given.blocks)).double()
    for parameter in blocks.parameters():
        parameter.abs_()
    weights = [weight.requires_grad_() for weight in blocks.parameters() if weight.ndim > 1]
    image = torch.ones(1, *given.images.shape[1:], dtype=torch.float64)
    gradients = torch.autograd.grad(blocks(image).sum(), weights)
    parts = [(w.detach() * g).abs().sum() for w, g in zip(weights, gradients, strict=True)]
    return float(torch.stack(parts).sum().log())


def _linear(blocks: nn.Module) -> nn.Module:
    """The network with the identity in place of every batch norm and activation; squeeze-excite keeps its own."""
    left_out = set(activations(blocks))
    for module in list(blocks.modules()):
        for name, part in list(module.named_children()):
            if isinstance(part, BatchNormAct2d) or part in left_out:
                setattr(module, name, nn.Identity())
    return blocks
