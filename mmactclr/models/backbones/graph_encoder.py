"""What graph encoders share: batch norm of the joints, then units of graph convolution and convolution over time."""
from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from mmactclr.structures import Layout

from .dropout import Dropout
from .graph import build_adjacency
from .interface import SkeletonBackbone, strides_of
from .stgcn import PAPER_CHANNELS, PAPER_STRIDED_UNITS
from .temporal import GraphUnit, residual_path


class GraphEncoder(SkeletonBackbone):
    """Units over a skeleton graph; a subclass says what their two convolutions are.

    The default widths are those of ActCLR's ST-GCN, a quarter of the widths of the papers, so that encoders compare.

    Args:
        layout: Name or definition of the joint layout.
        in_channels: Coordinates per joint.
        channels: Output channels of every unit.
        strided_units: Units, counted from one, that halve the frame rate.
        graph: Arguments of :func:`build_adjacency`; left out, self links, links outwards and links inwards, each
            normalised by itself.
        dropout: Dropout in every unit but the first.

    Attributes:
        out_channels: Channels of the feature map.
        temporal_stride: Frames per cell of the feature map.
    """

    def __init__(self, layout: str | Mapping[str, Any] | Layout, in_channels: int = 3,
                 channels: Sequence[int] = PAPER_CHANNELS, strided_units: Sequence[int] = PAPER_STRIDED_UNITS,
                 graph: Mapping[str, Any] | None = None, dropout: float = 0.0,
                 init_cfg: Mapping[str, Any] | None = None) -> None:
        super().__init__(layout, in_channels, channels, strided_units, init_cfg)
        adjacency = build_adjacency(self.layout, **(graph or dict(strategy='inward_outward')))
        self.register_buffer('adjacency', adjacency)
        self.units = nn.ModuleList()
        previous = in_channels
        for number, (width, stride) in enumerate(zip(channels, strides_of(channels, strided_units), strict=True)):
            self.units.append(GraphUnit(
                self.graph_convolution(previous, width), self.temporal_convolution(width, stride),
                Dropout(dropout if number else 0.0), residual_path(previous, width, stride) if number else None))
            previous = width

    def graph_convolution(self, in_channels: int, out_channels: int) -> nn.Module:
        """The convolution over joints of a unit: (N, C, T, V) to (N, C', T, V)."""
        raise NotImplementedError

    def temporal_convolution(self, channels: int, stride: int) -> nn.Module:
        """The convolution over time of a unit: (N, C, T, V) to (N, C, ceil(T / stride), V)."""
        raise NotImplementedError

    def forward(self, x: Tensor) -> Tensor:
        """Encode joint coordinates.

        Args:
            x: (N', C, T, V) coordinates, one person per row.

        Returns:
            Dense feature map (N', out_channels, ceil(T / temporal_stride), V).

        Raises:
            ConfigError: If joints or coordinates do not match the layout of this encoder.
        """
        x = self.normalise(x)
        for unit in self.units:
            x = unit(x)
        return x
