"""A fused inverted residual: full convolution, squeeze-excite, projection; with expand 1 the convolution only."""

from __future__ import annotations

from torch import Tensor, nn

from nas.models.parts import convolution, norm, squeeze_excite
from nas.space.block import Block


class FusedInvertedResidual(nn.Module):
    """Parts named as in timm's EdgeResidual."""

    def __init__(self, block: Block) -> None:
        super().__init__()
        mid, out = block.mid, block.out_shape[0]
        self.residual = block.residual
        self.conv_exp = convolution(block.in_shape[0], mid, block.kernel, block.stride, ranks=block.ranks_of(0))
        self.bn1 = norm(mid, block.activation)
        self.se = squeeze_excite(block, mid)
        self.conv_pwl = convolution(mid, out, ranks=block.ranks_of(1))
        self.bn2 = norm(out)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.bn2(self.conv_pwl(self.se(self.bn1(self.conv_exp(x)))))
        return out + x if self.residual else out


class ResidualConvolution(nn.Module):
    """Parts named as in timm's ConvBnAct."""

    def __init__(self, block: Block) -> None:
        super().__init__()
        out = block.out_shape[0]
        self.residual = block.residual
        self.conv = convolution(block.in_shape[0], out, block.kernel, block.stride, ranks=block.ranks_of(0))
        self.bn1 = norm(out, block.activation)
        self.se = squeeze_excite(block, out)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.se(self.bn1(self.conv(x)))
        return out + x if self.residual else out


def module(block: Block) -> nn.Module:
    return ResidualConvolution(block) if block.mid == block.in_shape[0] else FusedInvertedResidual(block)
