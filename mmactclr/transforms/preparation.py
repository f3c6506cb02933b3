"""From a raw recording to the fixed-size input of the encoder: centre, resize, face the camera.

The order and the formulas are those of the authors' release (Lin et al., CVPR 2023), since public
weights were trained on their output; any other order gives other numbers.
"""
from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from mmcv.transforms import BaseTransform
from torch import Tensor

from mmactclr.errors import ConfigError, DataError
from mmactclr.registry import TRANSFORMS
from mmactclr.structures.layouts import Layout, get_layout

from .base import SkeletonTransform, build_transforms, joint_index, run_transforms
from .temporal import half_pixel_centres, sample_frames

# sequences x frames of one padded chunk: large enough to be fast, small enough for any machine
_CHUNK_FRAMES = 1 << 14


def recorded_length(keypoint: Tensor) -> Tensor:
    """Frames in which joint 0 of body one is not all zero, (N, M, T, V, C) -> (N,) int64.

    Recordings may keep a joint at the origin, so where that gives nothing, the frames in which
    anything at all is not zero are counted; at least one.
    """
    first = (keypoint[:, 0, :, 0] != 0).any(-1).sum(-1)
    if bool((first == 0).any()):
        anything = (keypoint != 0).any(-1).any(-1).any(1).sum(-1)
        first = torch.where(first > 0, first, anything)
    return first.clamp_min(1)


@TRANSFORMS.register_module()
class Centre(SkeletonTransform):
    """Subtract the layout's origin (its centre joint) of the same body in every frame.

    Notes ``length``, the recorded frames of the raw data, unless the dict has it already.
    """

    joints_only = True

    def apply(self, keypoint: Tensor, results: dict[str, Any]) -> Tensor:
        """Centre every body in every frame."""
        if results.get('length') is None:
            # afterwards a joint that is the origin would be zero in every frame
            results['length'] = recorded_length(keypoint)
        layout = results['layout']
        joints = joint_index(tuple(layout.origin) or (layout.centre,), keypoint.device)
        return keypoint - keypoint.index_select(3, joints).mean(3, keepdim=True)


@TRANSFORMS.register_module()
class ResizeFrames(SkeletonTransform):
    """Resize the first ``length`` frames of all bodies to a fixed number, linearly.

    Half-pixel centres, clamped at the edges; a single frame is repeated. Takes ``length`` out of
    the dict, or counts the recorded frames itself where there is none.

    Args:
        num_frames: Frames of the result.
    """

    def __init__(self, num_frames: int = 50) -> None:
        if num_frames < 1:
            raise ConfigError(f'ResizeFrames: num_frames is {num_frames}, expected >= 1')
        self.num_frames = num_frames

    def apply(self, keypoint: Tensor, results: dict[str, Any]) -> Tensor:
        """Resize every sequence."""
        length = results.pop('length', None)
        if length is None:
            length = recorded_length(keypoint)
        length = length.to(keypoint.device)
        return sample_frames(keypoint, half_pixel_centres(self.num_frames, length), length)


def shoulder_angle(keypoint: Tensor, shoulders: tuple[int, int]) -> Tensor:
    """Angle about y that lays the shoulders along x, in every frame of every body.

    With d = right - left shoulder: arccos(d_x / (norm(d_x, d_z) + 1e-4)), negated for the whole
    sequence of a body when the sum of d_z over its frames is >= 0.

    Args:
        keypoint: Centred and resized joints, (N, M, T, V, 3).
        shoulders: Left and right shoulder.

    Returns:
        Angles in radians, (N, M, T).
    """
    left, right = shoulders
    d = keypoint[..., right, :] - keypoint[..., left, :]
    x, z = d[..., 0], d[..., 2]
    theta = torch.arccos(x / (torch.hypot(x, z) + 1e-4))
    return torch.where(z.sum(-1, keepdim=True) >= 0, -theta, theta)


