"""Reference networks, written out as the stage tables of their papers: what a front is compared with.

They are TensorFlow's networks with "same" padding, as timm builds them (mobilenetv1_100, mobilenetv2_*,
tf_mobilenetv3_*, tf_efficientnet_lite*, efficientnet_b0), so that params and MACs can be checked one for one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil

from nas.errors import UserError, unknown
from nas.space.block import Block, make_divisible
from nas.space.layer import Shape
from nas.space.network import Network


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a stage table: `depth` blocks, of which only the first has the stride."""

    kind: str
    expand: float
    channels: int
    depth: int
    stride: int
    kernel: int = 3
    se: float = 0.0  # squeeze-excite: share of the channels kept; 0: none
    activation: str = ""  # empty: the network's own


@dataclass(frozen=True, slots=True)
class Reference:
    """A network as its paper's table; widths scale channels, `deeper` scales depths (EfficientNet)."""

    rows: tuple[Row, ...]
    stem: int
    activation: str
    conv_head: int = 0  # channels of the last 1x1 convolution before pooling; 0: none
    dense_head: int = 0  # channels of the 1x1 convolution after pooling (MobileNetV3); 0: none
    resolution: int = 224
    scale: float = 1.0
    deeper: float = 1.0
    fixed_ends: bool = False  # stem, head and the depths of the first and last stage do not scale
    head_grows_only: bool = False  # the head scales with widths above 1 alone (MobileNetV2)
    project_activation: bool = False
    gate: str = ""


_V1 = (
    Row("ds", 1, 64, 1, 1), Row("ds", 1, 128, 2, 2), Row("ds", 1, 256, 2, 2), Row("ds", 1, 512, 6, 2),
    Row("ds", 1, 1024, 2, 2),
)  # fmt: skip
_V2 = (
    Row("ds", 1, 16, 1, 1), Row("mbconv", 6, 24, 2, 2), Row("mbconv", 6, 32, 3, 2), Row("mbconv", 6, 64, 4, 2),
    Row("mbconv", 6, 96, 3, 1), Row("mbconv", 6, 160, 3, 2), Row("mbconv", 6, 320, 1, 1),
)  # fmt: skip
_V3_LARGE = (
    Row("ds", 1, 16, 1, 1, 3, activation="relu"),
    Row("mbconv", 4, 24, 1, 2, 3, activation="relu"), Row("mbconv", 3, 24, 1, 1, 3, activation="relu"),
    Row("mbconv", 3, 40, 3, 2, 5, 0.25, activation="relu"),
    Row("mbconv", 6, 80, 1, 2), Row("mbconv", 2.5, 80, 1, 1), Row("mbconv", 2.3, 80, 2, 1),
    Row("mbconv", 6, 112, 2, 1, 3, 0.25),
    Row("mbconv", 6, 160, 3, 2, 5, 0.25),
)  # fmt: skip
_V3_SMALL = (
    Row("ds", 1, 16, 1, 2, 3, 0.25, activation="relu"),
    Row("mbconv", 4.5, 24, 1, 2, 3, activation="relu"), Row("mbconv", 3.67, 24, 1, 1, 3, activation="relu"),
    Row("mbconv", 4, 40, 1, 2, 5, 0.25), Row("mbconv", 6, 40, 2, 1, 5, 0.25),
    Row("mbconv", 3, 48, 2, 1, 5, 0.25),
    Row("mbconv", 6, 96, 3, 2, 5, 0.25),
)  # fmt: skip
_EFFICIENTNET = (
    Row("ds", 1, 16, 1, 1, 3, 0.25), Row("mbconv", 6, 24, 2, 2, 3, 0.25), Row("mbconv", 6, 40, 2, 2, 5, 0.25),
    Row("mbconv", 6, 80, 3, 2, 3, 0.25), Row("mbconv", 6, 112, 3, 1, 5, 0.25), Row("mbconv", 6, 192, 4, 2, 5, 0.25),
    Row("mbconv", 6, 320, 1, 1, 3, 0.25),
)  # fmt: skip


def _minimal(rows: tuple[Row, ...]) -> tuple[Row, ...]:
    """MobileNetV3 "minimalistic": 3x3 kernels, no squeeze-excite, ReLU throughout."""
    return tuple(Row(r.kind, r.expand, r.channels, r.depth, r.stride) for r in rows)


def _lite(resolution: int, scale: float, deeper: float) -> Reference:
    """EfficientNet-Lite: no squeeze-excite, ReLU6, stem and head of fixed size."""
    rows = tuple(Row(r.kind, r.expand, r.channels, r.depth, r.stride, r.kernel) for r in _EFFICIENTNET)
    return Reference(rows, 32, "relu6", 1280, resolution=resolution, scale=scale, deeper=deeper, fixed_ends=True)


