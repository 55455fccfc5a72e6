"""A trained network as its deployed precision computes it, simulated in float32."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from copy import deepcopy

import torch
from timm.layers import BatchNormAct2d
from timm.models._efficientnet_blocks import SqueezeExcite
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from nas.data.dataset import Split
from nas.models.detector import Detector
from nas.models.fold import fold_batch_norms
from nas.models.parts import Product
from nas.space.layer import Precision
from nas.train.loop import CALIBRATION_BATCH, normalize, spread

CALIBRATION_IMAGES = 256
WEIGHT_STEPS = 127  # on each side of zero
CLIPS = (nn.ReLU, nn.ReLU6)  # a runtime computes them with the convolution before them, and rounds once
CURVES = (nn.Hardswish, nn.SiLU, nn.Hardsigmoid, nn.Sigmoid)  # it rounds before and after these


def quantized(model: nn.Module, precision: Precision, train: Split, resolution: int) -> nn.Module:
    """A copy of `model` that rounds as a deployed one does, for measuring its accuracy; `model` itself for fp32.

    int8: as ONNX Runtime computes a network in QDQ form. Batch norms are folded, weights rounded to 8 signed bits per
    output channel (symmetric), and the image, the outputs of convolutions with their ReLU, of all other activations, of
    pools, residual additions, squeeze-excites and a detector's heads to 8 unsigned bits per tensor (affine), with the
    lowest and highest value seen on 256 training images (Jacob et al., CVPR 2018, section 3, after training). fp16:
    weights and outputs rounded to half precision. Biases stay exact, as int8 kernels add them in 32 bits. Raises
    FloatingPointError when such an output is not finite.
    """
    if precision == "fp32":
        return model
    copy = deepcopy(model).eval()
    fold_batch_norms(copy)
    open_swish(copy)
    if precision == "fp16":
        for parameter in copy.parameters():
            parameter.data = parameter.data.half().float()
        for module, after in rounding_points(copy):
            hook(module, _to_half, after)
        return copy
    ranges = [(module, after, Range()) for module, after in rounding_points(copy)]
    observers = [hook(module, seen.observe, after) for module, after, seen in ranges]
    chosen = spread(len(train), CALIBRATION_IMAGES)
    with torch.no_grad():
        for batch in chosen.split(CALIBRATION_BATCH):  # type: ignore[no-untyped-call]
            copy(normalize(train.images.take(batch, resolution).to(next(copy.parameters()).device)))
    for observer, (module, after, seen) in zip(observers, ranges, strict=True):
        observer.remove()
        hook(module, seen.round, after)
    for module in copy.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            module.weight.data = round_weight(module.weight.data)
    return copy


class _Swish(nn.Module):
    """SiLU as ONNX has it, a sigmoid and a product."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = nn.Sigmoid()

    def forward(self, x: Tensor) -> Tensor:
        product: Tensor = x * self.gate(x)
        return product


WHOLE = (*CLIPS, *CURVES, _Swish, nn.AdaptiveAvgPool2d, nn.Linear, SqueezeExcite)  # outputs are rounded


def open_swish(model: nn.Module) -> None:
    """Replaces each SiLU, in place, by what it is made of: both parts are rounded."""
    for parent in list(model.modules()):
        for name, child in parent.named_children():
            if isinstance(child, nn.SiLU):
                setattr(parent, name, _Swish())


def rounding_points(model: nn.Module) -> Iterator[tuple[nn.Module, bool]]:
    """Where a tensor is rounded: after a module, or (False) before it."""
    yield model, False  # the image
    for module in model.modules():
        if isinstance(module, CURVES):
            yield module, False
        if isinstance(module, SqueezeExcite):
            yield module.conv_reduce, False  # the average
        if isinstance(module, Product):
            yield from ((part, True) for part in list(module)[:-1] if isinstance(part, nn.Conv2d))
        if isinstance(module, Detector):
            yield from ((head.get_submodule("predict"), True) for head in module.get_submodule("heads").children())
            yield module, True  # all heads' outputs, joined, have one scale
        if isinstance(module, BatchNormAct2d):
            if isinstance(module.act, nn.Identity):
                yield module, True
        elif isinstance(module, WHOLE) or getattr(module, "residual", False):  # our blocks that add their input
            yield module, True


def hook(module: nn.Module, change: Callable[[Tensor], Tensor | None], after: bool) -> RemovableHandle:
    """Changes what a module gives, or what it is given, until the handle is removed."""
    if after:
        return module.register_forward_hook(lambda module, inputs, output: change(output))
    return module.register_forward_pre_hook(lambda module, inputs: change(inputs[0]))


def round_weight(weight: Tensor) -> Tensor:
    """To 255 steps around 0, a scale for each output channel; the gradient passes as if nothing was rounded."""
    scale = weight.detach().flatten(1).abs().amax(1).clamp_min(1e-12) / WEIGHT_STEPS
    zero = torch.zeros(len(scale), dtype=torch.int32, device=weight.device)
    return torch.fake_quantize_per_channel_affine(weight, scale, zero, 0, -WEIGHT_STEPS, WEIGHT_STEPS)


class Range(nn.Module):
    """The lowest and highest value of one tensor, zero included, and rounding to 256 steps between them."""

    low: Tensor
    high: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("low", torch.zeros(()))
        self.register_buffer("high", torch.tensor(1e-6))

    def observe(self, tensor: Tensor) -> None:
        if not bool(tensor.isfinite().all()):
            raise FloatingPointError("a layer's output on the calibration images is not finite")
        low, high = tensor.detach().float().aminmax()
        self.low, self.high = low.minimum(self.low.to(low.device)), high.maximum(self.high.to(high.device))

    def follow(self, tensor: Tensor, pace: float) -> Tensor:
        """The tensor rounded by its own lowest and highest value; moves by the share `pace` to these."""
        low, high = tensor.detach().aminmax()
        low, high = low.clamp(max=0), high.clamp(min=0)
        self.low.lerp_(low, pace)
        self.high.lerp_(high, pace)
        return round_between(tensor, low, high)

    def round(self, tensor: Tensor) -> Tensor:
        return round_between(tensor, self.low, self.high)


def round_between(tensor: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """To 256 steps; the gradient passes as if nothing was rounded, but not where a value lies beyond the range."""
    scale = ((high - low) / 255).clamp_min(1e-9)
    return torch.fake_quantize_per_tensor_affine(tensor, scale, (-low / scale).round().int(), 0, 255)


def _to_half(tensor: Tensor) -> Tensor:
    return tensor.half().float()
