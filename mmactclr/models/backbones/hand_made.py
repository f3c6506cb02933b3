"""Features without learning, behind the backbone interface, so that baselines run through the same code."""
from collections.abc import Mapping
from typing import Any

from mmengine.model import BaseModule
from torch import Tensor

from mmactclr.registry import MODELS
from mmactclr.structures import Layout, get_layout


@MODELS.register_module()
class RawCoordinates(BaseModule):
    """All coordinates of all frames as one feature vector: nearest neighbours in pose space."""

    temporal_stride = 1

    def forward(self, x: Tensor) -> Tensor:
        """Flatten (N', C, T, V) to (N', C * T * V, 1, 1)."""
        return x.flatten(1)[:, :, None, None]


@MODELS.register_module()
class MeanVelocity(BaseModule):
    """Mean speed of every joint over the frames: what moved, and how much, without how."""

    temporal_stride = 1

    def forward(self, x: Tensor) -> Tensor:
        """Reduce (N', C, T, V) to the mean length of the frame-to-frame step, (N', V, 1, 1)."""
        speed = (x[:, :, 1:] - x[:, :, :-1]).norm(dim=1)
        return speed.mean(1)[:, :, None, None]


@MODELS.register_module()
class FrameCoordinates(BaseModule):
    """The coordinates of every frame by themselves: what a classifier of frames knows without an encoder.

    Args:
        layout: Joint layout of the data.
        in_channels: Coordinates per joint.

    Attributes:
        out_channels: Coordinates of a frame.
    """

    temporal_stride = 1

    def __init__(self, layout: str | Mapping[str, Any] | Layout, in_channels: int = 3,
                 init_cfg: Mapping[str, Any] | None = None) -> None:
        super().__init__(init_cfg)
        self.out_channels = in_channels * get_layout(layout).num_joints

    def forward(self, x: Tensor) -> Tensor:
        """Turn (N', C, T, V) into (N', C * V, T, 1)."""
        return x.permute(0, 1, 3, 2).flatten(1, 2)[..., None]
