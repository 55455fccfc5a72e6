"""The groups of layers that kinds of block have in common: a convolution with its norm, and squeeze-excite."""

from __future__ import annotations

from collections.abc import Iterator
from math import prod

from nas.space.block import Block
from nas.space.layer import Layer, Shape


def strided(shape: Shape, channels: int, stride: int) -> Shape:
    """The shape after a "same"-padded convolution."""
    return (channels, -(-shape[1] // stride), -(-shape[2] // stride))


def conv_layers(
    shape: Shape, channels: int, kernel: int = 1, stride: int = 1, activation: str = "", *, groups: int = 1,
    norm: bool = True, held: int = 0,
) -> Iterator[Layer]:  # fmt: skip
    """A convolution with "same" padding, its batch norm (without: a bias), and its activation.

    `held` counts the values that must stay in memory meanwhile.
    """
    out = strided(shape, channels, stride)
    yield Layer("conv", shape, out, (kernel, kernel), stride, groups, norm=norm, bias=not norm, held=held)
    if activation:
        yield Layer("activation", out, out, function=activation, held=held)


def squeeze_excite(block: Block, shape: Shape, held: int) -> Iterator[Layer]:
    """Squeeze-excite (Hu et al., CVPR 2018): the tensor it scales is held while the scales are computed."""
    pooled, held_inside = (shape[0], 1, 1), held + prod(shape)
    yield Layer("global_pool", shape, pooled, function="avg", held=held)
    yield from conv_layers(pooled, block.se, activation=squeeze_activation(block), norm=False, held=held_inside)
    gate = block.gate or "sigmoid"
    yield from conv_layers((block.se, 1, 1), shape[0], activation=gate, norm=False, held=held_inside)
    yield Layer("multiply", shape, shape, held=held)


def squeeze_activation(block: Block) -> str:
    """MobileNetV3 squeezes through ReLU; EfficientNet through its own activation."""
    return "relu" if block.gate == "hsigmoid" else block.activation
