"""Properties that every registered layout has, and what is wrong with those that are refused."""
import copy
import json
import pickle

import numpy as np
import pytest
from mmengine.config import Config

from mmactclr.errors import ConfigError
from mmactclr.structures import Layout, get_layout, list_layouts, register_layout
from mmactclr.structures.joint_names import joint_roles, split_name
from mmactclr.structures.layouts import PART_NAMES

BUILTIN = ('bandai21 coco17 h36m17 hdm31 kinect20_nwucla kinect20_utdmhad mediapipe33 ntu25 '
           'openpose18 openpose25 smpl24 uiprmd22').split()
LAYOUTS = list_layouts()
FILES = {'utd_mhad': 'kinect20_utdmhad', 'nw_ucla': 'kinect20_nwucla', 'ui_prmd': 'uiprmd22',
         'bandai_namco2': 'bandai21', 'hdm05_11': 'hdm31'}
#: Eight joints are enough for a body: trunk, two arms and two legs.
JOINTS = 'pelvis chest l_shoulder l_hand r_shoulder r_hand l_hip r_hip'.split()
EDGES = [(0, 1), (1, 2), (2, 3), (4, 1), (5, 4), (0, 6), (0, 7)]


def undirected(pairs) -> set[frozenset[int]]:
    return {frozenset(map(int, pair)) for pair in pairs}


@pytest.fixture(params=LAYOUTS)
def layout(request) -> Layout:
    return get_layout(request.param)


def test_all_documented_layouts_are_registered():
    assert set(BUILTIN) <= set(LAYOUTS)
    assert get_layout('ntu25').centre == 20


def test_bones_form_a_tree_rooted_at_the_centre(layout):
    children = [child for child, _ in layout.bones]
    assert sorted([*children, layout.centre]) == list(range(layout.num_joints))
    for joint in range(layout.num_joints):
        steps = 0
        while joint != layout.centre:
            joint, steps = layout.parents[joint], steps + 1
            assert steps < layout.num_joints
    assert layout.parents[layout.centre] == layout.centre
    assert all(layout.parents[child] == parent for child, parent in layout.bones)


def test_order_puts_parents_first_and_depth_counts_bones(layout):
    place = {joint: i for i, joint in enumerate(layout.order)}
    assert layout.order[0] == layout.centre and layout.depth[layout.centre] == 0
    assert sorted(place) == list(range(layout.num_joints))
    for child, parent in layout.bones:
        assert place[parent] < place[child]
        assert layout.depth[child] == layout.depth[parent] + 1


def test_flip_is_an_involution_that_swaps_sides_in_names(layout):
    for joint, other in enumerate(layout.flip_index):
        assert layout.flip_index[other] == joint
        side, core = split_name(layout.joints[joint])
        mirrored = {'left': 'right', 'right': 'left', None: None}[side]
        assert split_name(layout.joints[other]) == (mirrored, core)
    assert all(split_name(layout.joints[left])[0] == 'left' for left, _ in layout.flip_pairs)


def test_flip_maps_bones_to_bones_and_parts_to_parts(layout):
    flip = layout.flip_index
    assert {(flip[child], flip[parent]) for child, parent in layout.bones} == set(layout.bones)
    swapped = {'trunk': 'trunk', 'right_arm': 'left_arm', 'left_arm': 'right_arm',
               'right_leg': 'left_leg', 'left_leg': 'right_leg'}
    for part, members in layout.parts.items():
        assert {flip[joint] for joint in members} == set(layout.parts[swapped[part]])


def test_parts_split_the_joints_and_limbs_are_on_their_side(layout):
    assert layout.part_names == PART_NAMES
    members = [joint for part in layout.parts.values() for joint in part]
    assert sorted(members) == list(range(layout.num_joints))
    for part, joints in layout.parts.items():
        assert all(layout.part_names[layout.part_of[joint]] == part for joint in joints)
        if part != 'trunk':
            assert {split_name(layout.joints[joint])[0] for joint in joints} == {part.split('_')[0]}
            # A limb is one piece: all but its first joint hang on a joint of the limb.
            assert sum(layout.parents[joint] not in joints for joint in joints) == 1
    assert layout.centre in layout.parts['trunk']


