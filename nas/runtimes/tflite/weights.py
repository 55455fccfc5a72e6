"""The weights of a TFLite file: random ones to time, or those of a trained module."""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from typing import TYPE_CHECKING, Protocol

import numpy as np

from nas.runtimes.random_weights import RandomWeights, spread

if TYPE_CHECKING:
    from torch import nn

INT8 = 127  # the largest stored weight


class Weights(Protocol):
    """Weights in the order in which the layers of the blocks are written; equal ones are stored `once`, or each."""

    @property
    def once(self) -> bool: ...

    def take(self, *shape: int) -> tuple[np.ndarray, np.ndarray]:
        """The next layer's weight float32 (out, in / groups, ...) of that shape, and its bias float32 (out,)."""
        ...

    def scales(self, weight: np.ndarray) -> np.ndarray:
        """Of int8: what one step is worth in each output channel, (out,)."""
        ...


class ToTime:
    """Random weights, with one scale for all channels of a layer, so that what is stored repeats and packs small."""

    once = False  # equal blocks of a network to time stand for others

    def __init__(self, seed: int) -> None:
        self.random = RandomWeights(seed)

    def take(self, *shape: int) -> tuple[np.ndarray, np.ndarray]:
        return self.random.draw(*shape), self.random.draw(shape[0])

    def scales(self, weight: np.ndarray) -> np.ndarray:
        return np.full(len(weight), self.random.largest * spread(*weight.shape) / INT8)


class ToDeploy:
    """Those of a trained module, batch norms folded into them; those that blocks share come again for each."""

    once = True

    def __init__(self, module: nn.Module) -> None:
        from nas.models.fold import fold_batch_norms

        folded = deepcopy(module)
        fold_batch_norms(folded)
        self._layers = _weighted(folded)

    def take(self, *shape: int) -> tuple[np.ndarray, np.ndarray]:
        """Raises ValueError where the module's next layer is another one than the network's."""
        layer = next(self._layers, None)
        if layer is None or tuple(layer.weight.shape[: len(shape)]) != shape:
            raise ValueError(f"the module must have a weight of shape {shape}; got {layer}")
        weight: np.ndarray = layer.weight.detach().numpy()
        return weight, np.zeros(len(weight), np.float32) if layer.bias is None else layer.bias.detach().numpy()

    def scales(self, weight: np.ndarray) -> np.ndarray:
        largest: np.ndarray = np.abs(weight.reshape(len(weight), -1)).max(1).astype(np.float64)
        return np.asarray(np.maximum(largest, 1e-12) / INT8)


def _weighted(module: nn.Module) -> Iterator[nn.Conv2d | nn.Linear]:
    """The layers with weights, in order of execution."""
    from torch.nn import Conv2d, Linear

    from nas.models.parts import Again

    if isinstance(module, Conv2d | Linear):
        yield module
    for part in [module.first] if isinstance(module, Again) else module.children():
        yield from _weighted(part)
