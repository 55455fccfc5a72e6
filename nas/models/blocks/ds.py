"""A depthwise separable convolution: depthwise, squeeze-excite, pointwise."""

from __future__ import annotations

from torch import Tensor, nn

from nas.models.parts import convolution, norm, squeeze_excite
from nas.space.block import Block


class DepthwiseSeparable(nn.Module):
    """Parts named as in timm's DepthwiseSeparableConv."""

    def __init__(self, block: Block) -> None:
        super().__init__()
        channels, out = block.in_shape[0], block.out_shape[0]
        self.residual = block.residual
        self.conv_dw = convolution(channels, channels, block.kernel, block.stride, groups=channels)
        self.bn1 = norm(channels, block.activation)
        self.se = squeeze_excite(block, channels)
        self.conv_pw = convolution(channels, out, ranks=block.ranks_of(0))
        self.bn2 = norm(out, block.project_activation)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.bn2(self.conv_pw(self.se(self.bn1(self.conv_dw(x)))))
        return out + x if self.residual else out


module = DepthwiseSeparable
