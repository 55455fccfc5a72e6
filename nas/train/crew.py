"""What the processes of one training on several GPUs do together: a part of each batch, one gradient, one decision.

PyTorch's DistributedDataParallel (Li et al., VLDB 2020): every process has the whole model and computes the gradient of
its part of each batch; their mean is everyone's, so that all models stay equal.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor, distributed, nn

if TYPE_CHECKING:
    from nas.train.training import Training


@dataclass(frozen=True, slots=True, eq=False)
class Crew:
    """Process `rank` of `size`. The first one keeps the average, looks at validation images, and decides."""

    rank: int = 0
    size: int = 1
    control: distributed.ProcessGroup | None = None  # for decisions: of the CPU, whatever the gradients' is

    @property
    def first(self) -> bool:
        return self.rank == 0

    def wrapped(self, model: nn.Module) -> nn.Module:
        """The model whose gradients are the mean of all processes', and whose statistics are the first one's."""
        return model if self.size == 1 else nn.parallel.DistributedDataParallel(model)

    def part(self, chosen: Tensor) -> Tensor:
        """This process' part of the numbers of a batch's images; parts are equal, so that their mean is the batch's."""
        each = len(chosen) // self.size
        return chosen[self.rank * each :][:each]

    def number(self, step: int) -> int:
        """What the random numbers of this process in a step are drawn by."""
        return step * self.size + self.rank

    def agreed(self, state: Training, stop: bool | None) -> bool:
        """Whether the first process stops after this step; its number of epochs is then everyone's."""
        if self.size == 1:
            return bool(stop)
        said = torch.tensor([int(bool(stop)), state.recipe.epochs])
        distributed.broadcast(said, 0, self.control)
        state.recipe = replace(state.recipe, epochs=int(said[1]))
        return bool(said[0])


ALONE = Crew()
