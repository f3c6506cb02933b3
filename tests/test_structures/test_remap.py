"""Joints found by name in another layout."""
import pytest

from mmactclr.errors import ConfigError
from mmactclr.structures import Layout, get_layout, list_layouts, remap_joints
from mmactclr.structures.joint_names import split_name

LAYOUTS = list_layouts()
#: Maps onto ntu25 that were made by hand (NTU joint -> joint of the set).
BY_HAND = {
    'kinect20_utdmhad': '3 2 1 0 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 1 7 7 11 11',
    'kinect20_nwucla': '0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 2 7 7 11 11',
    'uiprmd22': '0 1 3 4 7 8 9 9 11 12 13 13 14 15 16 17 18 19 20 21 2 9 9 13 13',
}


@pytest.mark.parametrize('name', LAYOUTS)
def test_a_layout_maps_onto_itself_however_its_names_are_spelled(name):
    layout = get_layout(name)
    joints = [split_name(joint) for joint in layout.joints]
    spelled = Layout.from_edges(
        'spelled', [f'{(side or "").title()}{core.title()}' for side, core in joints],
        layout.bones, centre=layout.centre)
    identity = tuple(range(layout.num_joints))
    assert remap_joints(name, name) == remap_joints(name, spelled) == identity
    assert remap_joints(spelled, name) == identity


@pytest.mark.parametrize('src', LAYOUTS)
@pytest.mark.parametrize('dst', LAYOUTS)
def test_mirror_images_map_to_mirror_images(src, dst):
    src, dst = get_layout(src), get_layout(dst)
    joints = remap_joints(src, dst)
    assert len(joints) == dst.num_joints and set(joints) <= set(range(src.num_joints))
    assert [joints[other] for other in dst.flip_index] == [src.flip_index[j] for j in joints]


@pytest.mark.parametrize('src', LAYOUTS)
@pytest.mark.parametrize('dst', LAYOUTS)
def test_limbs_map_to_the_same_limb(src, dst):
    """Shoulder, elbow, wrist, hip, knee and ankle exist everywhere, whatever they are called."""
    src, dst = get_layout(src), get_layout(dst)
    joints = remap_joints(src, dst)
    for part in dst.part_names[1:]:
        assert {joints[joint] for joint in dst.parts[part]} <= set(src.parts[part])
    for key in ('shoulders', 'hips'):
        assert tuple(joints[joint] for joint in getattr(dst, key)) == getattr(src, key)


@pytest.mark.parametrize('src', BY_HAND)
def test_maps_made_by_hand_are_met(src):
    assert remap_joints(src, 'ntu25') == tuple(map(int, BY_HAND[src].split()))


@pytest.mark.parametrize(('src', 'joint', 'expected'), [
    ('bandai21', 'left_shoulder', 'UpperArm_L'),   # 'Shoulder_L' is the collar there
    ('bandai21', 'left_ankle', 'Foot_L'),
    ('bandai21', 'spine_shoulder', 'Neck'),
    ('uiprmd22', 'spine_shoulder', 'chest'),
    ('smpl24', 'spine_shoulder', 'neck'),
    ('hdm31', 'right_knee', 'rhipjoint_@_rfemur'),
    ('hdm31', 'spine_shoulder', 'upperback_@_thorax'),
    ('smpl24', 'spine_mid', 'spine2'),
    ('smpl24', 'right_hand_tip', 'right_hand'),
    ('openpose25', 'spine_base', 'mid_hip'),
    ('openpose18', 'spine_shoulder', 'neck'),
    ('openpose18', 'spine_base', 'neck'),          # no pelvis: the nearest ancestor
    ('mediapipe33', 'left_foot', 'left_foot_index'),
    ('coco17', 'head', 'nose'),
    ('coco17', 'left_thumb', 'left_wrist'),
])
def test_synonyms_and_substitutes_for_ntu25(src, joint, expected):
    src, dst = get_layout(src), get_layout('ntu25')
    assert src.joints[remap_joints(src, dst)[dst.joints.index(joint)]] == expected


@pytest.mark.parametrize('joints', [
    # Usual spellings of BVH files (Mixamo, Unreal) and of pose estimators.
    'Hips Spine Neck Head LeftShoulder LeftArm LeftForeArm LeftHand RightShoulder RightArm '
    'RightForeArm RightHand LeftUpLeg LeftLeg LeftFoot LeftToeBase RightUpLeg RightLeg RightFoot '
    'RightToeBase',
    'pelvis spine chest head clavicle_l upperarm_l lowerarm_l hand_l clavicle_r upperarm_r '
    'lowerarm_r hand_r thigh_l calf_l foot_l toes_l thigh_r calf_r foot_r toes_r',
    'root torso neck head lcollar lshoulder lelbow lwrist rcollar rshoulder relbow rwrist lhip '
    'lknee lankle ltoe rhip rknee rankle rtoe',
])
def test_other_spellings_are_understood(joints):
    edges = [(0, 1), (1, 2), (2, 3), (4, 2), (4, 5), (5, 6), (6, 7), (8, 2), (8, 9), (9, 10),
             (10, 11), (0, 12), (12, 13), (13, 14), (14, 15), (0, 16), (16, 17), (17, 18), (18, 19)]
    src = Layout.from_edges('spelled', joints.split(), edges)
    assert src.shoulders == (5, 9) and src.hips == (12, 16) and src.centre == 2
    assert remap_joints(src, 'ntu25') == (
        0, 1, 2, 3, 5, 6, 7, 7, 9, 10, 11, 11, 12, 13, 14, 15, 16, 17, 18, 19, 2, 7, 7, 11, 11)


def test_nothing_in_common_is_an_error():
    joints = [f'marker{i}' for i in range(6)]
    src = Layout.from_edges('markers', joints, [(0, 1), (1, 2), (1, 3), (0, 4), (0, 5)], centre=1,
                            shoulders=(2, 3), hips=(4, 5), flip_pairs=[(2, 3), (4, 5)])
    with pytest.raises(ConfigError, match="'markers' and 'ntu25' have no joint in common"):
        remap_joints(src, 'ntu25')
