"""A network as a torch module, with the attribute names of timm's models, so that weights move both ways."""

from __future__ import annotations

from itertools import groupby

import torch
from timm.layers import BatchNormAct2d, SelectAdaptivePool2d, create_conv2d
from timm.models._efficientnet_builder import efficientnet_init_weights
from torch import Tensor, nn

from nas.errors import UserError
from nas.models.blocks import BlockBuilder, activation_layer, block_arguments
from nas.space.block import Block
from nas.space.network import Network


def build(network: Network, *, seed: int = 0) -> nn.Module:
    """The module of a network, weights drawn with `seed`; torch's global generator is left alone.

    Input (n, 3, h, w), output (n, classes). Raises UserError for a network read from a file, which has no blocks.
    """
    if any(block.kind == "imported" for block in network.blocks):
        raise UserError("only a network made of blocks can be built; this one was read from a file, layer by layer")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return MobileNet(network)


class MobileNet(nn.Module):
    """Stem, stages of blocks, head. The head is EfficientNet's (convolution, pool) or MobileNetV3's (pool, then it).

    Attributes are timm's: conv_stem, bn1, blocks.<stage>.<block>, conv_head, bn2 or act2, classifier.
    """

    def __init__(self, network: Network) -> None:
        super().__init__()
        stem, body, head, self.pool_first, classifier = _parts(network)
        channels = stem.out_shape[0]
        self.conv_stem = create_conv2d(stem.in_shape[0], channels, stem.kernel, stride=stem.stride, padding="")
        self.bn1 = BatchNormAct2d(channels, act_layer=activation_layer(stem.activation))
        self.blocks = nn.Sequential(*(BlockBuilder()(channels, body) if body else ()))
        self.global_pool = SelectAdaptivePool2d(pool_type="avg")
        self.conv_head: nn.Module = nn.Identity()
        self.bn2: nn.Module = nn.Identity()
        self.act2: nn.Module = nn.Identity()
        if head:
            width, activation = head.out_shape[0], activation_layer(head.activation)
            self.conv_head = create_conv2d(head.in_shape[0], width, head.kernel, padding="", bias=not head.norm)
            if head.norm:
                self.bn2 = BatchNormAct2d(width, act_layer=activation)
            else:
                self.act2 = activation()
        self.flatten = nn.Flatten(1)
        self.classifier = nn.Linear(classifier.in_shape[0], classifier.out_shape[0])
        for module in self.modules():
            if isinstance(module, nn.ReLU | nn.Hardtanh | nn.Hardswish | nn.SiLU):
                # all but ReLU would copy their input before they work in place: slower, and no smaller
                module.inplace = False
        efficientnet_init_weights(self)
        # timm scales the classifier for 1,000 classes; with ten its first logits are so large that short trainings lose
        # an epoch to them. MobileNetV2's own 0.01 does not.
        nn.init.normal_(self.classifier.weight, 0, 0.01)

    def forward(self, x: Tensor) -> Tensor:
        """(n, 3, h, w) to logits (n, classes)."""
        x = self.blocks(self.bn1(self.conv_stem(x)))
        if self.pool_first:
            x = self.global_pool(x)
        x = self.act2(self.bn2(self.conv_head(x)))
        if not self.pool_first:
            x = self.global_pool(x)
        out: Tensor = self.classifier(self.flatten(x))
        return out


def _parts(network: Network) -> tuple[Block, list[list[dict[str, object]]], Block | None, bool, Block]:
    """Stem, arguments of the body's blocks by stage, head convolution, whether the pool comes before it, classifier."""
    blocks = network.blocks
    stages = network.stages or tuple(range(len(blocks)))
    pool = next(i for i, block in enumerate(blocks) if block.kind in ("pool", "pool_linear"))
    after = [block for block in blocks[pool + 1 :] if block.kind == "conv"]
    end = pool - 1 if not after and pool > 1 and blocks[pool - 1].kind == "conv" else pool
    body = []
    for _, stage in groupby(range(1, end), key=lambda i: stages[i]):
        rows = [blocks[i] for i in stage]
        if any(row.stride > 1 for row in rows[1:]):
            raise ValueError("only the first block of a stage can have a stride (timm's builder drops the others)")
        body.append([block_arguments(row) for row in rows])
    head = after[0] if after else blocks[end] if end < pool else None
    return blocks[0], body, head, bool(after), blocks[-1]
