"""Transforms of space: shear, flip, rotation, noise, axis mask, and changes of the bones.

Source: Lin et al., CVPR 2023, supplement (list of transformations); the constants are those of
their public code. Linear maps leave the centre joint of every frame where it is.
"""
from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from mmactclr.errors import ConfigError
from mmactclr.registry import TRANSFORMS
from mmactclr.structures import Layout

from .base import SkeletonTransform, change_picked, per_sample, spread, take_joints
from .streams import bone_paths, from_bone, to_bone

_EPS = 1e-8


def linear_map(x: Tensor, matrix: Tensor, centre: int) -> Tensor:
    """Multiply every joint's position relative to the centre joint with the sample's matrix.

    Args:
        x: Joints, (N, M, T, V, C).
        matrix: One matrix per sample, acting on row vectors from the right, (N, C, C).
        centre: Joint that stays where it is.

    Returns:
        (N, M, T, V, C).
    """
    n, _, _, num_joints, c = x.shape
    # all joints of a frame at once: a joint takes its own position times the matrix, and the rest of the centre's
    rows = x.new_zeros(n, num_joints, c, num_joints, c)
    matrix, same, joint = matrix.to(x), torch.eye(c).to(x), torch.arange(num_joints)
    rows[:, joint, :, joint] = matrix
    rows[:, centre] = (same - matrix)[:, :, None]
    rows[:, centre, :, centre] = same
    return _map_frames(x, rows)


def _map_frames(x: Tensor, rows: Tensor) -> Tensor:
    """Multiply all coordinates of a frame at once with the sample's matrix (N, V, C, V, C): (N, M, T, V, C)."""
    size = x.shape[3] * x.shape[4]
    return torch.bmm(x.reshape(len(x), -1, size), rows.view(len(x), size, size)).view(x.shape)


def shear_matrix(entries: Tensor) -> Tensor:
    """Ones on the diagonal, ``entries`` (N, C·(C-1)) elsewhere, row by row: (N, C, C)."""
    size = 2 if entries.shape[1] == 2 else 3
    matrix = torch.eye(size).repeat(len(entries), 1, 1)
    matrix[:, ~torch.eye(size, dtype=torch.bool)] = entries
    return matrix


def rotation_matrix(angles: Tensor) -> Tensor:
    """Turn about x, then y, then z, for row vectors: angles (N, 3) in radians -> (N, 3, 3)."""
    matrix = torch.eye(3).to(angles).repeat(len(angles), 1, 1)
    for axis in range(3):
        cos, sin = angles[:, axis].cos(), angles[:, axis].sin()
        a, b = (axis + 1) % 3, (axis + 2) % 3
        turn = torch.eye(3).to(angles).repeat(len(angles), 1, 1)
        turn[:, a, a], turn[:, a, b], turn[:, b, a], turn[:, b, b] = cos, sin, -sin, cos
        matrix = matrix @ turn
    return matrix


def mirror(x: Tensor, layout: Layout) -> Tensor:
    """Everybody as seen in a mirror: x negated, left and right joints exchanged.

    Unlike :class:`RandomFlip`, which leaves x as it is, this gives a motion that a person could do.

    Args:
        x: Prepared joints (N, M, T, V, C), or any (..., V, C).
        layout: Their layout.
    """
    mirrored = take_joints(x, tuple(layout.flip_index)).clone()
    mirrored[..., 0] *= -1
    return mirrored


@TRANSFORMS.register_module()
class RandomShear(SkeletonTransform):
    """Shear with random off-diagonal entries; the centre joint stays where it is.

    Args:
        amplitude: Off-diagonal entries are U(-amplitude, amplitude).
    """

    keeps_zero = True

    def __init__(self, amplitude: float = 0.5) -> None:
        self.amplitude = amplitude

    def apply(self, keypoint: Tensor, results: dict[str, Any]) -> Tensor:
        """Shear every sample."""
        c = keypoint.shape[-1]
        entries = self.random(results).uniform(
            c * (c - 1), low=-self.amplitude, high=self.amplitude)
        return linear_map(keypoint, shear_matrix(entries), results['layout'].centre)


