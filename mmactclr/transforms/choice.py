"""One of several transforms, drawn for each sample."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from mmactclr.errors import ConfigError
from mmactclr.registry import TRANSFORMS

from .base import SkeletonTransform, build_transforms, choose


@TRANSFORMS.register_module()
class OneOf(SkeletonTransform):
    """Apply one of several transforms to each sample, each with the same probability.

    Args:
        transforms: Transform configs.

    Raises:
        ConfigError: If there is none to choose from, or one leaves more behind than changed coordinates, as
            :class:`SkeletonMix` does: what it says would hold for some of the samples only.

    Example:
        >>> OneOf([dict(type='RandomShear', amplitude=1.0), dict(type='JointCorruption')])
    """

    def __init__(self, transforms: Sequence[Mapping[str, Any]]) -> None:
        if not transforms:
            raise ConfigError('OneOf: transforms is empty, expected at least one')
        self.transforms = build_transforms(transforms)

    def apply(self, keypoint: Tensor, results: dict[str, Any]) -> Tensor:
        """Draw a transform for every sample."""
        picked = self.random(results).integers(0, len(self.transforms))
        out = keypoint
        for number, transform in enumerate(self.transforms):
            found = transform(results)
            extra = sorted(found.keys() - results.keys())
            if extra:
                raise ConfigError(f'OneOf: {type(transform).__name__} leaves {", ".join(extra)} behind, which would '
                                  'hold for some samples only; take it out of OneOf')
            out = choose(picked == number, found['keypoint'], out)
        return out
