"""The classifier, (n, c, 1, 1) to (n, classes)."""

from __future__ import annotations

from collections import OrderedDict

from torch import nn

from nas.models.parts import linear
from nas.space.block import Block


def module(block: Block) -> nn.Module:
    classifier = linear(block.in_shape[0], block.out_shape[0], block.ranks_of(0))
    return nn.Sequential(OrderedDict(flatten=nn.Flatten(1), classifier=classifier))
