"""A transform: the whole body sways."""
import math
from typing import Any

import torch
from mmactclr.registry import TRANSFORMS
from mmactclr.transforms import SkeletonTransform
from torch import Tensor


@TRANSFORMS.register_module()
class Sway(SkeletonTransform):
    """Move all joints of a sample along x by one period of a sine of random height and phase.

    Args:
        amplitude: Largest height, in the unit of the coordinates.
    """

    def __init__(self, amplitude: float = 0.1) -> None:
        self.amplitude = amplitude

    def apply(self, keypoint: Tensor, results: dict[str, Any]) -> Tensor:
        """(N, M, T, V, C) to the same; numbers are drawn by sample, whatever else is in the batch."""
        random = self.random(results)
        height = random.uniform(low=0., high=self.amplitude).to(keypoint)[:, None]
        phase = random.uniform(low=0., high=1.).to(keypoint)[:, None]
        time = torch.linspace(0, 1, keypoint.shape[2], device=keypoint.device)
        sway = torch.zeros_like(keypoint)
        sway[..., 0] = (height * torch.sin(2 * math.pi * (time + phase)))[:, None, :, None]
        return keypoint + sway
