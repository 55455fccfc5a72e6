"""The average over the whole image and the classifier, (n, c, h, w) to (n, classes)."""

from __future__ import annotations

from collections import OrderedDict

from torch import nn

from nas.models.blocks import linear, pool
from nas.space.block import Block


def module(block: Block) -> nn.Module:
    parts = (*pool.module(block).named_children(), *linear.module(block).named_children())
    return nn.Sequential(OrderedDict(parts))