_TABLE: dict[str, Reference] = {
    # Howard et al., arXiv:1704.04861; Sandler et al., CVPR 2018; Howard et al., ICCV 2019
    "mobilenet_v1": Reference(_V1, 32, "relu6", project_activation=True),
    "mobilenet_v2": Reference(_V2, 32, "relu6", 1280, head_grows_only=True),
    "mobilenet_v3_large": Reference(_V3_LARGE, 16, "hswish", 960, 1280, gate="hsigmoid"),
    "mobilenet_v3_small": Reference(_V3_SMALL, 16, "hswish", 576, 1024, gate="hsigmoid"),
    "mobilenet_v3_large_minimalistic": Reference(_minimal(_V3_LARGE), 16, "relu", 960, 1280),
    "mobilenet_v3_small_minimalistic": Reference(_minimal(_V3_SMALL), 16, "relu", 576, 1024),
    # Tan and Le, ICML 2019; the Lite variants: tensorflow/tpu, models/official/efficientnet/lite
    "efficientnet_b0": Reference(_EFFICIENTNET, 32, "swish", 1280, gate="sigmoid"),
    "efficientnet_lite0": _lite(224, 1.0, 1.0),
    "efficientnet_lite1": _lite(240, 1.0, 1.1),
    "efficientnet_lite2": _lite(260, 1.1, 1.2),
    "efficientnet_lite3": _lite(280, 1.2, 1.4),
    "efficientnet_lite4": _lite(300, 1.4, 1.8),
}
REFERENCES: tuple[str, ...] = tuple(_TABLE)


def reference_network(name: str, resolution: int | None = None, classes: int = 1000, width: float = 1.0) -> Network:
    """The reference network `name` for square RGB images of `resolution` pixels (None: the published one).

    `width` multiplies the channels as the paper's authors do; EfficientNets scale by their number and take 1 only.
    Raises UserError for an unknown name, or a width, resolution or number of classes out of range.
    """
    if name not in _TABLE:
        raise unknown("reference network", name, REFERENCES)
    table = _TABLE[name]
    resolution = table.resolution if resolution is None else resolution
    if resolution < 32 or classes < 1 or not 0.1 <= width <= 4:
        raise UserError(
            f"{name}: resolution must be at least 32, classes at least 1 and width within 0.1 to 4; "
            f"got {resolution}, {classes} and {width}"
        )
    if width != 1 and name.startswith("efficientnet"):
        raise UserError(f"{name}: EfficientNets scale by their number, not by width; got width {width}")
    blocks, stages = zip(*_blocks(table, resolution, classes, width), strict=True)
    return Network(blocks, stages)


def _blocks(table: Reference, resolution: int, classes: int, width: float) -> Iterator[tuple[Block, int]]:
    scale = table.scale * width
    stem = table.stem if table.fixed_ends else make_divisible(table.stem * scale)
    block = Block("conv", (3, resolution, resolution), _strided(stem, resolution, 2), 3, 2, activation=table.activation)
    yield block, 0
    for number, row in enumerate(table.rows, start=1):
        stage = len({r.channels for r in table.rows[:number]})  # rows of equal width are one stage, as in timm
        end = table.fixed_ends and number in (1, len(table.rows))
        for index in range(row.depth if end else ceil(row.depth * table.deeper)):
            block = _stage_block(table, row, block.out_shape, scale, row.stride if index == 0 else 1)
            yield block, stage
    stage += 1
    if table.conv_head:
        head_scale = max(scale, 1.0) if table.head_grows_only else 1.0 if table.fixed_ends else scale
        shape = _strided(make_divisible(table.conv_head * head_scale), block.out_shape[1], 1)
        block = Block("conv", block.out_shape, shape, activation=table.activation)
        yield block, stage
    if not table.dense_head:
        yield Block("pool_linear", block.out_shape, (classes, 1, 1)), stage
        return
    pooled = (block.out_shape[0], 1, 1)
    yield Block("pool", block.out_shape, pooled), stage
    dense = (table.dense_head, 1, 1)
    yield Block("conv", pooled, dense, activation=table.activation, norm=False), stage
    yield Block("linear", dense, (classes, 1, 1)), stage


def _stage_block(table: Reference, row: Row, in_shape: Shape, scale: float, stride: int) -> Block:
    activation = row.activation or table.activation
    mid = in_shape[0] if row.kind == "ds" else make_divisible(in_shape[0] * row.expand)
    se = 0
    if row.se:  # MobileNetV3 squeezes the expanded channels, to a multiple of 8; EfficientNet the block's input
        se = make_divisible(mid * row.se) if table.gate == "hsigmoid" else max(1, round(in_shape[0] * row.se))
    return Block(
        row.kind, in_shape, _strided(make_divisible(row.channels * scale), in_shape[1], stride), row.kernel, stride,
        mid=0 if row.kind == "ds" else mid, se=se, activation=activation, gate=table.gate if se else "",
        project_activation=activation if table.project_activation else "",
    )  # fmt: skip


def _strided(channels: int, size: int, stride: int) -> Shape:
    """The shape after a "same"-padded convolution of a square input of `size` pixels."""
    return (channels, -(-size // stride), -(-size // stride))
