"""ST-GCN++ (Duan et al., ACM MM 2022): ST-GCN with a free graph, inner residuals and branches over time."""
import torch.nn.functional as F
from torch import Tensor, nn

from mmactclr.registry import MODELS

from .graph_encoder import GraphEncoder
from .stgcn import GraphConvolution
from .temporal import MultiBranchTemporal, residual_path

# reaches of the branches over time, beside max pooling and a 1x1 convolution
_KERNEL, _DILATIONS = 3, (1, 2, 3, 4)


class FreeGraphConvolution(nn.Module):
    """``relu(bn(sum_k W_k x A_k) + residual(x))`` with a graph A that starts as the skeleton and is learned freely.

    Args:
        in_channels: Channels of the incoming map.
        out_channels: Channels of the outgoing map.
        adjacency: (K, V, V) graph to start from.
    """

    start: Tensor

    def __init__(self, in_channels: int, out_channels: int, adjacency: Tensor) -> None:
        super().__init__()
        self.register_buffer('start', adjacency.clone(), persistent=False)
        self.topology = nn.Parameter(adjacency.clone())
        self.conv = GraphConvolution(in_channels, out_channels, len(adjacency))
        self.norm = nn.BatchNorm2d(out_channels)
        self.residual = residual_path(in_channels, out_channels)

    def reset_parameters(self) -> None:
        """Start from the skeleton again."""
        self.topology.data.copy_(self.start)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, T, V) to (N, C', T, V)."""
        out = self.conv(x.permute(0, 2, 3, 1), self.topology).permute(0, 3, 1, 2)
        return F.relu(self.norm(out) + self.residual(x))


@MODELS.register_module()
class STGCNPP(GraphEncoder):
    """ST-GCN++, Duan, Wang, Chen, Lin, *PYSKL: Towards Good Practices for Skeleton Action Recognition*, ACM MM 2022.

    Section 3 there names what it changes in ST-GCN: the adjacency matrices start as the skeleton and are learned
    without a mask, the graph convolution has a residual path of its own, and the convolution over time has six
    branches: kernels of 3 frames with dilations 1 to 4, max pooling, and a 1x1 convolution, mixed by another.

    Args:
        layout: Name or definition of the joint layout.
        in_channels: Coordinates per joint.
        channels: Output channels of every unit, at least 6; the paper has 64 four times, 128 and 256 three times.
        strided_units: Units, counted from one, that halve the frame rate; 5 and 8 in the paper.
        graph: Arguments of :func:`build_adjacency`; left out, self links, links outwards and links inwards.
        dropout: Dropout in every unit but the first.

    Attributes:
        out_channels: Channels of the feature map.
        temporal_stride: Frames per cell of the feature map.

    Example:
        >>> STGCNPP('ntu25')(torch.randn(2, 3, 50, 25)).shape
        torch.Size([2, 256, 13, 25])
    """

    def graph_convolution(self, in_channels: int, out_channels: int) -> nn.Module:
        """:class:`FreeGraphConvolution`."""
        return FreeGraphConvolution(in_channels, out_channels, self.adjacency)

    def temporal_convolution(self, channels: int, stride: int) -> nn.Module:
        """Six branches, mixed."""
        return MultiBranchTemporal(channels, stride, _KERNEL, _DILATIONS, merge=True)
