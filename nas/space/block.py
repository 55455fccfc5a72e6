"""Blocks, the rows of a lookup table: a stem, an inverted residual, a head; each a tuple of layers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from math import prod
from typing import Literal

from nas.space.layer import Layer, Shape

BlockKind = Literal["conv", "ds", "mbconv", "shuffle", "pool", "linear", "pool_linear", "imported"]


def make_divisible(value: float, divisor: int = 8) -> int:
    """The multiple of `divisor` nearest to `value`, never more than 10% below it (Sandler et al., CVPR 2018)."""
    rounded = max(divisor, int(value + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < 0.9 * value else rounded


@dataclass(frozen=True, slots=True)
class Block:
    """One row of a network's stage table, with the shapes filled in.

    - conv: convolution, batch norm unless `norm` is false (then a bias), activation
    - ds: depthwise convolution, squeeze-excite, pointwise convolution without activation (MobileNetV1; V2's first)
    - mbconv: pointwise expansion to `mid` channels, depthwise, squeeze-excite, pointwise (MobileNetV2, V3)
    - shuffle: mbconv whose pointwise convolutions have `groups` groups, channels shuffled after the first (FBNet)
    - pool, linear, pool_linear: global average pool, classifier, both
    - imported: the layers of a network read from a file, as they stand
    """

    kind: BlockKind
    in_shape: Shape
    out_shape: Shape
    kernel: int = 1
    stride: int = 1
    mid: int = 0  # channels of the depthwise convolution
    se: int = 0  # channels that squeeze-excite reduces to; 0: none
    activation: str = ""
    gate: str = ""  # squeeze-excite's last activation: "sigmoid" or "hsigmoid"
    groups: int = 1
    norm: bool = True
    project_activation: str = ""  # ds only: an activation after the pointwise convolution (MobileNetV1)
    imported: tuple[Layer, ...] = field(default=(), repr=False)

    @property
    def residual(self) -> bool:
        """Whether the block's input is added to its output."""
        keeps = self.kind in ("ds", "mbconv", "shuffle") and not self.project_activation
        return keeps and self.stride == 1 and self.in_shape == self.out_shape

    @property
    def layers(self) -> tuple[Layer, ...]:
        return self.imported if self.kind == "imported" else _layers(self)

    @property
    def key(self) -> str:
        """The block's name in a lookup table: equal for blocks that cost the same, without spaces or commas."""

        def shape(s: Shape) -> str:
            return "x".join(map(str, s))

        parts: list[str] = [self.kind, shape(self.in_shape), shape(self.out_shape)]
        if self.kind not in ("pool", "linear", "pool_linear"):
            parts += [f"k{self.kernel}", f"s{self.stride}"]
        if self.kind in ("mbconv", "shuffle"):
            parts.append(f"m{self.mid}")
        if self.groups > 1:
            parts.append(f"g{self.groups}")
        if self.se:
            parts.append(f"se{self.se}")
        return "-".join(parts + [a for a in (self.activation, self.project_activation) if a])


def conv_layers(
    shape: Shape, channels: int, kernel: int, stride: int, activation: str, *, groups: int = 1, norm: bool = True,
    held: int = 0, bias: bool = False,
) -> Iterator[Layer]:  # fmt: skip
    """A convolution with "same" padding, its batch norm or bias, and its activation."""
    out = (channels, -(-shape[1] // stride), -(-shape[2] // stride))
    yield Layer("conv", shape, out, (kernel, kernel), stride, groups, norm=norm, bias=bias or not norm, held=held)
    if activation:
        yield Layer("activation", out, out, function=activation, held=held)


def _squeeze_excite(shape: Shape, reduced: int, gate: str, activation: str, held: int) -> Iterator[Layer]:
    """Squeeze-excite (Hu et al., CVPR 2018): the tensor it scales is held while the scales are computed."""
    channels = shape[0]
    held_inside = held + prod(shape)
    yield Layer("global_pool", shape, (channels, 1, 1), function="avg", held=held)
    yield from conv_layers((channels, 1, 1), reduced, 1, 1, activation, norm=False, held=held_inside)
    yield from conv_layers((reduced, 1, 1), channels, 1, 1, gate, norm=False, held=held_inside)
    yield Layer("multiply", shape, shape, held=held)


@lru_cache(maxsize=65536)
def _layers(block: Block) -> tuple[Layer, ...]:
    return tuple(_expand(block))


def _expand(b: Block) -> Iterator[Layer]:
    if b.kind in ("pool", "pool_linear"):
        yield Layer("global_pool", b.in_shape, (b.in_shape[0], 1, 1), function="avg")
    if b.kind in ("linear", "pool_linear"):
        yield Layer("linear", (b.in_shape[0], 1, 1), b.out_shape, bias=True)
    if b.kind == "conv":
        yield from conv_layers(
            b.in_shape, b.out_shape[0], b.kernel, b.stride, b.activation, groups=b.groups, norm=b.norm
        )
    if b.kind not in ("ds", "mbconv", "shuffle"):
        return
    held = prod(b.in_shape) if b.residual else 0
    shape = b.in_shape
    if b.kind != "ds":  # the first layer reads the block's input, which is then not held a second time
        expanded = (b.mid, shape[1], shape[2])
        yield Layer("conv", shape, expanded, groups=b.groups, norm=True)
        shape = expanded
        if b.activation:
            yield Layer("activation", shape, shape, function=b.activation, held=held)
        if b.groups > 1:
            yield Layer("shuffle", shape, shape, groups=b.groups, held=held)
    depthwise_held = 0 if b.kind == "ds" else held
    for layer in conv_layers(shape, shape[0], b.kernel, b.stride, "", groups=shape[0], held=depthwise_held):
        shape = layer.out_shape
        yield layer
    if b.activation:
        yield Layer("activation", shape, shape, function=b.activation, held=held)
    if b.se:
        yield from _squeeze_excite(shape, b.se, b.gate or "sigmoid", _se_activation(b), held)
    yield from conv_layers(shape, b.out_shape[0], 1, 1, b.project_activation, groups=b.groups, held=held)
    if b.residual:
        yield Layer("add", b.out_shape, b.out_shape)


def _se_activation(block: Block) -> str:
    """MobileNetV3 squeezes through ReLU; EfficientNet through its own activation."""
    return "relu" if block.gate == "hsigmoid" else block.activation
