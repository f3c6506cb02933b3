"""The adaptive graph network of 2s-AGCN (Shi et al., CVPR 2019)."""
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmactclr.registry import MODELS

from .graph_encoder import GraphEncoder
from .temporal import Pointwise, TemporalConvolution, residual_path

# channels of the two embeddings whose product says how alike joints are, as a share of those of the outgoing map
_REDUCTION = 4
_KERNEL = 9


class AdaptiveGraphConvolution(nn.Module):
    """``relu(bn(sum_k W_k x (A_k + B_k + C_k)) + residual(x))``, Eq. 3 there.

    A is the skeleton, B learned and the same for all sequences, and C of every sequence,
    ``C_k = softmax((theta_k x)^T phi_k x)`` over the joints that send (Eq. 4); the products are divided by the numbers
    that they add up, so that longer sequences are no sharper.

    Args:
        in_channels: Channels of the incoming map.
        out_channels: Channels of the outgoing map.
        adjacency: (K, V, V) skeleton; A[k, v, w] weighs what joint v sends to joint w.
    """

    fixed: Tensor

    def __init__(self, in_channels: int, out_channels: int, adjacency: Tensor) -> None:
        super().__init__()
        self.num_subsets = len(adjacency)
        self.embedded = max(1, out_channels // _REDUCTION)
        self.register_buffer('fixed', adjacency.clone(), persistent=False)
        self.learned = nn.Parameter(torch.zeros_like(adjacency))
        self.theta = Pointwise(in_channels, self.num_subsets * self.embedded)
        self.phi = Pointwise(in_channels, self.num_subsets * self.embedded)
        self.transform = Pointwise(self.num_subsets * in_channels, out_channels)
        self.norm = nn.BatchNorm2d(out_channels)
        self.residual = residual_path(in_channels, out_channels)

    def reset_parameters(self) -> None:
        """Start without a learned graph again."""
        self.learned.data.zero_()

    def similarity(self, x: Tensor) -> Tensor:
        """C (N, K, V, V) of (N, C, T, V); every column adds up to one."""
        n, _, t, v = x.shape
        # (N, K, channels and frames, V)
        sender, receiver = (embed(x).reshape(n, self.num_subsets, self.embedded * t, v)
                            for embed in (self.theta, self.phi))
        product = torch.matmul(sender.transpose(2, 3), receiver).to(self.learned.dtype) / (self.embedded * t)
        return product.softmax(2)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, T, V) to (N, C', T, V)."""
        n, c, t, v = x.shape
        graph = self.fixed + self.learned + self.similarity(x)
        # (N, 1, C T, V) by (N, K, V, V)
        gathered = torch.matmul(x.reshape(n, 1, c * t, v), graph.to(x.dtype))
        out = self.transform(gathered.reshape(n, self.num_subsets * c, t, v))
        return F.relu(self.norm(out) + self.residual(x))


@MODELS.register_module()
class AGCN(GraphEncoder):
    """One stream of 2s-AGCN, Shi, Zhang, Cheng, Lu, *Two-Stream Adaptive Graph Convolutional Networks*, CVPR 2019.

    The graph of every unit is the skeleton, a learned matrix and, for every sequence, how alike its joints are. The
    convolution over time has a kernel of 9 frames. Its two streams, joints and bones, are those of a config of several.

    Args:
        layout: Name or definition of the joint layout.
        in_channels: Coordinates per joint.
        channels: Output channels of every unit; the paper has 64, 128 and 256 three times each.
        strided_units: Units, counted from one, that halve the frame rate.
        graph: Arguments of :func:`build_adjacency`; left out, self links, links outwards and links inwards.
        dropout: Dropout in every unit but the first.

    Attributes:
        out_channels: Channels of the feature map.
        temporal_stride: Frames per cell of the feature map.

    Example:
        >>> AGCN('ntu25')(torch.randn(2, 3, 50, 25)).shape
        torch.Size([2, 256, 13, 25])
    """

    def graph_convolution(self, in_channels: int, out_channels: int) -> nn.Module:
        """:class:`AdaptiveGraphConvolution`."""
        return AdaptiveGraphConvolution(in_channels, out_channels, self.adjacency)

    def temporal_convolution(self, channels: int, stride: int) -> nn.Module:
        """One kernel."""
        return TemporalConvolution(channels, _KERNEL, stride)
