"""A convolution, its batch norm or bias, its activation."""

from __future__ import annotations

from collections import OrderedDict

from torch import nn

from nas.models.parts import activation_layer, convolution, norm
from nas.space.block import Block


def module(block: Block) -> nn.Module:
    """Parts "conv" and "bn1", which has the activation; without a norm "conv" and "act1"."""
    out = block.out_shape[0]
    conv = convolution(
        block.in_shape[0], out, block.kernel, block.stride, groups=block.groups, bias=not block.norm,
        ranks=block.ranks_of(0),
    )  # fmt: skip
    if block.norm:
        return nn.Sequential(OrderedDict(conv=conv, bn1=norm(out, block.activation)))
    return nn.Sequential(OrderedDict(conv=conv, act1=activation_layer(block.activation)()))
