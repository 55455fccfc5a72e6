"""A trained network as its deployed precision computes it, simulated in float32."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import torch
from torch import Tensor, nn

from nas.data.dataset import Split
from nas.space.layer import Precision
from nas.train.loop import normalize

CALIBRATION_IMAGES = 256
WEIGHT_STEPS = 127  # on each side of zero
ACTIVATIONS = (nn.ReLU, nn.ReLU6, nn.Hardswish, nn.SiLU, nn.Hardsigmoid, nn.Sigmoid)
OBSERVED = (nn.BatchNorm2d, nn.Linear, nn.AdaptiveAvgPool2d, *ACTIVATIONS)  # what computes a rounded tensor


def quantized(model: nn.Module, precision: Precision, train: Split, resolution: int) -> nn.Module:
    """A copy of `model` that rounds as a deployed one does, for measuring its accuracy; `model` itself for fp32.

    int8: batch norms folded, weights rounded to 8 bits per output channel (symmetric), and the outputs of layers,
    residual additions and squeeze-excites to 8 bits per tensor (affine), with the ranges seen on 256 training images
    (Jacob et al., CVPR 2018, section 3, after training). fp16: weights and outputs rounded to half precision.
    Biases stay exact, as int8 kernels add them in 32 bits. Raises FloatingPointError when such an output is not finite.
    """
    if precision == "fp32":
        return model
    copy = deepcopy(model).eval()
    fold_batch_norms(copy)
    rounded = [module for module in copy.modules() if isinstance(module, OBSERVED) or _adds_or_multiplies(module)]
    if precision == "fp16":
        for parameter in copy.parameters():
            parameter.data = parameter.data.half().float()
        for module in rounded:
            module.register_forward_hook(_to_half)
        return copy
    for module in copy.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            module.weight.data = _round_weight(module.weight.data)
    ranges = [_Range() for _ in rounded]
    observers = [m.register_forward_hook(r.observe) for m, r in zip(rounded, ranges, strict=True)]
    chosen = torch.arange(0, len(train), max(1, len(train) // CALIBRATION_IMAGES))[:CALIBRATION_IMAGES]
    with torch.no_grad():
        copy(normalize(train.images.take(chosen, resolution).to(next(copy.parameters()).device)))
    for observer, module, seen in zip(observers, rounded, ranges, strict=True):
        observer.remove()
        module.register_forward_hook(seen.round)
    return copy


def fold_batch_norms(model: nn.Module) -> None:
    """Move each batch norm into the convolution before it, in place; what remains of it is its activation."""
    previous: nn.Module | None = None
    for module in [m for m in model.modules() if isinstance(m, nn.Conv2d | nn.BatchNorm2d)]:
        if isinstance(module, nn.BatchNorm2d) and isinstance(previous, nn.Conv2d):
            _fold(previous, module)
        previous = module


def _fold(conv: nn.Conv2d, norm: nn.BatchNorm2d) -> None:
    mean, variance = norm.running_mean, norm.running_var
    if mean is None or variance is None or len(mean) != conv.out_channels:
        raise ValueError(f"a batch norm of {norm.num_features} channels follows a convolution of {conv.out_channels}")
    scale = norm.weight.data / torch.sqrt(variance + norm.eps)
    before = conv.bias.data if conv.bias is not None else torch.zeros_like(mean)
    conv.weight.data = conv.weight.data * scale[:, None, None, None]
    conv.bias = nn.Parameter(norm.bias.data + (before - mean) * scale)
    mean.zero_()
    variance.fill_(1)
    norm.weight.data.fill_(1)
    norm.bias.data.zero_()
    norm.eps = 0.0


def _adds_or_multiplies(module: nn.Module) -> bool:
    """timm's blocks with a residual addition, and its squeeze-excites."""
    return bool(getattr(module, "has_skip", False)) or hasattr(module, "conv_reduce")


def _round_weight(weight: Tensor) -> Tensor:
    scale = weight.flatten(1).abs().amax(1).clamp_min(1e-12) / WEIGHT_STEPS
    zero = torch.zeros(len(scale), dtype=torch.int32, device=weight.device)
    return torch.fake_quantize_per_channel_affine(weight, scale, zero, 0, -WEIGHT_STEPS, WEIGHT_STEPS)


class _Range:
    """The lowest and highest value of one tensor, zero included, and rounding to 256 steps between them."""

    low = 0.0
    high = 1e-6

    def observe(self, module: nn.Module, inputs: Any, output: Tensor) -> None:
        if not bool(output.isfinite().all()):
            raise FloatingPointError("a layer's output on the calibration images is not finite")
        self.low, self.high = min(self.low, float(output.min())), max(self.high, float(output.max()))

    def round(self, module: nn.Module, inputs: Any, output: Tensor) -> Tensor:
        scale = (self.high - self.low) / 255
        return torch.fake_quantize_per_tensor_affine(output, scale, round(-self.low / scale), 0, 255)


def _to_half(module: nn.Module, inputs: Any, output: Tensor) -> Tensor:
    return output.half().float()
