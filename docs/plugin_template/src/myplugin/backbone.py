"""A backbone: joints attend to each other, moments are convolved."""
from mmactclr.registry import MODELS
from mmengine.model import BaseModule
from torch import Tensor, nn


@MODELS.register_module()
class JointAttention(BaseModule):
    """Convolution over time, then attention among the joints of each moment.

    Args:
        in_channels: Coordinates of a joint.
        channels: Width of the feature map.
        heads: Attention heads, a divisor of ``channels``.
    """

    def __init__(self, in_channels: int = 3, channels: int = 64, heads: int = 4) -> None:
        super().__init__()
        self.frames = nn.Sequential(
            nn.Conv2d(in_channels, channels, (9, 1), (4, 1), (4, 0)), nn.BatchNorm2d(channels), nn.ReLU())
        self.joints = nn.MultiheadAttention(channels, heads, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, T, V) to (N, channels, T / 4, V): time may shrink, the joints must stay."""
        x = self.frames(x)
        num, channels, length, joints = x.shape
        rows = x.permute(0, 2, 3, 1).reshape(num * length, joints, channels)
        rows = rows + self.joints(rows, rows, rows, need_weights=False)[0]
        return rows.reshape(num, length, joints, channels).permute(0, 3, 1, 2)
