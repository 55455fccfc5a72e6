"""A detector as a module: a body whose taps are read by heads, and what the heads say, box by box."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import groupby

import torch
from torch import Tensor, nn

from nas.errors import UserError
from nas.space.block import KINDS
from nas.space.network import Network

STEM = -1  # the number of its output among those of the stages
PRIOR = 0.01  # the probability that an untrained head gives every class (Lin et al., ICCV 2017, section 4.1)


class Detector(nn.Module):
    """Images float32 (n, 3, h, w) to float32 (n, boxes, classes + 4): logits of the classes, then a box's four numbers.

    Boxes stand in the order of the heads; within one, row by row of its map, and at each place anchor by anchor. What
    the four numbers mean is said in `nas.data.boxes`. Raises UserError where a tap is not the end of a stage.
    """

    def __init__(self, parts: Mapping[str, nn.Module], network: Network) -> None:
        super().__init__()
        for name, part in parts.items():
            self.add_module(name, part)
        blocks = [network.blocks[i] for i in network.heads]
        self.anchors = [KINDS[block.kind].anchors for block in blocks]
        self.values = network.classes + 4
        stages = network.stages or tuple(range(len(network.blocks)))
        start = 1 if network.blocks[0].kind == "conv" else 0
        last = {row[-1]: number for number, row in enumerate(rows_of(stages, start, len(network.backbone)))}
        last |= {0: STEM} if start else {}
        if odd := [tap for tap in network.taps if tap not in last]:
            raise UserError(f"a detector's head must read the last block of a stage; got block {odd[0]}")
        self.taps = [last[tap] for tap in network.taps]

    def forward(self, images: Tensor) -> Tensor:
        x, maps = images, {}
        for name, part in self.named_children():
            if name == "blocks":
                for number, row in enumerate(part.children()):
                    x = row(x)
                    maps[number] = x
            elif name != "heads":
                x = part(x)
                maps[STEM] = x
        found = []
        for head, tap, anchors in zip(self.get_submodule("heads").children(), self.taps, self.anchors, strict=True):
            said = head(maps[tap]).permute(0, 2, 3, 1)
            found.append(said.reshape(said.shape[0], anchors * said.shape[1] * said.shape[2], self.values))
        return torch.cat(found, 1)

    def draw_predictions(self) -> None:
        """Draws the heads' last layers from torch's global generator: small weights, and rare objects."""
        for head in self.get_submodule("heads").children():
            predict = head.get_submodule("predict")
            assert isinstance(predict, nn.Conv2d)
            assert predict.bias is not None
            nn.init.normal_(predict.weight, 0, 0.01)
            bias = torch.zeros(predict.out_channels // self.values, self.values)
            bias[:, : self.values - 4] = -math.log((1 - PRIOR) / PRIOR)
            with torch.no_grad():
                predict.bias.copy_(bias.flatten())


def rows_of(stages: Sequence[int], start: int, end: int) -> list[list[int]]:
    """The numbers of the blocks from `start` to `end`, a list a stage."""
    return [list(row) for _, row in groupby(range(start, end), key=lambda i: stages[i])]
