"""A detector's head without anchors: two depthwise separable convolutions, then pointwise to scores and boxes."""

from __future__ import annotations

from collections import OrderedDict

from torch import nn

from nas.models.parts import convolution, norm
from nas.space.block import Block


def module(block: Block) -> nn.Module:
    parts: OrderedDict[str, nn.Module] = OrderedDict()
    channels = block.in_shape[0]
    for number in (1, 2):
        parts[f"conv_dw{number}"] = convolution(channels, channels, block.kernel, groups=channels)
        parts[f"bn{2 * number - 1}"] = norm(channels, block.activation)
        parts[f"conv_pw{number}"] = convolution(channels, block.mid)
        parts[f"bn{2 * number}"] = norm(block.mid, block.activation)
        channels = block.mid
    parts["predict"] = convolution(channels, block.out_shape[0], bias=True)
    return nn.Sequential(parts)
