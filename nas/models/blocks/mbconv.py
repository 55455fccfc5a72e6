"""An inverted residual: expansion, depthwise convolution, squeeze-excite, projection."""

from __future__ import annotations

from torch import Tensor, nn

from nas.models.parts import convolution, norm, squeeze_excite
from nas.space.block import Block


class InvertedResidual(nn.Module):
    """Parts named as in timm's InvertedResidual; with groups, channels are shuffled before the depthwise one."""

    def __init__(self, block: Block) -> None:
        super().__init__()
        mid, out, groups = block.mid, block.out_shape[0], block.groups
        self.residual = block.residual
        self.conv_pw = convolution(block.in_shape[0], mid, groups=groups, ranks=block.ranks_of(0))
        self.bn1 = norm(mid, block.activation)
        depthwise = convolution(mid, mid, block.kernel, block.stride, groups=mid)
        self.conv_dw = nn.Sequential(nn.ChannelShuffle(groups), depthwise) if groups > 1 else depthwise
        self.bn2 = norm(mid, block.activation)
        self.se = squeeze_excite(block, mid)
        self.conv_pwl = convolution(mid, out, groups=groups, ranks=block.ranks_of(1))
        self.bn3 = norm(out)

    def forward(self, x: Tensor) -> Tensor:
        hidden = self.se(self.bn2(self.conv_dw(self.bn1(self.conv_pw(x)))))
        out: Tensor = self.bn3(self.conv_pwl(hidden))
        return out + x if self.residual else out


module = InvertedResidual
