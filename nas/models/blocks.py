"""One row of a network as a module: timm's own blocks, and FBNet's grouped block with a channel shuffle."""

from __future__ import annotations

from functools import partial
from typing import Any

from timm.layers import create_conv2d, get_act_layer
from timm.models._efficientnet_blocks import InvertedResidual, SqueezeExcite
from timm.models._efficientnet_builder import EfficientNetBuilder
from torch import nn

from nas.space.block import Block

TIMM_KINDS = {"conv": "cn", "ds": "ds", "mbconv": "ir", "shuffle": "ir"}
TIMM_ACTIVATIONS = {"hswish": "hard_swish", "hsigmoid": "hard_sigmoid", "swish": "silu"}


def activation_layer(name: str) -> type[nn.Module]:
    """The module class of an activation by our name; "" is none."""
    layer: type[nn.Module] = get_act_layer(TIMM_ACTIVATIONS.get(name, name)) if name else nn.Identity
    return layer


def block_arguments(block: Block) -> dict[str, Any]:
    """A block as timm's builder takes it, with our own keys `gate` and `groups`, which `BlockBuilder` reads."""
    arguments: dict[str, Any] = {
        "block_type": TIMM_KINDS[block.kind],
        "out_chs": block.out_shape[0],
        "stride": block.stride,
        "act_layer": activation_layer(block.activation),
        "gate": block.gate,
        "groups": block.groups,
    }
    if block.kind == "conv":
        return arguments | {"kernel_size": block.kernel, "group_size": _group_size(block)}
    depthwise = block.in_shape[0] if block.kind == "ds" else block.mid
    arguments |= {"dw_kernel_size": block.kernel, "noskip": not block.residual, "se_ratio": block.se / depthwise}
    if block.kind == "ds":
        return arguments | {"pw_act": bool(block.project_activation)}
    return arguments | {"exp_ratio": block.mid / block.in_shape[0]}


class BlockBuilder(EfficientNetBuilder):  # type: ignore[misc]  # timm has no types
    """timm's builder with a squeeze-excite gate per block, and the shuffle block. Channels are taken as they are."""

    def __init__(self) -> None:
        super().__init__(2**30, round_chs_fn=int, se_from_exp=True, norm_layer=nn.BatchNorm2d, se_layer=SqueezeExcite)

    def _make_block(self, ba: dict[str, Any], block_idx: int, block_count: int) -> nn.Module:
        gate, groups = ba.pop("gate"), ba.pop("groups")
        self.se_layer = partial(SqueezeExcite, gate_layer=activation_layer(gate or "sigmoid"))
        if gate == "hsigmoid":  # MobileNetV3 squeezes through ReLU, whatever the block's activation
            self.se_layer.keywords["force_act_layer"] = nn.ReLU
        block: nn.Module = super()._make_block(ba, block_idx, block_count)
        if groups > 1 and isinstance(block, InvertedResidual):
            _group(block, groups)
        return block


def _group(block: InvertedResidual, groups: int) -> None:
    """Make it FBNet's grouped block: pointwise convolutions in groups, channels shuffled before the depthwise one."""
    expand, project = block.conv_pw, block.conv_pwl
    block.conv_pw = create_conv2d(expand.in_channels, expand.out_channels, 1, groups=groups)
    block.conv_dw = nn.Sequential(nn.ChannelShuffle(groups), block.conv_dw)
    block.conv_pwl = create_conv2d(project.in_channels, project.out_channels, 1, groups=groups)


def _group_size(block: Block) -> int:
    return block.in_shape[0] // block.groups if block.groups > 1 else 0
