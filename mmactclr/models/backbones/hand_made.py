"""Features without learning, behind the backbone interface, so that baselines run through the same code."""
from mmengine.model import BaseModule
from torch import Tensor

from mmactclr.registry import MODELS


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
