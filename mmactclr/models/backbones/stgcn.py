"""ST-GCN at a quarter of the usual width, the encoder of ActCLR and of the methods it is compared with."""
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmactclr.models.norms import counted_batch_norm
from mmactclr.registry import MODELS
from mmactclr.structures import Layout

from .dropout import Dropout
from .graph import build_adjacency
from .interface import SkeletonBackbone, strides_of

PAPER_CHANNELS = (16, 16, 16, 32, 32, 32, 64, 64, 256)
PAPER_STRIDED_UNITS = (4, 7)


# channels up to which joints and channels are mixed in one matrix product: more multiplications, but no numbers moved
_FEW_CHANNELS = 16


class GraphConvolution(nn.Module):
    """Spatial graph convolution over K joint subsets: ``sum_k W_k x A_k`` with a bias per subset.

    Works on channels-last maps as matrix products: few channels mix with the joints at once, more of them are
    gathered over the graph first. Both give the same result.

    Args:
        in_channels: Channels of the incoming map.
        out_channels: Channels of the outgoing map.
        num_subsets: Number K of adjacency matrices.
    """

    def __init__(self, in_channels: int, out_channels: int, num_subsets: int) -> None:
        super().__init__()
        self.in_channels, self.out_channels, self.num_subsets = in_channels, out_channels, num_subsets
        self.weight = nn.Parameter(torch.empty(num_subsets * out_channels, in_channels, 1, 1))
        self.bias = nn.Parameter(torch.empty(num_subsets * out_channels))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw new weights as ``torch.nn.Conv2d`` does."""
        nn.init.kaiming_uniform_(self.weight, a=5 ** 0.5)
        bound = self.in_channels ** -0.5
        nn.init.uniform_(self.bias, -bound, bound)

    def forward(self, x: Tensor, adjacency: Tensor, norm: nn.BatchNorm2d | None = None) -> Tensor:
        """Convolve.

        Args:
            x: (N, T, V, C_in).
            adjacency: (K, V, V).
            norm: Batch norm in eval mode that follows, made part of the weights.

        Returns:
            (N, T, V, C_out).
        """
        n, t, v, c = x.shape
        k, out = self.num_subsets, self.out_channels
        weight = self.weight.view(k, out, c)
        bias = torch.einsum('ko,kvw->wo', self.bias.view(k, out), adjacency)
        if norm is not None:
            scale, shift = affine_of(norm)
            weight, bias = weight * scale[:, None], bias * scale + shift
        if max(c, out) <= _FEW_CHANNELS:
            both = torch.einsum('kvw,koc->vcwo', adjacency, weight).reshape(v * c, v * out)
            return F.linear(x.reshape(n * t, v * c), both.t(), bias.reshape(-1)).view(n, t, v, out)
        graph = adjacency.permute(2, 0, 1).reshape(1, v * k, v).expand(n * t, -1, -1)
        gathered = torch.bmm(graph.to(x.dtype), x.reshape(n * t, v, c)).view(n, t, v, k * c)
        mixed = F.linear(gathered, weight.permute(1, 0, 2).reshape(out, k * c))
        return mixed.add_(bias.to(mixed.dtype))


class STGCNUnit(nn.Module):
    """Graph convolution over joints, then a convolution over time, with a residual path.

    Args:
        in_channels: Channels of the incoming map.
        out_channels: Channels of the outgoing map.
        num_subsets: Number of adjacency matrices.
        stride: Stride over time.
        temporal_kernel: Odd length of the convolution over time, in frames.
        dropout: Probability of zeroing an entry after the convolution over time.
        residual: Whether the input is added to the output.
    """

    def __init__(self, in_channels: int, out_channels: int, num_subsets: int, stride: int,
                 temporal_kernel: int, dropout: float, residual: bool) -> None:
        super().__init__()
        self.gcn = GraphConvolution(in_channels, out_channels, num_subsets)
        self.tcn = nn.Sequential(
            nn.BatchNorm2d(out_channels), nn.ReLU(inplace=True),
            nn.Conv2d(out_channels, out_channels, (temporal_kernel, 1), (stride, 1),
                      (temporal_kernel // 2, 0)),
            nn.BatchNorm2d(out_channels), Dropout(dropout))
        self.residual: nn.Module | None
        if not residual:
            self.residual = None
        elif in_channels == out_channels and stride == 1:
            self.residual = nn.Identity()
        else:
            self.residual = nn.Sequential(
                nn.Conv2d(in_channels, out_channels, 1, (stride, 1)), nn.BatchNorm2d(out_channels))

    def forward(self, x: Tensor, adjacency: Tensor, copies: int = 1) -> Tensor:
        """Map (N, C_in, T, V), channels last in memory, to (N, C_out, ceil(T / stride), V).

        In training mode the last row stands for ``copies`` equal ones.
        """
        if not self.training:
            return self._forward_folded(x, adjacency)
        norm, relu, convolution, last, dropout = cast(Iterable[Any], self.tcn)
        out = self.gcn(x.permute(0, 2, 3, 1), adjacency).permute(0, 3, 1, 2)
        out = convolution(relu(counted_batch_norm(norm, out, copies)))
        out = dropout(counted_batch_norm(last, out, copies))
        if isinstance(self.residual, nn.Sequential):
            shortcut, norm = cast(Iterable[Any], self.residual)
            out = out.add_(counted_batch_norm(norm, pointwise(x, shortcut, shortcut.weight, shortcut.bias), copies))
        elif self.residual is not None:
            out = out.add_(x)
        return F.relu(out, inplace=True)

    def _forward_folded(self, x: Tensor, adjacency: Tensor) -> Tensor:
        """The same in eval mode, where batch norms are fixed and become part of the weights before them."""
        norm, _, convolution, last, _ = cast(Iterable[Any], self.tcn)
        out = self.gcn(x.permute(0, 2, 3, 1), adjacency, norm).permute(0, 3, 1, 2)
        weight, bias = folded(convolution, last)
        out = F.conv2d(F.relu(out, inplace=True), weight, bias, convolution.stride, convolution.padding)
        if isinstance(self.residual, nn.Sequential):
            shortcut, norm = cast(Iterable[Any], self.residual)
            out = out.add_(pointwise(x, shortcut, *folded(shortcut, norm)))
        elif self.residual is not None:
            out = out.add_(x)
        return F.relu(out, inplace=True)


def affine_of(norm: nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    """Factor and summand (C,) of each channel that a batch norm in eval mode comes to."""
    mean, variance = cast(Tensor, norm.running_mean), cast(Tensor, norm.running_var)
    scale = norm.weight * (variance + norm.eps).rsqrt()
    return scale, norm.bias - mean * scale


def folded(convolution: nn.Conv2d, norm: nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    """Weight and bias of a convolution that does what ``norm(convolution(x))`` does in eval mode."""
    scale, shift = affine_of(norm)
    return convolution.weight * scale[:, None, None, None], cast(Tensor, convolution.bias) * scale + shift


def pointwise(x: Tensor, convolution: nn.Conv2d, weight: Tensor, bias: Tensor) -> Tensor:
    """A 1x1 convolution with the stride over time of ``convolution``."""
    # the stride is taken first: oneDNN corrupts memory in the backward pass of strided 1x1 convolutions over
    # channels-last maps of fewer than 16 channels
    return F.conv2d(x[:, :, ::convolution.stride[0]], weight, bias)


@MODELS.register_module()
class STGCN(SkeletonBackbone):
    """Spatial-temporal graph convolutional encoder (Yan et al., AAAI 2018), as ActCLR uses it.

    Args:
        layout: Name or definition of the joint layout.
        in_channels: Coordinates per joint.
        channels: Output channels of every unit; the default is the paper's nine units.
        strided_units: Units, counted from one, that halve the frame rate.
        graph: Arguments of :func:`build_adjacency`: ``strategy`` and ``hops``.
        temporal_kernel: Length of the convolutions over time, in frames.
        dropout: Dropout in every unit but the first.
        init_std: Draw convolution weights from N(0, init_std) and batch-norm weights from
            N(1, init_std), as the public release does; ``None`` keeps PyTorch's initialisation.

    Attributes:
        out_channels: Channels of the feature map.
        temporal_stride: Frames per cell of the feature map.

    Example:
        >>> STGCN('ntu25')(torch.randn(2, 3, 50, 25)).shape
        torch.Size([2, 256, 13, 25])
    """

    def __init__(self, layout: str | Mapping[str, Any] | Layout, in_channels: int = 3,
                 channels: Sequence[int] = PAPER_CHANNELS,
                 strided_units: Sequence[int] = PAPER_STRIDED_UNITS,
                 graph: Mapping[str, Any] | None = None, temporal_kernel: int = 9,
                 dropout: float = 0.5, init_std: float | None = None,
                 init_cfg: Mapping[str, Any] | None = None) -> None:
        super().__init__(layout, in_channels, channels, strided_units, init_cfg)
        adjacency = build_adjacency(self.layout, **(graph or {}))
        self.register_buffer('adjacency', adjacency)
        self.units = nn.ModuleList()
        previous = in_channels
        for number, (width, stride) in enumerate(zip(channels, strides_of(channels, strided_units), strict=True)):
            self.units.append(STGCNUnit(
                previous, width, len(adjacency), stride, temporal_kernel, dropout if number else 0.0,
                residual=number > 0))
            previous = width
        self.edge_importance = nn.ParameterList(
            nn.Parameter(torch.ones_like(adjacency)) for _ in self.units)
        self.init_std = init_std

    def reset_parameters(self) -> None:
        """Let every edge count as much as the others again."""
        for importance in self.edge_importance:
            nn.init.ones_(importance)

    def init_weights(self) -> None:
        """Apply ``init_std`` (the release's initialisation), then ``init_cfg``, which may load weights."""
        for module in self.modules():
            if self.init_std is None:
                break
            if isinstance(module, (nn.Conv2d, GraphConvolution)):
                nn.init.normal_(module.weight, 0.0, self.init_std)
                nn.init.zeros_(cast(Tensor, module.bias))
            elif isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d)):
                nn.init.normal_(module.weight, 1.0, self.init_std)
                nn.init.zeros_(module.bias)
        super().init_weights()

    def forward(self, x: Tensor, copies: int = 1) -> Tensor:
        """Encode joint coordinates.

        Args:
            x: (N', C, T, V) coordinates, one person per row.
            copies: In training mode, how many equal rows the last one stands for: batch norms count it as often.

        Returns:
            Dense feature map (N', out_channels, ceil(T / temporal_stride), V).

        Raises:
            ConfigError: If joints or coordinates do not match the layout of this encoder.
        """
        self.check_input(x)
        n, c, t, v = x.shape
        x = x.permute(0, 3, 1, 2).reshape(n, v * c, t)
        x = counted_batch_norm(self.data_bn, x, copies) if self.training else self.data_bn(x)
        x = x.view(n, v, c, t).permute(0, 2, 3, 1).contiguous(memory_format=torch.channels_last)
        for unit, importance in zip(self.units, self.edge_importance, strict=True):
            x = unit(x, self.adjacency * importance, copies)
        return x
