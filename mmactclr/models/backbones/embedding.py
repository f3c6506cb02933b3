"""Which joint, and which frame, a vector belongs to, for encoders that have no graph."""
import math

import torch
from torch import Tensor, nn

# of the learned vectors at the start, as is usual for transformers
_STD = 0.02
# the slowest of the waves that tell frames apart takes so many times 2 pi frames
_SLOWEST = 10000


class JointEmbedding(nn.Module):
    """Coordinates of a joint as a vector, with one added that is learned for that joint.

    Args:
        in_channels: Coordinates per joint.
        channels: Width of the vectors.
        num_joints: Number of joints V.
    """

    def __init__(self, in_channels: int, channels: int, num_joints: int) -> None:
        super().__init__()
        self.project = nn.Conv2d(in_channels, channels, 1)
        self.joints = nn.Parameter(torch.empty(1, channels, 1, num_joints))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the joints' vectors from N(0, 0.02)."""
        nn.init.normal_(self.joints, 0.0, _STD)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, T, V) to (N, C', T, V)."""
        return self.project(x) + self.joints


def frame_waves(num_frames: int, channels: int, device: torch.device) -> Tensor:
    """Sines and cosines of the frame's number at many rates, (T, C) (Vaswani et al., NeurIPS 2017, 3.5).

    Args:
        num_frames: Number of frames T.
        channels: Width C.
        device: Where they are wanted.
    """
    half = -(-channels // 2)
    rates = torch.exp(torch.arange(half, device=device) * (-math.log(_SLOWEST) / max(half, 1)))
    angles = torch.arange(num_frames, device=device)[:, None] * rates
    return torch.cat([angles.sin(), angles.cos()], 1)[:, :channels]