def test_shoulders_and_hips_begin_the_limbs(layout):
    for (left, right), limb in ((layout.shoulders, 'arm'), (layout.hips, 'leg')):
        for joint, part in ((left, f'left_{limb}'), (right, f'right_{limb}')):
            assert joint in layout.parts[part]
            assert layout.parents[joint] not in layout.parts[part]


def test_names_and_edges_alone_give_the_same_layout(layout):
    rng = np.random.default_rng(0)
    edges = [bone[::-1] if rng.random() < 0.5 else bone for bone in rng.permutation(layout.bones)]
    derived = Layout.from_edges(layout.name, layout.joints, edges, origin=layout.origin,
                                centre=layout.joints[layout.centre])
    assert derived == layout


def test_roles_are_unique_so_that_remap_can_tell_joints_apart(layout):
    roles = joint_roles(layout.joints)
    assert len(set(roles)) == len(roles)


def test_round_trips(layout):
    through_json = json.loads(json.dumps(layout.to_dict()))
    assert Layout.from_dict(through_json) == layout
    assert get_layout(through_json) == layout and get_layout(layout) is layout
    assert copy.deepcopy(layout) == layout and pickle.loads(pickle.dumps(layout)) == layout
    assert hash(copy.deepcopy(layout)) == hash(layout)


def test_a_layout_comes_back_from_a_dumped_config(layout, tmp_path):
    """mmengine sorts the keys of what it dumps."""
    Config(dict(layout=layout.to_dict())).dump(tmp_path / 'dumped.py')
    dumped = Config.fromfile(tmp_path / 'dumped.py').layout
    assert list(dumped.parts) == sorted(PART_NAMES)
    again = get_layout(dumped)
    assert again == layout and again.part_names == PART_NAMES and again.part_of == layout.part_of


@pytest.mark.parametrize('file', FILES)
def test_agrees_with_real_data(file, real_data_dir):
    with np.load(real_data_dir / f'{file}.npz', allow_pickle=False) as data:
        joints, edges = data['joint_names'].tolist(), data['edges']
    built_in = get_layout(FILES[file])
    assert [*map(split_name, built_in.joints)] == [*map(split_name, joints)]
    assert undirected(built_in.bones) == undirected(edges)
    derived = Layout.from_edges(file, joints, edges)
    for key in ('flip_pairs', 'parts', 'shoulders', 'hips'):
        assert getattr(derived, key) == getattr(built_in, key), key


@pytest.mark.parametrize('file', FILES)
def test_centre_is_the_trunk_joint_nearest_to_the_middle_of_the_shoulders(file, real_data_dir):
    layout = get_layout(FILES[file])
    with np.load(real_data_dir / f'{file}.npz', allow_pickle=False) as data:
        frames = data['keypoint'][::100, 0].astype(np.float64)
    midline = [joint for joint in layout.parts['trunk'] if layout.flip_index[joint] == joint]
    middle = frames[:, list(layout.shoulders)].mean(axis=1, keepdims=True)
    distance = np.median(np.linalg.norm(frames[:, midline] - middle, axis=-1), axis=0)
    assert midline[distance.argmin()] == layout.centre


def test_from_edges_in_a_config():
    layout = get_layout(dict(name='small', joints=JOINTS, edges=EDGES))
    assert layout.parts == dict(trunk=(0, 1), right_arm=(4, 5), left_arm=(2, 3), right_leg=(7,),
                                left_leg=(6,))
    assert layout.shoulders == (2, 4) and layout.hips == (6, 7) and layout.origin == (1,)


def test_from_edges_takes_what_names_do_not_say():
    joints = [f'marker{i}' for i in range(8)]
    layout = Layout.from_edges(
        'markers', joints, EDGES, centre='marker1', shoulders=('marker2', 'marker4'), hips=(6, 7),
        flip_pairs=[('marker2', 'marker4'), ('marker3', 'marker5'), ('marker6', 'marker7')])
    assert layout.bones == Layout.from_edges('small', JOINTS, EDGES).bones
    assert layout.flip_index == (0, 1, 4, 5, 2, 3, 7, 6)


