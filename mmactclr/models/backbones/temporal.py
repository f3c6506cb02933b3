"""Convolutions over time for graph encoders: one kernel, or branches of several reaches side by side."""
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmactclr.errors import ConfigError

# frames that a branch of max pooling looks at
_POOLED = 3


class Pointwise(nn.Conv2d):
    """A 1x1 convolution with a stride over time, for every frame that is kept."""

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1) -> None:
        super().__init__(in_channels, out_channels, 1)
        self.frames = stride

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, T, V) to (N, C', ceil(T / stride), V)."""
        # the stride is taken first: a strided 1x1 convolution is wrong in some releases of oneDNN
        return super().forward(x[:, :, ::self.frames] if self.frames > 1 else x)


class TemporalConvolution(nn.Sequential):
    """Convolution over the frames of every joint, and batch norm.

    Args:
        channels: Channels in and out.
        kernel: Odd length in frames.
        stride: Stride over time.
        dilation: Frames between the taps of the kernel.
    """

    def __init__(self, channels: int, kernel: int, stride: int = 1, dilation: int = 1) -> None:
        super().__init__(
            nn.Conv2d(channels, channels, (kernel, 1), (stride, 1), (dilation * (kernel - 1) // 2, 0), (dilation, 1)),
            nn.BatchNorm2d(channels))


class MultiBranchTemporal(nn.Module):
    """Branches over time that each see some of the channels: dilated convolutions, max pooling and a 1x1 convolution.

    Each of the first begins with a 1x1 convolution to its share of the channels, batch norm and ReLU. What the
    branches give is put side by side and, with ``merge``, mixed: batch norm, ReLU, 1x1 convolution, batch norm.

    Args:
        channels: Channels in and out; the first branch has what is left of an uneven division.
        stride: Stride over time.
        kernel: Length of the convolutions, in frames.
        dilations: Dilation of each of them.
        merge: Whether the branches are mixed at the end.

    Raises:
        ConfigError: If there are fewer channels than branches.
    """

    def __init__(self, channels: int, stride: int, kernel: int, dilations: Sequence[int], merge: bool) -> None:
        super().__init__()
        number = len(dilations) + 2
        share = channels // number
        if share < 1:
            raise ConfigError(f'channels of a unit is {channels}, expected {number} or more: its convolution over time '
                              f'has {number} branches')
        widths = [channels - share * (number - 1)] + [share] * (number - 1)

        def entry(width: int) -> list[nn.Module]:
            return [Pointwise(channels, width), nn.BatchNorm2d(width), nn.ReLU(inplace=True)]

        branches = [nn.Sequential(*entry(width), TemporalConvolution(width, kernel, stride, dilation))
                    for width, dilation in zip(widths, dilations, strict=False)]
        branches.append(nn.Sequential(
            *entry(share), nn.MaxPool2d((_POOLED, 1), (stride, 1), (_POOLED // 2, 0)), nn.BatchNorm2d(share)))
        branches.append(nn.Sequential(Pointwise(channels, share, stride), nn.BatchNorm2d(share)))
        self.branches = nn.ModuleList(branches)
        self.merge = nn.Sequential(nn.ReLU(inplace=True), Pointwise(channels, channels), nn.BatchNorm2d(channels)) \
            if merge else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, T, V) to (N, C, ceil(T / stride), V)."""
        return self.merge(torch.cat([branch(x) for branch in self.branches], 1))


def residual_path(in_channels: int, out_channels: int, stride: int = 1) -> nn.Module:
    """The way around a layer: nothing, or a 1x1 convolution and batch norm where the shape changes."""
    if in_channels == out_channels and stride == 1:
        return nn.Identity()
    return nn.Sequential(Pointwise(in_channels, out_channels, stride), nn.BatchNorm2d(out_channels))


class GraphUnit(nn.Module):
    """Graph convolution over joints, convolution over time, and a way around both: ``relu(tcn(gcn(x)) + residual(x))``.

    Args:
        gcn: Maps (N, C, T, V) to (N, C', T, V), its batch norm and ReLU included.
        tcn: Maps that to (N, C', ceil(T / stride), V).
        dropout: Drops entries of what ``tcn`` gives.
        residual: The way around, or None.
    """

    def __init__(self, gcn: nn.Module, tcn: nn.Module, dropout: nn.Module, residual: nn.Module | None) -> None:
        super().__init__()
        self.gcn, self.tcn, self.dropout, self.residual = gcn, tcn, dropout, residual

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, T, V) to (N, C', ceil(T / stride), V)."""
        out = self.dropout(self.tcn(self.gcn(x)))
        return F.relu(out if self.residual is None else out + self.residual(x))
