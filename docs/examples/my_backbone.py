"""A backbone of one's own: the same convolution over time for every joint."""
from mmengine.model import BaseModule
from torch import Tensor, nn

from mmactclr.registry import MODELS


@MODELS.register_module()
class JointConv(BaseModule):
    temporal_stride = 4  # frames of a cell of the map

    def __init__(self, in_channels: int = 3, out_channels: int = 64) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(in_channels, out_channels, (9, 1), (2, 1), (4, 0)), nn.BatchNorm2d(out_channels), nn.ReLU(),
            nn.Conv2d(out_channels, out_channels, (9, 1), (2, 1), (4, 0)), nn.BatchNorm2d(out_channels), nn.ReLU())

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)  # (N', C, T, V) -> (N', out_channels, T', V)
