"""What an exported file is compared with: the trained module, on calibration images."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from nas.errors import UserError
from nas.runtimes.images import network_inputs
from nas.runtimes.parity import block_values

if TYPE_CHECKING:
    from torch import nn

    from nas.data.dataset import Split
    from nas.models.trained import TrainedModel

COMPARED = 32  # calibration images that the forms of a network are compared on


class Reference:
    """The module of a model, and what it computes. Raises UserError for weights that are not finite."""

    def __init__(self, model: TrainedModel, calibration: Split | None) -> None:
        from nas.models.trained import check_finite

        check_finite(model.weights, "the model cannot be exported")
        self.model, self.calibration = model, calibration

    @cached_property
    def module(self) -> nn.Module:
        return self.model.module()

    @cached_property
    def images(self) -> list[np.ndarray]:
        """What the forms are compared on, each float32 (1, 3, r, r): some calibration images, else a random one."""
        if self.calibration is not None and len(self.calibration):
            return list(network_inputs(self.model.preprocessing, self.calibration, COMPARED))
        return [np.random.default_rng(0).standard_normal((1, *self.model.network.input_shape), dtype=np.float32)]

    @cached_property
    def logits(self) -> list[np.ndarray]:
        """The module's, of each of `images`. Raises UserError when they are not finite."""
        import torch

        with torch.inference_mode():
            found = [self.module(torch.from_numpy(image)).numpy() for image in self.images]
        if not all(np.isfinite(scores).all() for scores in found):
            raise UserError("the model cannot be exported: the network's outputs are not finite")
        return found

    def block_values(self, images: Sequence[np.ndarray]) -> dict[str, list[np.ndarray]]:
        """The module's output of each block, by the block's name, of each image."""
        return block_values(self.module, images)
