"""The protocol of all transforms: a dict of batched tensors in, a new dict out."""
from __future__ import annotations

import functools
import math
from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

import torch
from mmcv.transforms import BaseTransform
from torch import Tensor

from mmactclr.errors import ConfigError, DataError
from mmactclr.registry import SCOPE, TRANSFORMS

from .random import SampleRandom


class SkeletonTransform(BaseTransform):
    """Base of all transforms of batched skeleton motion.

    The dict holds ``keypoint`` (N, M, T, V, C) float32, ``mask`` (N, M) bool telling which persons
    are there, ``layout`` (Layout) and, for what is random, ``random`` (SampleRandom; drawn from
    torch's global generator where missing). ``partner`` (N,) int64 names another sequence of the
    batch for each, ``stream`` is 'joint' (if missing), 'motion' or 'bone'. Everything may be on any
    device. Neither the dict nor its tensors are changed in place, and absent persons are exactly
    zero afterwards. The two persons of a sample share what is drawn for it.

    A subclass writes :meth:`apply`; it may set ``joints_only`` where it makes no sense on
    the motion or bone stream, and ``keeps_zero`` where a person that is all zero stays so, which
    saves emptying the absent persons once more.
    """

    joints_only = False
    keeps_zero = False

    @abstractmethod
    def apply(self, keypoint: Tensor, results: dict[str, Any]) -> Tensor:
        """Transform ``keypoint`` (N, M, T, V, C); ``results`` is a copy that may take new keys."""

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Check the dict, apply the transform in full precision and empty the absent persons.

        Raises:
            ConfigError: A key that this transform needs is missing, or it comes after ToStream
                though it works on joints only.
            DataError: ``keypoint``, ``mask`` and ``layout`` do not fit together.
        """
        results = dict(results)
        self._check(results)
        keypoint = results['keypoint']
        # callers may sit inside an autocast context, which turns rotations into bfloat16
        with torch.autocast(keypoint.device.type, enabled=False):
            out = self.apply(keypoint, results)
            results['keypoint'] = out if self.keeps_zero else out * results['mask'].to(out)[:, :, None, None, None]
        return results

    def _check(self, results: dict[str, Any]) -> None:
        name = type(self).__name__
        for key in ('keypoint', 'mask', 'layout'):
            if key not in results:
                raise ConfigError(f"{name}: '{key}' is missing from the dict, found "
                                  f'{sorted(results)}; pass keypoint, mask and layout')
        keypoint, mask, layout = results['keypoint'], results['mask'], results['layout']
        if keypoint.dim() != 5 or not keypoint.is_floating_point():
            raise DataError(f"{name}: 'keypoint' is {keypoint.dtype} of shape "
                            f'{tuple(keypoint.shape)}, expected float32 (N, M, T, V, C)')
        if tuple(mask.shape) != tuple(keypoint.shape[:2]):
            raise DataError(f"{name}: 'mask' has shape {tuple(mask.shape)}, expected (N, M) = "
                            f'{tuple(keypoint.shape[:2])} as in keypoint')
        if keypoint.shape[3] != layout.num_joints:
            raise DataError(f"{name}: 'keypoint' has {keypoint.shape[3]} joints, layout "
                            f"'{layout.name}' has {layout.num_joints}; name the data's own layout")
        stream = results.get('stream', 'joint')
        if self.joints_only and stream != 'joint':
            raise ConfigError(f"{name} works on joints, found the '{stream}' stream; put it before "
                              'ToStream in the pipeline')

    @staticmethod
    def random(results: dict[str, Any]) -> SampleRandom:
        """The generators of the dict, or new ones keyed by torch's global generator."""
        if results.get('random') is None:
            results['random'] = SampleRandom.from_global(len(results['keypoint']))
        return results['random']

    def partner(self, results: dict[str, Any]) -> Tensor:
        """Position in the batch of each sample's partner, (N,) int64 on the data's device.

        Raises:
            ConfigError: ``partner`` is missing.
        """
        if results.get('partner') is None:
            raise ConfigError(f"{type(self).__name__}: 'partner' is missing from the dict; pass "
                              'the position of another sequence of the batch for each, for '
                              'example random_partner(n)')
        return results['partner'].to(results['keypoint'].device)

    def __repr__(self) -> str:
        args = ', '.join(f'{k}={v!r}' for k, v in vars(self).items() if not k.startswith('_'))
        return f'{type(self).__name__}({args})'