@TRANSFORMS.register_module()
class RandomFlip(SkeletonTransform):
    """Exchange left and right joints. As in the authors' code, x is not negated.

    Args:
        p: Probability for each sample.
    """

    keeps_zero = True

    def __init__(self, p: float = 0.5) -> None:
        self.p = p

    def apply(self, keypoint: Tensor, results: dict[str, Any]) -> Tensor:
        """Flip the chosen samples."""
        joints = tuple(results['layout'].flip_index)
        return change_picked(self.random(results).chance(self.p), keypoint, lambda x, _: take_joints(x, joints))


@TRANSFORMS.register_module()
class RandomRotation(SkeletonTransform):
    """Turn about one axis by a large angle and about the two others by small ones.

    Flat data (C = 2) turn in their plane by the large angle.

    Args:
        max_main: The drawn axis turns by U(0, max_main), in degrees.
        max_other: The two others turn by U(0, max_other), in degrees.
    """

    keeps_zero = True

    def __init__(self, max_main: float = 30., max_other: float = 1.) -> None:
        self.max_main, self.max_other = max_main, max_other

    def apply(self, keypoint: Tensor, results: dict[str, Any]) -> Tensor:
        """Turn every sample."""
        random = self.random(results)
        axis, share = random.integers(0, 3), random.uniform(3)
        if keypoint.shape[-1] == 2:
            angles = torch.zeros_like(share)
            angles[:, 2] = share[:, 2] * self.max_main
        else:
            main = torch.arange(3) == axis[:, None]
            angles = share * torch.where(main, self.max_main, self.max_other)
        c = keypoint.shape[-1]
        matrix = rotation_matrix(angles.deg2rad())[:, :c, :c]
        return linear_map(keypoint, matrix, results['layout'].centre)


@TRANSFORMS.register_module()
class GaussianNoise(SkeletonTransform):
    """Add independent normal noise to every coordinate.

    Args:
        std: Standard deviation in the data's unit: 0.01 in the normal set of transformations, 0.05
            in the strong one.
        p: Probability for each sample.
    """

    keeps_zero = True

    def __init__(self, std: float = 0.01, p: float = 0.5) -> None:
        self.std, self.p = std, p

    def apply(self, keypoint: Tensor, results: dict[str, Any]) -> Tensor:
        """Add noise to the chosen samples."""
        random = self.random(results)
        picked = random.chance(self.p)

        there = results['mask']

        def noisy(x: Tensor, rows: Tensor) -> Tensor:
            # the numbers are most of the cost: none for samples that stay as they are
            noise = per_sample(random.only(rows).normal(*x.shape[1:]), x)
            scale = there[rows.to(there.device)].to(x) * self.std
            return torch.addcmul(x, noise, scale[:, :, None, None, None])

        return change_picked(picked, keypoint, noisy)


@TRANSFORMS.register_module()
class AxisMask(SkeletonTransform):
    """Set one coordinate axis to zero in all joints and frames.

    Args:
        p: Probability for each sample.
    """

    keeps_zero = True

    def __init__(self, p: float = 0.5) -> None:
        self.p = p

    def apply(self, keypoint: Tensor, results: dict[str, Any]) -> Tensor:
        """Remove an axis from the chosen samples."""
        random = self.random(results)
        c = keypoint.shape[-1]
        picked, axis = random.chance(self.p), random.integers(0, c)
        keep = ~(picked[:, None] & (axis[:, None] == torch.arange(c)))
        return keypoint * spread(per_sample(keep.float(), keypoint)[:, None, None, None], keypoint)


