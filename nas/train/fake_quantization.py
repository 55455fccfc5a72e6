"""A network that trains as int8 computes it: its rounding simulated in every pass, its batch norms kept."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn
from torch.func import functional_call

from nas.data.dataset import Split
from nas.train.loop import CALIBRATION_BATCH, normalize, spread
from nas.train.rounding import CALIBRATION_IMAGES, Range, hook, open_swish, round_weight, rounding_points

PACE = 0.1  # of the ranges: the share that a batch has in the moving average


class FakeQuantized(nn.Module):
    """`network`, images (n, 3, h, w) to logits (n, classes), rounding where `nas.train.rounding.quantized` does.

    Gradients pass the rounding as if it was not there, so that training makes the weights used to it (Jacob et al.,
    CVPR 2018, section 3). In training a tensor's range is the lowest and highest value of the batch, as a file's are
    those of its calibration images: nothing is clipped, so nothing is without a gradient. In evaluation it is their
    moving average, which begins as the ranges of `quantized`. With one scale an output channel, rounding a weight and
    folding a batch norm into it give the same steps in either order: batch norms train on as they are, and nothing is
    folded.

    Hooks and rounded weights live for one pass, so `network` remains a plain one, with float weights of its own names:
    it is copied, saved and averaged like any other.

    torchao's PT2E (0.18) gives weights back by their names too, and they are as good (experiments/deployment). But it
    rounds only what convolutions read, where ONNX Runtime, which the weights are for, also rounds before an h-swish,
    around gates and on both sides of an addition; its observers change shape at the first step and share tensors, so
    that such a training is neither averaged nor resumed.
    """

    def __init__(self, network: nn.Module, train: Split, resolution: int) -> None:
        """Raises FloatingPointError when an output on the training images is not finite."""
        super().__init__()
        open_swish(network)
        self.network = network.eval()
        self.ranges = nn.ModuleList(Range() for _ in rounding_points(network))
        with torch.no_grad():
            for batch in spread(len(train), CALIBRATION_IMAGES).split(CALIBRATION_BATCH):  # type: ignore[no-untyped-call]
                self._run(normalize(train.images.take(batch, resolution)), {}, Range.observe)

    def forward(self, images: Tensor) -> Tensor:
        weights = {name: round_weight(w) for name, w in self.network.named_parameters() if w.ndim > 1}
        return self._run(images, weights, self._rounded)

    def _rounded(self, seen: Range, tensor: Tensor) -> Tensor:
        return seen.follow(tensor.float(), PACE) if self.training else seen.round(tensor.float())

    def _run(
        self, images: Tensor, weights: dict[str, Tensor], change: Callable[..., Tensor | None]
    ) -> Tensor:  # fmt: skip
        """The network with other weights, what flows through each point changed."""
        points = zip(rounding_points(self.network), self.ranges, strict=True)
        handles = [hook(module, partial(change, seen), after) for (module, after), seen in points]
        try:
            output: Tensor = functional_call(self.network, weights, (images,))
            return output
        finally:
            for handle in handles:
                handle.remove()


def plain(module: nn.Module) -> nn.Module:
    """The network within, where it is a fake-quantized one."""
    return module.network if isinstance(module, FakeQuantized) else module
