"""The three input streams, joint, motion and bone, and the way back from bones to joints.

Source: the recipe of Lin et al., CVPR 2023: motion is x_{t+1} - x_t with the
last frame 0, bone is child - parent. All three come from the same augmented joints.
"""
from __future__ import annotations

import functools
from typing import Any

import torch
from torch import Tensor

from mmactclr.errors import ConfigError
from mmactclr.registry import TRANSFORMS
from mmactclr.structures.layouts import Layout

from .base import SkeletonTransform, take_joints

STREAMS = ('joint', 'motion', 'bone')


def to_motion(x: Tensor) -> Tensor:
    """Displacement to the next frame, last frame 0: (..., T, V, C) -> (..., T, V, C)."""
    out = torch.zeros_like(x)
    torch.sub(x[..., 1:, :, :], x[..., :-1, :, :], out=out[..., :-1, :, :])
    return out


def to_bone(x: Tensor, layout: Layout) -> Tensor:
    """Vector from the parent to each joint, 0 at the centre: (..., V, C) -> (..., V, C)."""
    return x - take_joints(x, tuple(layout.parents))


def from_bone(bones: Tensor, layout: Layout, root: Tensor | None = None) -> Tensor:
    """Integrate bones along the tree, outward from the centre joint; inverse of :func:`to_bone`.

    Args:
        bones: Bone vectors at the position of their child joint, (..., V, C).
        layout: The tree.
        root: Position of the centre joint, (..., C); the origin if None.

    Returns:
        Joint positions, (..., V, C).
    """
    bones = bones.clone()
    bones[..., layout.centre, :] = 0 if root is None else root
    # one product with zeros and ones in place of an addition for every joint
    paths = torch.kron(bone_paths(layout), torch.eye(bones.shape[-1])).to(bones)
    return torch.matmul(bones.flatten(-2), paths).view_as(bones)


@functools.lru_cache(maxsize=64)
def bone_paths(layout: Layout) -> Tensor:
    """Which bones (rows) lead from the centre to each joint (columns), the centre itself included: (V, V) 0 or 1."""
    paths = torch.zeros(layout.num_joints, layout.num_joints)
    for joint in layout.order:
        if joint != layout.centre:
            paths[:, joint] = paths[:, layout.parents[joint]]
        paths[joint, joint] = 1
    return paths


def to_stream(x: Tensor, stream: str, layout: Layout) -> Tensor:
    """Turn joints (N, M, T, V, C) into one of the streams 'joint', 'motion' or 'bone'.

    Raises:
        ConfigError: Unknown stream.
    """
    if stream == 'joint':
        return x
    if stream == 'motion':
        return to_motion(x)
    if stream == 'bone':
        return to_bone(x, layout)
    raise ConfigError(f"stream is '{stream}', expected one of {', '.join(STREAMS)}")


@TRANSFORMS.register_module()
class ToStream(SkeletonTransform):
    """Turn joints into a stream and note in ``stream`` which one it is.

    Args:
        stream: 'joint', 'motion' or 'bone'.

    Raises:
        ConfigError: Unknown stream.
    """

    joints_only = True

    def __init__(self, stream: str = 'joint') -> None:
        if stream not in STREAMS:
            raise ConfigError(f"ToStream: stream is '{stream}', expected one of "
                              f"{', '.join(STREAMS)}")
        self.stream = stream

    def apply(self, keypoint: Tensor, results: dict[str, Any]) -> Tensor:
        """Joints to the stream of this transform."""
        results['stream'] = self.stream
        return to_stream(keypoint, self.stream, results['layout'])
