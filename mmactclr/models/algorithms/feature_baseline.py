"""Evaluate features that need no pretraining with the evaluators that learned ones go through."""
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from mmactclr.registry import MODELS

from .base import BaseAlgorithm


@MODELS.register_module()
class FeatureBaseline(BaseAlgorithm):
    """A hand-made backbone as a model; the persons of a sequence are concatenated, not averaged.

    Args:
        backbone: Config of the backbone, e.g. ``RawCoordinates``.
    """

    stream = 'joint'

    def __init__(self, backbone: Mapping[str, Any]) -> None:
        super().__init__()
        self.backbone = MODELS.build(dict(backbone))

    @torch.no_grad()
    def extract(self, keypoint: Tensor, mask: Tensor) -> dict[str, Tensor]:
        """Pooled backbone feature of prepared joints (N, M, T, V, C), persons side by side."""
        x = keypoint.permute(0, 4, 2, 1, 3).flatten(3)
        return {'backbone': self.backbone(x).mean((2, 3))}
