"""A bidirectional GRU over the sequence of every joint."""
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from mmactclr.registry import MODELS
from mmactclr.structures import Layout

from .embedding import JointEmbedding
from .interface import SkeletonBackbone, check_widths, strides_of


class JointGRU(nn.Module):
    """One bidirectional GRU that runs over the frames of every joint, next to the mean of the body.

    Args:
        in_channels: Channels of the incoming map.
        out_channels: Channels of the outgoing map, half of them from each direction.
        stride: Every so many states are kept.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        self.gru = nn.GRU(2 * in_channels, out_channels // 2, batch_first=True, bidirectional=True)
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, T, V) to (N, C', ceil(T / stride), V)."""
        n, c, t, v = x.shape
        both = torch.cat([x, x.mean(3, keepdim=True).expand(-1, -1, -1, v)], 1)
        # in the precision of the weights: half of it saves nothing here, and adds up over the frames
        with torch.autocast(x.device.type, enabled=False):
            sequences = both.permute(0, 3, 2, 1).reshape(n * v, t, 2 * c)
            states = self.gru(sequences.to(next(self.gru.parameters()).dtype))[0]
        states = states[:, ::self.stride]
        return states.reshape(n, v, states.shape[1], states.shape[2]).permute(0, 3, 2, 1)


@MODELS.register_module()
class BiGRU(SkeletonBackbone):
    """Bidirectional GRUs (Cho et al., EMNLP 2014; Schuster, Paliwal, 1997) that keep the joints of the map.

    The recurrent encoders of the field (Du et al., CVPR 2015; that of CMD, Mao et al., ECCV 2022) read all joints of a
    frame as one vector, so that no part of their output belongs to a joint. Here one GRU with the same weights reads
    the sequence of every joint, together with a vector that is learned for the joint and the mean over all joints of
    the frame, from which each knows what the body does. So column v of the map is joint v by construction, as
    actionlets need it, and the weights do not grow with the skeleton.

    Args:
        layout: Name or definition of the joint layout.
        in_channels: Coordinates per joint.
        channels: Output channels of every GRU, even numbers.
        strided_units: GRUs, counted from one, of which every second state is kept.
        dropout: Dropout before every GRU but the first.

    Attributes:
        out_channels: Channels of the feature map.
        temporal_stride: Frames per cell of the feature map.

    Raises:
        ConfigError: If a number of channels is odd.

    Example:
        >>> BiGRU('ntu25')(torch.randn(2, 3, 50, 25)).shape
        torch.Size([2, 256, 13, 25])
    """

    def __init__(self, layout: str | Mapping[str, Any] | Layout, in_channels: int = 3,
                 channels: Sequence[int] = (64, 128, 256), strided_units: Sequence[int] = (1, 2),
                 dropout: float = 0.0, init_cfg: Mapping[str, Any] | None = None) -> None:
        check_widths('BiGRU', in_channels, channels, 2, 'even numbers: half of them come from each direction')
        super().__init__(layout, in_channels, channels, strided_units, init_cfg)
        self.embedding = JointEmbedding(in_channels, channels[0], self.layout.num_joints)
        self.dropout = nn.Dropout(dropout)
        before = (channels[0], *channels[:-1])
        self.units = nn.ModuleList(map(JointGRU, before, channels, strides_of(channels, strided_units)))

    def forward(self, x: Tensor) -> Tensor:
        """Encode joint coordinates.

        Args:
            x: (N', C, T, V) coordinates, one person per row.

        Returns:
            Dense feature map (N', out_channels, ceil(T / temporal_stride), V), each entry between -1 and 1.

        Raises:
            ConfigError: If joints or coordinates do not match the layout of this encoder.
        """
        x = self.embedding(self.normalise(x))
        for number, unit in enumerate(self.units):
            x = unit(self.dropout(x) if number else x)
        return x
