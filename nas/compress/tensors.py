"""The tensors of a model by the blocks that they belong to."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from nas.models.blocks import module_of
from nas.space.network import Network


def tensors_of(network: Network, module: nn.Module) -> Iterator[tuple[int, str, str, Tensor]]:
    """Each tensor of a built module's state: its block's number, its name in the block and in the module, and itself.

    The module has the tensors of its blocks one after the other, whatever it calls them; what blocks share is the
    first one's. Raises ValueError for a module of another network.
    """
    found = iter(module.state_dict().items())
    for number, block in enumerate(network.blocks):
        if network.weights_of(number) != number:
            continue
        with torch.device("meta"):
            names = list(module_of(block).state_dict())
        for name in names:
            full, tensor = next(found)
            while full.endswith("bias") and not name.endswith("bias"):  # what folding added to a convolution
                full, tensor = next(found)
            yield number, name, full, tensor
    if rest := [name for name, _ in found if not name.endswith("bias")]:
        raise ValueError(f"the module has more than its blocks: {rest[0]}")
