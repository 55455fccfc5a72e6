"""A detector's head with anchors: depthwise, then pointwise to scores and boxes."""

from __future__ import annotations

from collections import OrderedDict

from torch import nn

from nas.models.parts import convolution, norm
from nas.space.block import Block


def module(block: Block) -> nn.Module:
    channels = block.in_shape[0]
    return nn.Sequential(
        OrderedDict(
            conv_dw=convolution(channels, channels, block.kernel, groups=channels),
            bn1=norm(channels, block.activation),
            predict=convolution(channels, block.out_shape[0], bias=True),
        )
    )
