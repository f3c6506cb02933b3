"""The jointed body: conventions of every angle, rigid bones, true mirror images."""
import numpy as np
import pytest

from mmactclr.datasets.synthetic_actions import ACTIONS, SINGLE_LIMB_ACTIONS, Clock
from mmactclr.datasets.synthetic_body import (
    ANGLE_INDEX,
    ANGLES,
    LAYOUT,
    LIMB_ANGLES,
    draw_bones,
    forward_kinematics,
    mirror,
    rotation,
    stand_on_floor,
)

RIGHT_SHOULDER, RIGHT_WRIST, RIGHT_HIP, RIGHT_KNEE, RIGHT_ANKLE, HEAD = 8, 10, 16, 17, 18, 3


def bones(seed=0):
    return draw_bones(np.random.default_rng(seed), .15, .1)


def pose(**degrees):
    angles = np.zeros((1, len(ANGLES)))
    for name, value in degrees.items():
        angles[0, ANGLE_INDEX[name]] = value
    return forward_kinematics(angles, bones())[0]


def direction(joints, start, end):
    vector = joints[end] - joints[start]
    return vector / np.linalg.norm(vector)


def random_angles(seed, frames=7):
    return np.random.default_rng(seed).uniform(-60, 60, (frames, len(ANGLES)))


def clock(seed=0, frames=90):
    rng = np.random.default_rng(seed)
    return Clock(progress=np.linspace(-.2, 1.2, frames).clip(0, 1), repetitions=2.,
                 phase=rng.uniform(0, 6), amplitude=rng.uniform(.7, 1.3),
                 style=rng.uniform(-1, 1, 4))


@pytest.mark.parametrize(('angles', 'start', 'end', 'expected'), [
    ({}, RIGHT_SHOULDER, RIGHT_WRIST, (0, -1, 0)),
    ({'right_shoulder_flex': 90}, RIGHT_SHOULDER, RIGHT_WRIST, (0, 0, -1)),
    ({'right_shoulder_abduct': 90}, RIGHT_SHOULDER, RIGHT_WRIST, (1, 0, 0)),
    ({'left_shoulder_abduct': 90}, 4, 6, (-1, 0, 0)),
    ({'right_elbow_flex': 90}, 9, RIGHT_WRIST, (0, 0, -1)),
    ({'right_hip_flex': 90}, RIGHT_HIP, RIGHT_KNEE, (0, 0, -1)),
    ({'right_knee_flex': 90}, RIGHT_KNEE, RIGHT_ANKLE, (0, 0, 1)),
    ({'root_pitch': 90}, 0, HEAD, (0, 0, -1)),
    ({'spine_side': 90}, 20, HEAD, (-1, 0, 0)),
    ({'root_yaw': 90}, 4, RIGHT_SHOULDER, (0, 0, -1)),
])
def test_angle_conventions(angles, start, end, expected):
    np.testing.assert_allclose(direction(pose(**angles), start, end), expected, atol=1e-9)


def test_rotation_is_the_product_of_three_elementary_turns():
    x, y, z = np.random.default_rng(0).uniform(-3, 3, (3, 5))
    zero = np.zeros(5)
    product = rotation(x, zero, zero) @ rotation(zero, zero, z) @ rotation(zero, y, zero)
    np.testing.assert_allclose(rotation(x, y, z), product, atol=1e-12)
    np.testing.assert_allclose(np.linalg.det(product), 1)


@pytest.mark.parametrize('seed', range(3))
def test_bones_keep_their_length_and_are_equal_on_both_sides(seed):
    position = forward_kinematics(random_angles(seed), bones(seed))
    lengths = {frozenset(bone): np.linalg.norm(position[:, bone[0]] - position[:, bone[1]], axis=-1)
               for bone in LAYOUT.bones}
    for (a, b), length in ((tuple(bone), length) for bone, length in lengths.items()):
        np.testing.assert_allclose(length, length[0], atol=1e-9)
        other = frozenset((LAYOUT.flip_index[a], LAYOUT.flip_index[b]))
        np.testing.assert_allclose(length, lengths[other], atol=1e-9)


def test_build_stays_within_its_ranges():
    nominal = np.linalg.norm(draw_bones(np.random.default_rng(0), 0, 0), axis=-1)
    ratio = np.stack([np.linalg.norm(bones(seed), axis=-1) for seed in range(200)])
    ratio = ratio[:, nominal > 0] / nominal[nominal > 0]
    assert ratio.min() >= .85 * .9 and ratio.max() <= 1.15 * 1.1
    assert ratio.std(0).min() > .05


def test_mirror_image_is_the_pose_of_exchanged_angles():
    angles = random_angles(1)
    exchanged = angles.copy()
    for i, name in enumerate(ANGLES):
        if name.startswith('right_'):
            j = ANGLE_INDEX[name.replace('right_', 'left_')]
            exchanged[:, [i, j]] = angles[:, [j, i]]
        elif name in ('root_yaw', 'root_roll', 'spine_side', 'spine_twist', 'neck_turn'):
            exchanged[:, i] = -angles[:, i]
    np.testing.assert_allclose(mirror(forward_kinematics(angles, bones())),
                               forward_kinematics(exchanged, bones()), atol=1e-9)


def test_lowest_foot_is_on_the_floor():
    lowest = stand_on_floor(forward_kinematics(random_angles(2), bones()))[:, [14, 15, 18, 19], 1]
    np.testing.assert_allclose(lowest.min(1), 0, atol=1e-12)


@pytest.mark.parametrize('action', ACTIONS + sum(SINGLE_LIMB_ACTIONS.values(), ()),
                         ids=lambda action: f'{action.name}-{action.limbs[0]}')
def test_actions_are_smooth_and_drive_only_their_limbs(action):
    allowed = {angle for limb in action.limbs for angle in LIMB_ANGLES[limb]}
    driven = action.drive(clock())
    assert set(driven) <= allowed | set(LIMB_ANGLES['trunk'])
    for degrees in driven.values():
        assert np.abs(np.diff(degrees, 2)).max() < 12
        assert np.ptp(degrees[:5]) < 1e-9 and np.ptp(degrees[-5:]) < 1e-9
    assert max(np.ptp(degrees) for degrees in driven.values()) > 15


@pytest.mark.parametrize(('forwards', 'backwards'), [
    ('raise arm', 'lower arm'), ('sit down', 'stand up')])
def test_pairs_differ_by_the_direction_of_time(forwards, backwards):
    actions = {action.name: action for action in ACTIONS}
    one, other = actions[forwards].drive(clock()), actions[backwards].drive(clock())
    assert one.keys() == other.keys()
    for name in one:
        np.testing.assert_allclose(one[name], other[name][::-1], atol=1e-9)


@pytest.mark.parametrize('name', ['wave', 'circle', 'kick'])
def test_pairs_differ_by_the_side(name):
    def other_side(angle):
        side, _, rest = angle.partition('_')
        return {'right': 'left_', 'left': 'right_'}.get(side, f'{side}_') + rest

    actions = {action.name: action for action in ACTIONS}
    right, left = (actions[f'{name} {side}'].drive(clock()) for side in ('right', 'left'))
    assert {other_side(angle) for angle in right} == set(left) != set(right)
    for angle, degrees in right.items():
        np.testing.assert_array_equal(degrees, left[other_side(angle)])