@TRANSFORMS.register_module()
class AlignShoulders(SkeletonTransform):
    """Turn every body about y, frame by frame, so that its shoulders lie along x.

    See :func:`shoulder_angle`. Flat data (C = 2) stay as they are.
    """

    joints_only = True

    def apply(self, keypoint: Tensor, results: dict[str, Any]) -> Tensor:
        """Turn every body."""
        if keypoint.shape[-1] == 2:
            return keypoint
        theta = shoulder_angle(keypoint, results['layout'].shoulders)[..., None]
        cos, sin = theta.cos(), theta.sin()
        x, y, z = keypoint.unbind(-1)
        return torch.stack((cos * x - sin * z, y, sin * x + cos * z), -1)


def default_preparation(num_frames: int = 50) -> list[dict[str, Any]]:
    """Configs of the preparation that public weights expect, in its order."""
    return [dict(type='Centre'), dict(type='ResizeFrames', num_frames=num_frames),
            dict(type='AlignShoulders')]


def _chunks(lengths: Sequence[int]) -> Iterator[list[int]]:
    """Positions of sequences of similar length, so that padding to the longest wastes little."""
    chunk: list[int] = []
    for i in sorted(range(len(lengths)), key=lambda i: lengths[i]):
        if chunk and (len(chunk) + 1) * lengths[i] > _CHUNK_FRAMES:
            yield chunk
            chunk = []
        chunk.append(i)
    if chunk:
        yield chunk


def prepare(sequences: Sequence[np.ndarray], layout: str | dict | Layout, num_frames: int = 50,
            max_persons: int = 2,
            pipeline: Sequence[dict | BaseTransform] | None = None) -> tuple[Tensor, Tensor]:
    """Prepare ragged recordings, in chunks of similar length.

    Args:
        sequences: Recordings (M_i, T_i, V, C) in the archive's unit; of more than ``max_persons``
            bodies the first are kept, missing ones are absent.
        layout: Layout of the joints, or its name.
        num_frames: Frames T of the result.
        max_persons: Persons M of the result.
        pipeline: Transforms or their configs; :func:`default_preparation` if None.

    Returns:
        Prepared joints (N, M, T, V, C) float32 and mask (N, M) bool of the persons that are there.

    Raises:
        DataError: There is nothing to prepare, or a sequence has no frames or other joints than
            the layout.
        ConfigError: The pipeline does not give ``num_frames`` frames.
    """
    layout = get_layout(layout)
    transforms = build_transforms(default_preparation(num_frames) if pipeline is None else pipeline)
    if not len(sequences):
        raise DataError('prepare: found no sequences, expected at least one')
    channels = sequences[0].shape[-1]
    for i, s in enumerate(sequences):
        if s.ndim != 4 or s.shape[2:] != (layout.num_joints, channels) or 0 in s.shape:
            advice = ('leave empty sequences out' if 0 in s.shape else
                      'recordings of other joints are converted first: fit_adapter')
            raise DataError(f'prepare: sequence {i} has shape {s.shape}, expected (M, T, V, C) = '
                            f"(>= 1, >= 1, {layout.num_joints}, {channels}) in layout "
                            f"'{layout.name}'; {advice}")

    shape = (len(sequences), max_persons, num_frames, layout.num_joints, channels)
    keypoint, mask = torch.empty(shape), torch.empty(shape[:2], dtype=torch.bool)
    for chunk in _chunks([s.shape[1] for s in sequences]):
        longest = sequences[chunk[-1]].shape[1]
        raw = np.zeros((len(chunk), max_persons, longest, *shape[3:]), np.float32)
        for row, i in zip(raw, chunk, strict=True):
            bodies = sequences[i][:max_persons]
            row[:len(bodies), :bodies.shape[1]] = bodies
        batch = torch.from_numpy(raw)
        results = run_transforms(transforms, dict(
            keypoint=batch, mask=batch.flatten(2).any(-1), layout=layout, stream='joint'))
        if results['keypoint'].shape[2] != num_frames:
            raise ConfigError(f"prepare: the pipeline gives {results['keypoint'].shape[2]} frames, "
                              f'expected num_frames={num_frames}; end it with ResizeFrames of that '
                              'number')
        keypoint[chunk] = results['keypoint']
        # a body seen only in frames that the resize leaves out is not there either
        mask[chunk] = results['mask'] & results['keypoint'].flatten(2).any(-1)
    return keypoint, mask
