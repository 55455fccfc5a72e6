"""The average over the whole image, (n, c, h, w) to (n, c, 1, 1)."""

from __future__ import annotations

from collections import OrderedDict

from timm.layers import SelectAdaptivePool2d
from torch import nn

from nas.space.block import Block


def module(block: Block) -> nn.Module:
    return nn.Sequential(OrderedDict(global_pool=SelectAdaptivePool2d(pool_type="avg")))
