"""Augmentation that changes as training goes on."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from mmactclr.errors import ConfigError
from mmactclr.registry import TRANSFORMS

from .base import SkeletonTransform, build_transforms

_KEYS = {'start', 'transforms', 'count'}


@TRANSFORMS.register_module()
class Curriculum(SkeletonTransform):
    """Other transforms in every phase of training: all that a phase lists, or some of them drawn anew each epoch.

    The epoch is ``stage_epoch`` of the dict, counted from the start of the stage of training. Which ones are
    drawn is a function of the seed, the epoch and the view, the same for all samples; they keep their order.
    The authors' release (Lin et al., CVPR 2023) weakens its views in this way.

    Args:
        phases: ``dict(start=first epoch from zero, transforms=[...], count=how many of them)``, in the order of
            their start; without ``count`` all transforms apply, and before the first phase none.

    Raises:
        ConfigError: If phases are out of order or draw more transforms than they have.

    Example:
        >>> five = [dict(type='RandomFlip'), dict(type='RandomRotation'), dict(type='GaussianNoise'),
        ...         dict(type='GaussianBlur'), dict(type='AxisMask')]
        >>> Curriculum([dict(start=0, transforms=five), dict(start=100, transforms=five, count=3)])
    """

    def __init__(self, phases: Sequence[Mapping[str, Any]]) -> None:
        self.phases: list[tuple[int, list[Any], int]] = []
        for number, phase in enumerate(phases):
            unknown = set(phase) - _KEYS
            if unknown or not {'start', 'transforms'} <= set(phase):
                raise ConfigError(f'Curriculum: phase {number} has the keys {sorted(phase)}, expected start, '
                                  'transforms and, if not all of them apply, count')
            transforms, start = build_transforms(phase['transforms']), phase['start']
            count = len(transforms) if phase.get('count') is None else phase['count']
            if not 0 <= count <= len(transforms):
                raise ConfigError(f'Curriculum: phase {number} draws {count} of {len(transforms)} transforms; set '
                                  f'count to 0 to {len(transforms)}')
            if start < 0 or self.phases and start <= self.phases[-1][0]:
                raise ConfigError(f'Curriculum: phase {number} starts at epoch {start}, expected later than the phase '
                                  'before it')
            self.phases.append((start, transforms, count))

    def chosen(self, epoch: int, generator: torch.Generator) -> list[Any]:
        """The transforms of an epoch of the stage; ``generator`` draws where not all of a phase apply."""
        current = [phase for phase in self.phases if phase[0] <= epoch]
        if not current:
            return []
        _, transforms, count = current[-1]
        drawn = torch.randperm(len(transforms), generator=generator)[:count].sort().values.tolist()
        return [transforms[i] for i in drawn]

    def apply(self, keypoint: Tensor, results: dict[str, Any]) -> Tensor:
        """Apply the transforms of the current epoch one after the other."""
        generator = self.random(results).shared_generator('curriculum')
        for transform in self.chosen(results.get('stage_epoch', 0), generator):
            results.update(transform(results))
        return results['keypoint']
