"""Batches for the tests of transforms."""
from collections.abc import Callable
from typing import Any

import pytest
import torch

from mmactclr.structures.layouts import get_layout
from mmactclr.transforms import SampleRandom


@pytest.fixture
def make_batch() -> Callable[..., dict[str, Any]]:
    """Factory of dicts of random walks; every second sample has one person only."""

    def make(layout: str = 'ntu25', n: int = 6, t: int = 50, channels: int = 3, epoch: int = 0,
             absent: bool = True, dtype: torch.dtype = torch.float32) -> dict[str, Any]:
        layout = get_layout(layout)
        generator = torch.Generator().manual_seed(n + t)
        posture = torch.randn(n, 2, 1, layout.num_joints, channels, generator=generator)
        step = torch.randn(n, 2, t, layout.num_joints, channels, generator=generator)
        mask = torch.ones(n, 2, dtype=torch.bool)
        if absent:
            mask[1::2, 1] = False
        keypoint = (posture + 0.1 * step.cumsum(2)) * mask[:, :, None, None, None]
        partner = torch.arange(n) ^ 1 if n % 2 == 0 else torch.arange(n).roll(1)
        return dict(keypoint=keypoint.to(dtype), mask=mask, layout=layout, partner=partner,
                    random=SampleRandom(0, epoch, range(n), 'query'))

    return make
