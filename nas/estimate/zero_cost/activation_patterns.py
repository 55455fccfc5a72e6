"""Which units of a network are active on which images: the sign of what each activation reads."""

from __future__ import annotations

from collections.abc import Callable

import torch
from timm.models._efficientnet_blocks import SqueezeExcite
from torch import Tensor, nn

ACTIVATIONS = (nn.ReLU, nn.ReLU6, nn.Hardswish, nn.SiLU, nn.GELU, nn.Hardtanh, nn.LeakyReLU, nn.ELU)


def activations(blocks: nn.Module) -> list[nn.Module]:
    """The network's activations, without those inside squeeze-excite: they act on channels, not on positions."""
    inside = {part for module in blocks.modules() if isinstance(module, SqueezeExcite) for part in module.modules()}
    return [module for module in blocks.modules() if isinstance(module, ACTIVATIONS) and module not in inside]


@torch.no_grad()
def each_pattern(blocks: nn.Module, images: Tensor, see: Callable[[Tensor], object]) -> None:
    """Shows `images` (n, 3, h, w) to the network and calls `see` with each activation's pattern, bool (n, units).

    A unit is active where the activation reads more than 0, whatever the activation: ReLU, ReLU6, h-swish or swish.
    """

    def read(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        see((inputs[0] > 0).flatten(1))

    hooks = [module.register_forward_pre_hook(read) for module in activations(blocks)]
    try:
        blocks(images)
    finally:
        for hook in hooks:
            hook.remove()
