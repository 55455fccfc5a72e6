"""The groups of layers that kinds of block have in common: a convolution with its norm, and squeeze-excite."""

from __future__ import annotations

from collections.abc import Iterator
from math import prod

from nas.space.block import Block, Ranks
from nas.space.layer import Layer, Shape


def strided(shape: Shape, channels: int, stride: int) -> Shape:
    """The shape after a "same"-padded convolution."""
    return (channels, -(-shape[1] // stride), -(-shape[2] // stride))


def conv_layers(
    shape: Shape, channels: int, kernel: int = 1, stride: int = 1, activation: str = "", *, groups: int = 1,
    norm: bool = True, held: int = 0, enters: bool = False, ranks: Ranks = (),
) -> Iterator[Layer]:  # fmt: skip
    """A convolution with "same" padding, its batch norm (without: a bias), and its activation.

    `held` counts the values that must stay in memory meanwhile. What `enters` a block reads what is held, so its first
    layer does not hold it a second time.

    With `ranks` the weight is a product. A pointwise one has one rank r: one convolution to r channels and one from
    there. A larger kernel has two, r and s (Tucker-2: Kim et al., ICLR 2016): pointwise to r channels, the kernel from
    r to s, pointwise from there. Raises ValueError for other ranks, and for those of a grouped convolution.
    """
    if ranks and (groups > 1 or len(ranks) != (1 if kernel == 1 else 2) or min(ranks) < 1):
        raise ValueError(f"a {kernel}x{kernel} convolution in {groups} groups cannot have the ranks {ranks}")
    inner = [(channels, kernel, stride)]
    if len(ranks) == 1:
        inner = [(ranks[0], 1, stride), (channels, 1, 1)]
    elif ranks:
        inner = [(ranks[0], 1, 1), (ranks[1], kernel, stride), (channels, 1, 1)]
    for place, (wide, size, step) in enumerate(inner):
        out, last, around = strided(shape, wide, step), place == len(inner) - 1, 0 if enters and not place else held
        yield Layer(
            "conv", shape, out, (size, size), step, groups, norm=last and norm, bias=last and not norm, held=around
        )
        shape = out
    if activation:
        yield Layer("activation", shape, shape, function=activation, held=held)


def linear_layers(inputs: int, outputs: int, ranks: Ranks = ()) -> Iterator[Layer]:
    """A linear layer with a bias; with one rank it is two, each with a bias. Raises ValueError for more."""
    if len(ranks) > 1 or min(ranks, default=1) < 1:
        raise ValueError(f"a linear layer cannot have the ranks {ranks}")
    for wide in (*ranks, outputs):
        yield Layer("linear", (inputs, 1, 1), (wide, 1, 1), bias=True)
        inputs = wide


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
