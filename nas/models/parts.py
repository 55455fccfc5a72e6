"""The parts that kinds of block have in common as modules: activations, a norm with its activation, squeeze-excite."""

from __future__ import annotations

from collections import OrderedDict

from timm.layers import BatchNormAct2d, get_act_layer
from timm.models._efficientnet_blocks import SqueezeExcite
from torch import Tensor, nn

from nas.space.block import Block, Ranks
from nas.space.parts import squeeze_activation

TIMM_ACTIVATIONS = {"hswish": "hard_swish", "hsigmoid": "hard_sigmoid", "swish": "silu"}


def activation_layer(name: str) -> type[nn.Module]:
    """The module class of an activation by our name; "" is none."""
    layer: type[nn.Module] = get_act_layer(TIMM_ACTIVATIONS.get(name, name)) if name else nn.Identity
    return layer


class Again(nn.Module):
    """Another block's module once more: the weights, and the statistics of its batch norms, are that block's."""

    def __init__(self, first: nn.Module) -> None:
        super().__init__()
        self._first = (first,)  # in a tuple: what is shared is a part of the first alone, and has one name

    @property
    def first(self) -> nn.Module:
        """The module that has the weights."""
        return self._first[0]

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.first(x)
        return out


class Product(nn.Sequential):
    """A weight that is a product: "reduce", for a kernel larger than 1x1 "core", and "expand"."""


def convolution(
    channels: int, out: int, kernel: int = 1, stride: int = 1, *, groups: int = 1, bias: bool = False,
    ranks: Ranks = (),
) -> nn.Module:  # fmt: skip
    """A convolution with half the kernel as padding on each side, (n, channels, h, w) to (n, out, h', w').

    With `ranks` it is the product that `nas.space.parts.conv_layers` says.
    """
    if not ranks:
        return nn.Conv2d(channels, out, kernel, stride, kernel // 2, groups=groups, bias=bias)
    parts: OrderedDict[str, nn.Module] = OrderedDict()
    parts["reduce"] = nn.Conv2d(channels, ranks[0], 1, 1 if len(ranks) > 1 else stride, bias=False)
    if len(ranks) > 1:
        parts["core"] = nn.Conv2d(ranks[0], ranks[1], kernel, stride, kernel // 2, bias=False)
    parts["expand"] = nn.Conv2d(ranks[-1], out, 1, bias=bias)
    return Product(parts)


def linear(inputs: int, outputs: int, ranks: Ranks = ()) -> nn.Module:
    """A linear layer with a bias, (n, inputs) to (n, outputs); with one rank it is two, each with a bias."""
    if not ranks:
        return nn.Linear(inputs, outputs)
    return Product(OrderedDict(reduce=nn.Linear(inputs, ranks[0]), expand=nn.Linear(ranks[0], outputs)))


def norm(channels: int, activation: str = "") -> nn.Module:
    """A batch norm and its activation."""
    module: nn.Module = BatchNormAct2d(channels, act_layer=activation_layer(activation))
    return module


def silence_residuals(model: nn.Module) -> None:
    """Lets every residual block begin as the identity: the scale of its last batch norm becomes 0, in place.

    Deep networks then learn from the first step on (Goyal et al., 2017, "Accurate, Large Minibatch SGD"), and a short
    training ranks them by what they can learn and not by how they start. A branch that ends in an activation stays as
    it is: ReLU has no slope at 0, so it would never learn.
    """
    for block in model.modules():
        if getattr(block, "residual", False):
            *_, last = (part for part in block.modules() if isinstance(part, BatchNormAct2d))
            if isinstance(last.act, nn.Identity):
                nn.init.zeros_(last.weight)


def squeeze_excite(block: Block, channels: int) -> nn.Module:
    """The block's squeeze-excite of so many channels; the identity where it has none."""
    if not block.se:
        return nn.Identity()
    squeeze, gate = activation_layer(squeeze_activation(block)), activation_layer(block.gate or "sigmoid")
    module: nn.Module = SqueezeExcite(channels, rd_channels=block.se, act_layer=squeeze, gate_layer=gate)
    return module