def renamed(**names: str) -> list[str]:
    return [names.get(joint, joint) for joint in JOINTS]


@pytest.mark.parametrize(('change', 'message'), [
    (dict(edges=[*EDGES, (3, 1)]), 'closes a cycle'),
    (dict(edges=[*EDGES, (1, 0)]), 'closes a cycle'),
    (dict(edges=[*EDGES, (3, 3)]), "'l_hand' - 'l_hand' closes a cycle"),
    (dict(edges=EDGES[:-1]), "from the centre 'chest' to r_hip"),
    (dict(edges=[*EDGES[:-1], (0, 8)]), 'edges holds 8; expected joint indices 0 to 7'),
    (dict(edges=[*EDGES[:-1], (0, -1)]), 'edges holds -1'),
    (dict(edges=[*EDGES[:-1], (0, 7, 1)]), 'edges holds pairs'),
    (dict(edges=[*EDGES[:-1], ('pelvis', 'tail')]), "edges names the joint 'tail'"),
    (dict(centre='middle'), "centre names the joint 'middle', which is not one of pelvis, chest"),
    (dict(centre='l_shoulder'), 'is a shoulder or hip'),
    (dict(joints=renamed(l_hand='chest')), 'several called chest'),
    (dict(joints=renamed(chest='here')), 'pass centre='),
    (dict(joints=renamed(r_shoulder='here')), 'pass shoulders='),
    (dict(joints=renamed(l_hip='here')), 'pass hips='),
    (dict(joints=renamed(l_hip='here'), hips=('here', 'r_hip')), 'pass flip_pairs='),
    (dict(shoulders=('l_shoulder', 'r_hand')), 'pass flip_pairs='),
    (dict(flip_pairs=[(2, 4)]), r'hips \(l_hip, r_hip\) are not among flip_pairs'),
    (dict(flip_pairs=[(2, 4), (6, 7), (4, 5)]), 'twice in flip_pairs'),
])
def test_from_edges_errors_say_what_is_wrong(change, message):
    with pytest.raises(ConfigError, match=message):
        Layout.from_edges(**{'name': 'small', 'joints': JOINTS, 'edges': EDGES, **change})


@pytest.mark.parametrize(('change', 'message'), [
    (dict(bones=[[1, 0], *map(list, EDGES[1:])]), "towards the centre 'chest'"),
    (dict(parts=dict(trunk=[0, 1])), 'parts are trunk, right_arm'),
    (dict(parts=dict(trunk=[0, 1, 2], right_arm=[4, 5], left_arm=[2, 3], right_leg=[7],
                     left_leg=[])), 'l_shoulder, l_hip to none or several'),
    (dict(shoulders=[4, 2]), 'exchange the sides'),
    (dict(colour='red'), "'colour' is unknown"),
    (dict(centre=1.5), 'centre holds 1.5'),
])
def test_from_dict_errors_say_what_is_wrong(change, message):
    values = Layout.from_edges('small', JOINTS, EDGES).to_dict()
    with pytest.raises(ConfigError, match=message):
        Layout.from_dict({**values, **change})


def test_from_dict_names_what_is_missing():
    values = get_layout('ntu25').to_dict()
    del values['hips']
    with pytest.raises(ConfigError, match="'ntu25': 'hips' is missing"):
        Layout.from_dict(values)


def test_registration(monkeypatch):
    monkeypatch.setattr('mmactclr.structures.layouts._LAYOUTS', {'ntu25': get_layout('ntu25')})
    own = register_layout(Layout.from_edges('own', JOINTS, EDGES))
    assert get_layout('own') is own and list_layouts() == ['ntu25', 'own']
    assert register_layout(Layout.from_edges('own', JOINTS, EDGES)) == own  # again: no harm
    with pytest.raises(ConfigError, match="different layout 'own'"):
        register_layout(Layout.from_edges('own', JOINTS, EDGES, centre='pelvis'))


def test_unknown_name_lists_the_known_ones():
    with pytest.raises(ConfigError, match="'ntu52' is not known; did you mean ntu25. There are .*ntu25"):
        get_layout('ntu52')
