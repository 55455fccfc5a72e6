"""Batch norms folded into the convolutions before them, as every runtime computes a network."""

from __future__ import annotations

from copy import deepcopy

import torch
from timm.layers import BatchNormAct2d
from torch import nn


def fold_batch_norms(model: nn.Module) -> None:
    """Move each batch norm into the convolution before it, in place; what remains of it is its activation."""
    previous: nn.Module | None = None
    for module in [m for m in model.modules() if isinstance(m, nn.Conv2d | nn.BatchNorm2d)]:
        if isinstance(module, nn.BatchNorm2d) and isinstance(previous, nn.Conv2d):
            _fold(previous, module)
        previous = module


def without_batch_norms(model: nn.Module) -> nn.Module:
    """A copy in evaluation mode that computes the same with its batch norms folded, and has none.

    An exporter that finds a weight used twice folds nothing into it.
    """
    copy = deepcopy(model).eval()
    fold_batch_norms(copy)
    for parent in list(copy.modules()):
        for name, child in parent.named_children():
            if isinstance(child, BatchNormAct2d):
                setattr(parent, name, child.act)
    return copy


def _fold(conv: nn.Conv2d, norm: nn.BatchNorm2d) -> None:
    mean, variance = norm.running_mean, norm.running_var
    if mean is None or variance is None or len(mean) != conv.out_channels:
        raise ValueError(f"a batch norm of {norm.num_features} channels follows a convolution of {conv.out_channels}")
    scale = norm.weight.data / torch.sqrt(variance + norm.eps)
    before = conv.bias.data if conv.bias is not None else torch.zeros_like(mean)
    conv.weight.data = conv.weight.data * scale[:, None, None, None]
    conv.bias = nn.Parameter(norm.bias.data + (before - mean) * scale)
    mean.zero_()
    variance.fill_(1)
    norm.weight.data.fill_(1)
    norm.bias.data.zero_()
    norm.eps = 0.0