def build_transforms(pipeline: Sequence[dict | BaseTransform]) -> list[BaseTransform]:
    """Build a pipeline: configs by the registered name, ready transforms as they are.

    Raises:
        ConfigError: If it is no list, or an entry is neither of the two.
    """
    for step in [pipeline] if isinstance(pipeline, (str, dict)) else pipeline:
        if isinstance(pipeline, (str, dict)) or not (isinstance(step, dict) or callable(step)):
            raise ConfigError(f'a pipeline of transforms holds {str(step)[:80]!r}, expected a list of dict(type=...)')
    # a bare name means ours, whatever project the caller's default scope belongs to
    return [TRANSFORMS.build({'_scope_': SCOPE, **step}) if isinstance(step, dict) else step
            for step in pipeline]


def run_transforms(transforms: Sequence[BaseTransform], results: dict[str, Any]) -> dict[str, Any]:
    """Apply built transforms one after the other."""
    for transform in transforms:
        results = transform(results)
    return results


def per_sample(values: Tensor, like: Tensor) -> Tensor:
    """Bring (N, ...) values to the device and dtype of ``like``; bool stays bool."""
    return values.to(like.device) if values.dtype == torch.bool else values.to(like)


def choose(picked: Tensor, changed: Tensor, kept: Tensor) -> Tensor:
    """``changed`` for the samples where ``picked`` (N,) bool holds, ``kept`` for the others."""
    picked = picked.to(kept.device).view(-1, *(1,) * (kept.dim() - 1))
    return torch.where(picked, changed, kept)


def change_picked(picked: Tensor, kept: Tensor, change: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    """``kept`` with the chosen samples changed, the only ones that are computed.

    Args:
        picked: Which samples to change, (N,) bool on the CPU.
        kept: All samples, (N, ...).
        change: Makes the changed samples (K, ...) from the chosen ones and their positions (K,), on the CPU.
    """
    rows = picked.nonzero().flatten()
    there = rows.to(kept.device)
    return kept.index_copy(0, there, change(kept.index_select(0, there), rows)) if len(rows) else kept


def take_joints(x: Tensor, joints: tuple[int, ...]) -> Tensor:
    """Pick joints: (..., V, C) -> (..., len(joints), C)."""
    *outer, num_joints, channels = x.shape
    # torch copies from the rows of a matrix ten times as fast as from any other shape
    rows = x.reshape(math.prod(outer), num_joints * channels)
    taken = rows.index_select(1, _coordinate_index(joints, channels, x.device))
    return taken.view(*outer, len(joints), channels)


@functools.lru_cache(maxsize=256)
def _coordinate_index(joints: tuple[int, ...], channels: int, device: torch.device) -> Tensor:
    return (torch.tensor(joints)[:, None] * channels + torch.arange(channels)).flatten().to(device)


def spread(factor: Tensor, like: Tensor) -> Tensor:
    """Factors (N, 1, 1, V or 1, C or 1) for every joint and axis of ``like``: whole rows multiply faster."""
    return factor.expand(-1, -1, -1, *like.shape[3:]).contiguous()


@functools.lru_cache(maxsize=256)
def joint_index(joints: tuple[int, ...], device: torch.device) -> Tensor:
    """Joint numbers of a layout as an index tensor, kept so that they are copied once."""
    return torch.tensor(joints, dtype=torch.int64, device=device)
