"""A jointed body of 25 joints: bones of a subject, joint angles in, joint positions out.

The body's own frame has x to its right, y up and z to its back, in metres; a body of yaw 0 looks
along -z, at the camera, and its shoulders lie along +x, as the preparation leaves them.
"""
from __future__ import annotations

import numpy as np

from mmactclr.structures.layouts import get_layout

LAYOUT = get_layout('ntu25')
PELVIS, CHEST, SPINE, NECK, FEET = 0, 20, 1, 2, (14, 15, 18, 19)

_TRUNK = {0: (0, 0, 0), 1: (0, .29, 0), 20: (0, .51, 0), 2: (0, .58, 0), 3: (0, .74, 0)}
_RIGHT = {8: (.17, .49, 0), 9: (.17, .21, 0), 10: (.17, -.04, 0), 11: (.17, -.12, 0),
          24: (.17, -.14, -.05), 23: (.17, -.20, 0),
          16: (.09, -.04, 0), 17: (.09, -.46, 0), 18: (.09, -.87, 0), 19: (.09, -.92, -.13)}

_TRUNK_ANGLES = ('root_yaw', 'root_pitch', 'root_roll', 'spine_flex', 'spine_side', 'spine_twist',
                 'neck_flex', 'neck_turn')
_ARM_ANGLES = ('shoulder_flex', 'shoulder_abduct', 'shoulder_twist', 'elbow_flex', 'wrist_flex')
_LEG_ANGLES = ('hip_flex', 'hip_abduct', 'hip_twist', 'knee_flex', 'ankle_flex')
LIMB_ANGLES = {
    'trunk': _TRUNK_ANGLES,
    **{f'{side}_{limb}': tuple(f'{side}_{angle}' for angle in angles)
       for limb, angles in (('arm', _ARM_ANGLES), ('leg', _LEG_ANGLES))
       for side in ('right', 'left')}}
ANGLES = tuple(angle for angles in LIMB_ANGLES.values() for angle in angles)
ANGLE_INDEX = {angle: i for i, angle in enumerate(ANGLES)}


def _rest_pose() -> np.ndarray:
    pose = np.zeros((LAYOUT.num_joints, 3))
    for joint, place in {**_TRUNK, **_RIGHT}.items():
        pose[joint] = place
    for left, right in LAYOUT.flip_pairs:
        pose[left] = pose[right] * (-1, 1, 1)
    return pose


def _tree_from_pelvis() -> tuple[tuple[int, int], ...]:
    """The layout's bones as (child, parent), hung up at the pelvis and ordered outwards."""
    found, tree = [PELVIS], []
    for parent in found:
        for bone in LAYOUT.bones:
            if parent in bone:
                child = bone[0] if bone[1] == parent else bone[1]
                if child not in found:
                    found.append(child)
                    tree.append((child, parent))
    return tuple(tree)


REST_POSE = _rest_pose()
TREE = _tree_from_pelvis()


def draw_bones(rng: np.random.Generator, height: float, proportion: float) -> np.ndarray:
    """Draw the bones of one subject.

    Args:
        rng: Source of randomness.
        height: Largest relative deviation of the whole body.
        proportion: Largest relative deviation of trunk, arms, legs, shoulder and hip width, each.

    Returns:
        Vectors (25, 3) from the parent to each joint in the rest pose, metres, equal on both sides.
    """
    scale = np.ones((LAYOUT.num_joints, 1))
    trunk, arm, leg, shoulders, hips = 1 + rng.uniform(-proportion, proportion, 5)
    for part, factor in zip(LAYOUT.parts, (trunk, arm, arm, leg, leg), strict=True):
        scale[list(LAYOUT.parts[part])] = factor
    scale[list(LAYOUT.shoulders)] = shoulders
    scale[list(LAYOUT.hips)] = hips
    offsets = np.zeros_like(REST_POSE)
    for child, parent in TREE:
        offsets[child] = REST_POSE[child] - REST_POSE[parent]
    return offsets * scale * (1 + rng.uniform(-height, height))


def rotation(x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
    """Rotation matrices Rx(x) Rz(z) Ry(y) of angles (T,) in radians, shape (T, 3, 3)."""
    cx, sx, cy, sy, cz, sz = (f(a) for a in (x, y, z) for f in (np.cos, np.sin))
    matrix = np.array([
        [cz * cy, -sz, cz * sy],
        [cx * sz * cy + sx * sy, cx * cz, cx * sz * sy - sx * cy],
        [sx * sz * cy - cx * sy, sx * cz, sx * sz * sy + cx * cy]])
    return matrix.transpose(2, 0, 1)


def forward_kinematics(angles: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """Joint positions of a body, all frames at once.

    Args:
        angles: (T, A) degrees, columns as in ``ANGLES``; all zero is the rest pose, arms hanging.
        offsets: (25, 3) bones in metres as ``draw_bones`` returns them.

    Returns:
        Positions (T, 25, 3), metres, pelvis at the origin.
    """
    radians = np.deg2rad(angles)
    zero = np.zeros(len(angles))

    def angle(name: str) -> np.ndarray:
        return radians[:, ANGLE_INDEX[name]]

    half_spine = rotation(-angle('spine_flex') / 2, angle('spine_twist') / 2,
                          angle('spine_side') / 2)
    local = {
        PELVIS: rotation(zero, angle('root_yaw'), zero)
        @ rotation(-angle('root_pitch'), zero, angle('root_roll')),
        SPINE: half_spine, CHEST: half_spine,
        NECK: rotation(-angle('neck_flex'), angle('neck_turn'), zero)}
    for side, sign, arm, leg in (('right', 1, 8, 16), ('left', -1, 4, 12)):
        for joint, name in ((arm, f'{side}_shoulder'), (leg, f'{side}_hip')):
            local[joint] = rotation(angle(f'{name}_flex'), sign * angle(f'{name}_twist'),
                                    sign * angle(f'{name}_abduct'))
        for joint, name, sense in ((arm + 1, 'elbow', 1), (arm + 2, 'wrist', 1),
                                   (leg + 1, 'knee', -1), (leg + 2, 'ankle', 1)):
            local[joint] = rotation(sense * angle(f'{side}_{name}_flex'), zero, zero)

    frame = {PELVIS: local[PELVIS]}
    position = np.zeros((len(angles), LAYOUT.num_joints, 3))
    for child, parent in TREE:
        position[:, child] = position[:, parent] + frame[parent] @ offsets[child]
        frame[child] = frame[parent] @ local[child] if child in local else frame[parent]
    return position


def stand_on_floor(position: np.ndarray) -> np.ndarray:
    """Lift or lower every frame of (T, V, 3) so that the lowest foot is at height 0."""
    return position - np.array([0, 1, 0]) * position[:, FEET, 1].min(1)[:, None, None]


def mirror(keypoint: np.ndarray) -> np.ndarray:
    """Mirror image of (..., 25, 3): x negated, left and right joints exchanged."""
    return (keypoint * np.array([-1, 1, 1], keypoint.dtype))[..., list(LAYOUT.flip_index), :]
