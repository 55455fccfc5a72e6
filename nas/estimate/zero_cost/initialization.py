"""A network at its initialization: what every score is computed on."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from nas.errors import UserError
from nas.models.blocks import module_of
from nas.space.network import Network


@dataclass(frozen=True, slots=True, eq=False)
class Initialized:
    """One network with freshly drawn weights, and what it is shown.

    No score may change `blocks` but for batch norm's running statistics, which none reads: in training mode a batch
    norm uses the batch.
    """

    network: Network
    blocks: nn.Sequential  # one module for each block of the network, (n, 3, h, w) to (n, classes), in training mode
    images: Tensor  # real images, float32 (n, 3, h, w)
    labels: Tensor  # int64 (n,)
    seed: int  # of the weights, and of what else a score draws

    @property
    def body(self) -> nn.Sequential:
        """The stem and the blocks behind it; a convolution before the pool is of the head."""
        backbone = self.network.backbone
        last = len(backbone) > 1 and backbone[-1].kind == "conv"
        return self.blocks[: len(backbone) - last]

    def generator(self) -> torch.Generator:
        """A generator of this initialization, the same at each call."""
        return torch.Generator().manual_seed(self.seed)


def initialized(network: Network, images: Tensor, labels: Tensor, seed: int) -> Initialized:
    """The network with weights drawn by He's initialization (normal, fan-in; ICCV 2015), biases 0, batch norm 1 and 0.

    torch's global generator is left alone. Raises UserError for a network that was read from a file and for one with
    several heads.
    """
    if len(network.heads) > 1:
        raise UserError(f"a score without training needs a network with one head; got {len(network.heads)}")
    generator = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng(devices=[]):  # what the constructors draw is drawn anew
        blocks = nn.Sequential(*(module_of(block) for block in network.blocks)).train()
    for module in blocks.modules():
        if hasattr(module, "inplace"):
            module.inplace = False  # type: ignore[assignment]  # what an activation read is looked at after it
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(module.weight, generator=generator)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    blocks.requires_grad_(False).to(memory_format=torch.channels_last)  # twice as fast
    return Initialized(network, blocks, images.contiguous(memory_format=torch.channels_last), labels, seed)
