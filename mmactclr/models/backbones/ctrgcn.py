"""CTR-GCN (Chen et al., ICCV 2021): every channel has a graph of its own, refined by what the joints do."""
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmactclr.registry import MODELS

from .graph_encoder import GraphEncoder
from .temporal import MultiBranchTemporal, Pointwise, residual_path

# channels that joints are compared in, as a share of those of the map, and of the joints' own coordinates
_REDUCTION, _LEAST = 8, 8
_KERNEL, _DILATIONS = 5, (1, 2)


class RefinedGraphConvolution(nn.Module):
    """``relu(bn(sum_k CTR-GC_k(x)) + residual(x))`` with a CTR-GC for each of K subsets, Eq. 4-8 there.

    Of every subset, channel c of the output is ``R_c (W x)_c`` with ``R = A + alpha * Q`` and
    ``Q = xi(tanh(psi(x_i) - phi(x_j)))``: joints are averaged over time, reduced to few channels, compared pair by
    pair, and the differences mapped to a matrix for every channel. A is learned, alpha starts at zero.

    Args:
        in_channels: Channels of the incoming map.
        out_channels: Channels of the outgoing map.
        adjacency: (K, V, V) graph that A starts from; adjacency[k, v, w] weighs what joint v sends to joint w.
    """

    start: Tensor

    def __init__(self, in_channels: int, out_channels: int, adjacency: Tensor) -> None:
        super().__init__()
        self.num_subsets, self.out_channels = len(adjacency), out_channels
        reduced = self.num_subsets * max(_LEAST, in_channels // _REDUCTION)
        self.register_buffer('start', adjacency.clone(), persistent=False)
        self.topology = nn.Parameter(adjacency.clone())
        self.alpha = nn.Parameter(torch.zeros(()))
        # all subsets at once, one after the other along the channels
        self.psi, self.phi = Pointwise(in_channels, reduced), Pointwise(in_channels, reduced)
        self.xi = nn.Conv2d(reduced, self.num_subsets * out_channels, 1, groups=self.num_subsets)
        self.transform = Pointwise(in_channels, self.num_subsets * out_channels)
        self.norm = nn.BatchNorm2d(out_channels)
        self.residual = residual_path(in_channels, out_channels)

    def reset_parameters(self) -> None:
        """Start from the skeleton without refinement again."""
        self.topology.data.copy_(self.start)
        self.alpha.data.zero_()

    def refinement(self, x: Tensor) -> Tensor:
        """Q (N, K, C', V, V) of (N, C, T, V); the last dimension is the joint that receives, as in the graph."""
        mean = x.mean(2, keepdim=True)
        # psi of the receiver, along the last dimension, less phi of the sender
        difference = self.psi(mean) - self.phi(mean).transpose(2, 3)
        return self.xi(difference.tanh()).unflatten(1, (self.num_subsets, self.out_channels))

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, T, V) to (N, C', T, V)."""
        graph = self.topology[:, None] + self.alpha * self.refinement(x)
        sent = self.transform(x).unflatten(1, (self.num_subsets, self.out_channels))
        # subsets and senders are added up in one product: (T, K V) by (K V, V) of every channel
        sent = sent.permute(0, 2, 3, 1, 4).flatten(3)
        out = torch.matmul(sent, graph.transpose(1, 2).flatten(2, 3).to(sent.dtype))
        return F.relu(self.norm(out) + self.residual(x))


@MODELS.register_module()
class CTRGCN(GraphEncoder):
    """CTR-GCN, Chen, Zhang, Yuan, Li, Deng, Hu, *Channel-wise Topology Refinement Graph Convolution*, ICCV 2021.

    A learned topology that all channels share is refined for every channel and sequence by differences between joints.
    The convolution over time has four branches: kernels of 5 frames with dilations 1 and 2, max pooling, and a 1x1
    convolution.

    Args:
        layout: Name or definition of the joint layout.
        in_channels: Coordinates per joint.
        channels: Output channels of every unit, at least 4; the paper has 64 four times, 128 and 256 three times.
        strided_units: Units, counted from one, that halve the frame rate; 5 and 8 in the paper.
        graph: Arguments of :func:`build_adjacency`; left out, self links, links outwards and links inwards.
        dropout: Dropout in every unit but the first.

    Attributes:
        out_channels: Channels of the feature map.
        temporal_stride: Frames per cell of the feature map.

    Example:
        >>> CTRGCN('ntu25')(torch.randn(2, 3, 50, 25)).shape
        torch.Size([2, 256, 13, 25])
    """

    def graph_convolution(self, in_channels: int, out_channels: int) -> nn.Module:
        """:class:`RefinedGraphConvolution`."""
        return RefinedGraphConvolution(in_channels, out_channels, self.adjacency)

    def temporal_convolution(self, channels: int, stride: int) -> nn.Module:
        """Four branches side by side."""
        return MultiBranchTemporal(channels, stride, _KERNEL, _DILATIONS, merge=False)