@TRANSFORMS.register_module()
class JointCorruption(SkeletonTransform):
    """Spoil some joints of a sequence in all of its frames: put them at the origin, or warp them.

    Joint corruption of Thoker et al., ACM MM 2021, as CMD (Mao et al., ECCV 2022) uses it: the chosen joints are zeroed
    or, all alike, multiplied by a matrix with entries U(-1, 1). Prepared coordinates have their origin in the
    body, at the centre joint unless the layout says otherwise.

    Args:
        share: Joints that are spoiled, in units of V: 15 of the 25 of NTU RGB+D.
        zeroed: Probability that the joints are zeroed, for each sample; else they are warped.

    Raises:
        ConfigError: If one of them lies outside [0, 1].
    """

    keeps_zero = True

    def __init__(self, share: float = 0.6, zeroed: float = 0.5) -> None:
        for name, value in dict(share=share, zeroed=zeroed).items():
            if not 0 <= value <= 1:
                raise ConfigError(f'JointCorruption: {name} is {value}, expected a number from 0 to 1')
        self.share, self.zeroed = share, zeroed

    def apply(self, keypoint: Tensor, results: dict[str, Any]) -> Tensor:
        """Spoil as many joints of every sample."""
        random = self.random(results)
        num_joints, c = keypoint.shape[3:]
        matrix = random.uniform(c, c, low=-1., high=1.) * ~random.chance(self.zeroed)[:, None, None]
        chosen = random.permutation(num_joints) < round(self.share * num_joints)
        spoiled = torch.bmm(keypoint.flatten(1, 3), per_sample(matrix, keypoint)).view_as(keypoint)
        return torch.where(per_sample(chosen, keypoint)[:, None, None, :, None], spoiled, keypoint)


class _ScaleBones(SkeletonTransform):
    """Multiply the bones of each sample by constant random factors; the centre joint stays."""

    joints_only = True
    keeps_zero = True

    def __init__(self, low: float, high: float) -> None:
        if not 0 <= low <= high:
            raise ConfigError(f'{type(self).__name__}: bone factors range from {low} to {high}, '
                              'expected 0 <= low <= high')
        self.low, self.high = low, high

    def apply(self, keypoint: Tensor, results: dict[str, Any]) -> Tensor:
        """Scale the bones and integrate from the centre."""
        layout = results['layout']
        factor = self.random(results).uniform(layout.num_joints, low=self.low, high=self.high)
        n, _, _, num_joints, c = keypoint.shape
        bones = to_bone(torch.eye(num_joints)[..., None], layout)[..., 0]
        # the centre stands for itself
        factor[:, layout.centre] = bones[layout.centre, layout.centre] = 1
        # joints to bones, each bone times its factor, bones to joints: one matrix for each sample
        matrix = bones @ (factor[:, :, None] * bone_paths(layout))
        rows, axis = keypoint.new_zeros(n, num_joints, c, num_joints, c), torch.arange(c)
        rows[:, :, axis, :, axis] = matrix.to(keypoint)
        return _map_frames(keypoint, rows)


@TRANSFORMS.register_module()
class BoneRescale(_ScaleBones):
    """Shrink every bone: times U(low, high), one draw per bone and sample, re-integrated.

    Args:
        low: Smallest factor.
        high: Largest factor.
    """

    def __init__(self, low: float = 0., high: float = 0.5) -> None:
        super().__init__(low, high)


@TRANSFORMS.register_module()
class BoneJitter(_ScaleBones):
    """Another person's proportions: every bone times U(1 - scale, 1 + scale), re-integrated.

    Args:
        scale: Largest relative change of a bone's length.
    """

    def __init__(self, scale: float = 0.25) -> None:
        super().__init__(1 - scale, 1 + scale)


@TRANSFORMS.register_module()
class PostureJitter(SkeletonTransform):
    """Another person's posture: every bone leans by a constant offset and keeps its length.

    The offset is normal, with a standard deviation of ``scale`` times the mean length of that
    bone, the same in all frames; the skeleton is re-integrated from its centre joint.

    Args:
        scale: Standard deviation of the offset, in lengths of the bone.
    """

    joints_only = True

    def __init__(self, scale: float = 0.25) -> None:
        self.scale = scale

    def apply(self, keypoint: Tensor, results: dict[str, Any]) -> Tensor:
        """Lean the bones of every sample."""
        layout = results['layout']
        offset = self.random(results).normal(*keypoint.shape[3:]) * self.scale
        bones = to_bone(keypoint, layout)
        length = bones.norm(dim=-1, keepdim=True)
        leaned = bones + per_sample(offset, keypoint)[:, None, None] * length.mean(2, keepdim=True)
        # a bone of no length (a frame in which nobody was seen) has to stay that way
        leaned = leaned * (length / leaned.norm(dim=-1, keepdim=True).clamp_min(_EPS))
        return from_bone(leaned, layout, keypoint[..., layout.centre, :])
