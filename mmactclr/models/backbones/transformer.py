"""A transformer with attention over the joints of a frame and over the frames of a joint, in turn."""
from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmactclr.registry import MODELS
from mmactclr.structures import Layout

from .embedding import JointEmbedding, frame_waves
from .interface import SkeletonBackbone, check_widths, strides_of

# how much wider the layer between is than the vectors that go in and out
_EXPANSION = 2


class SelfAttention(nn.Module):
    """Multi-head self-attention: ``softmax(q k^T / sqrt(d)) v`` in every head (Vaswani et al., NeurIPS 2017, Eq. 1).

    Args:
        channels: Width of the vectors.
        num_heads: Heads, each with an equal share of the channels.
    """

    def __init__(self, channels: int, num_heads: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.inward, self.outward = nn.Linear(channels, 3 * channels), nn.Linear(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        """Attend among the S vectors of each row of (B, S, C)."""
        b, s, c = x.shape
        query, key, value = self.inward(x).reshape(b, s, 3, self.num_heads, c // self.num_heads).permute(2, 0, 3, 1, 4)
        if x.is_cuda:
            found = F.scaled_dot_product_attention(query, key, value)
        else:
            # on a CPU the backward pass of the fused kernel takes longer over sequences as short as these
            weight = torch.matmul(query * query.shape[-1] ** -0.5, key.transpose(2, 3)).softmax(3)
            found = torch.matmul(weight.to(value.dtype), value)
        return self.outward(found.transpose(1, 2).reshape(b, s, c))


class AttentionUnit(nn.Module):
    """Attention over joints, over frames, and two linear layers, each after a layer norm and with a way around it.

    Args:
        in_channels: Channels of the incoming map.
        out_channels: Channels of the outgoing map.
        stride: Stride over time, taken first by a convolution of 3 frames.
        num_heads: Heads of each attention.
        dropout: Dropout of what each of the three adds.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int, num_heads: int, dropout: float) -> None:
        super().__init__()
        if stride > 1:
            self.entry: nn.Module = nn.Conv2d(in_channels, out_channels, (3, 1), (stride, 1), (1, 0))
        else:
            self.entry = nn.Conv2d(in_channels, out_channels, 1) if in_channels != out_channels else nn.Identity()
        self.norms = nn.ModuleList(nn.LayerNorm(out_channels) for _ in range(3))
        self.spatial, self.temporal = (SelfAttention(out_channels, num_heads) for _ in range(2))
        self.mlp = nn.Sequential(nn.Linear(out_channels, _EXPANSION * out_channels), nn.GELU(),
                                 nn.Linear(_EXPANSION * out_channels, out_channels))
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, T, V) to (N, C', ceil(T / stride), V)."""
        x = self.entry(x).permute(0, 2, 3, 1)
        n, t, v, c = x.shape
        found = self.spatial(self.norms[0](x).reshape(n * t, v, c))
        x = x + self.dropout(found.reshape(n, t, v, c))
        found = self.temporal(self.norms[1](x).transpose(1, 2).reshape(n * v, t, c))
        x = x + self.dropout(found.reshape(n, v, t, c).transpose(1, 2))
        x = x + self.dropout(self.mlp(self.norms[2](x)))
        return x.permute(0, 3, 1, 2)


@MODELS.register_module()
class SkeletonTransformer(SkeletonBackbone):
    """Attention over joints and attention over time in turn, for sequences of any length.

    Spatial and temporal attention are kept apart as in ST-TR (Plizzari, Cannici, Matteucci, *Skeleton-Based Action
    Recognition via Spatial and Temporal Transformer Networks*, CVIU 2021) and DSTA-Net (Shi et al., ACCV 2020), so that
    the cost is that of V * V * T and T * T * V pairs. A vector that is learned for the joint and waves of the frame's
    number are added to the coordinates; nothing here knows which joints are bones.

    Args:
        layout: Name or definition of the joint layout.
        in_channels: Coordinates per joint.
        channels: Output channels of every unit, multiples of ``head_channels``.
        strided_units: Units, counted from one, that halve the frame rate.
        head_channels: Channels of a head.
        dropout: Dropout of what attention and linear layers add.

    Attributes:
        out_channels: Channels of the feature map.
        temporal_stride: Frames per cell of the feature map.

    Raises:
        ConfigError: If a number of channels is no multiple of ``head_channels``.

    Example:
        >>> SkeletonTransformer('ntu25')(torch.randn(2, 3, 50, 25)).shape
        torch.Size([2, 256, 13, 25])
    """

    def __init__(self, layout: str | Mapping[str, Any] | Layout, in_channels: int = 3,
                 channels: Sequence[int] = (64, 64, 128, 128, 256), strided_units: Sequence[int] = (1, 3),
                 head_channels: int = 16, dropout: float = 0.0, init_cfg: Mapping[str, Any] | None = None) -> None:
        check_widths('SkeletonTransformer', in_channels, channels, head_channels,
                     f'multiples of head_channels, which is {head_channels}')
        super().__init__(layout, in_channels, channels, strided_units, init_cfg)
        self.embedding = JointEmbedding(in_channels, channels[0], self.layout.num_joints)
        self.units = nn.ModuleList(
            AttentionUnit(before, width, stride, width // head_channels, dropout) for before, width, stride in zip(
                (channels[0], *channels[:-1]), channels, strides_of(channels, strided_units), strict=True))
        self.norm = nn.LayerNorm(channels[-1])

    def forward(self, x: Tensor) -> Tensor:
        """Encode joint coordinates.

        Args:
            x: (N', C, T, V) coordinates, one person per row.

        Returns:
            Dense feature map (N', out_channels, ceil(T / temporal_stride), V).

        Raises:
            ConfigError: If joints or coordinates do not match the layout of this encoder.
        """
        x = self.embedding(self.normalise(x))
        waves = frame_waves(x.shape[2], x.shape[1], x.device)
        x = x + waves.t()[None, :, :, None].to(x.dtype)
        for unit in self.units:
            x = unit(x)
        return self.norm(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
