"""BVH against kinematics written a second time, real motion and Acclaim files of the same motion."""
import functools

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from mmactclr.datasets.converters import BVHConverter
from mmactclr.datasets.converters.acclaim import joint_positions, parse_amc, parse_asf
from mmactclr.datasets.converters.bvh import read_bvh
from mmactclr.datasets.converters.labels import Labels
from mmactclr.datasets.converters.mocap import OTHER_RATE, read_bvh_clip
from mmactclr.errors import ConfigError, DataError
from mmactclr.structures import Layout, get_layout

from .fuzzing import check_reader
from .mocap_files import BONES, BVH_JOINTS, POSITIONS, Body, BVHBody, bvh_text


@pytest.mark.parametrize('moving', [False, True])
@pytest.mark.parametrize('end', ['\n', '\r\n'])
@pytest.mark.parametrize('seed', range(3))
def test_bvh_against_a_second_kinematics(seed, end, moving):
    body = BVHBody(seed, moving=moving)
    joints, edges, positions, fps = read_bvh(body.text(end), 'a.bvh')
    names = [name for name, _ in BVH_JOINTS]
    assert set(joints) == set(names) and fps == 60
    assert np.allclose(positions[:, [joints.index(name) for name in names]], body.positions(), atol=1e-6)
    assert {(joints[a], joints[b]) for a, b in edges} == {(name, parent) for name, parent in BVH_JOINTS if parent}


def test_files_that_pybvh_reads_need_it_for_nothing_else(monkeypatch):
    """Both kinematics give the same; without the library those of any channels are read all the same."""
    content = BVHBody(3).text()
    by_library = read_bvh(content, 'a.bvh')[2]
    monkeypatch.setattr('mmactclr.datasets.converters.bvh._models', lambda joints: False)
    assert np.allclose(read_bvh(content, 'a.bvh')[2], by_library, atol=1e-9)
    monkeypatch.undo()
    monkeypatch.setitem(__import__('sys').modules, 'pybvh', None)
    body = BVHBody(3, moving=True)
    assert read_bvh(body.text(), 'a.bvh')[2].shape == body.positions().shape


def test_a_known_pose():
    """An arm of two bones along x: a quarter turn of the shoulder about z lifts it, one of the elbow about y too."""
    parents = dict(Hips=None, Shoulder='Hips', Elbow='Shoulder', Wrist='Elbow')
    offset = dict(Hips=[0, 0, 0], Shoulder=[0, 5, 0], Elbow=[3, 0, 0], Wrist=[2, 0, 0])
    turning = ['Zrotation', 'Xrotation', 'Yrotation']
    channels = dict(Hips=[*POSITIONS, *turning], Shoulder=turning, Elbow=turning, Wrist=turning)
    values = {name: np.zeros((3, len(names))) for name, names in channels.items()}
    values['Hips'][:, :3] = 0, 10, 0
    values['Shoulder'][1:, 0] = 90
    values['Elbow'][2, 2] = 90
    joints, _, positions, _ = read_bvh(bvh_text(parents, offset, channels, values), 'a.bvh')
    assert joints == tuple(parents)
    # in the last frame the forearm's own x has become the upper arm's -z, which no turn about z changes
    expected = [[[0, 15, 0], [3, 15, 0], [5, 15, 0]], [[0, 15, 0], [0, 18, 0], [0, 20, 0]],
                [[0, 15, 0], [0, 18, 0], [0, 18, -2]]]
    assert np.allclose(positions[:, 1:], expected, atol=1e-9)


@pytest.mark.parametrize('change', [
    lambda text: b'\xef\xbb\xbf' + text, lambda text: text.replace(b'Zrotation', b'zrotation'),
    lambda text: text.replace(b'Neck', 'N\u00e4ck'.encode()), lambda text: text.replace(b'Neck', b'N\xe4ck')])
def test_marks_cases_and_encodings_of_other_programs(change):
    body = BVHBody(1)
    joints, _, positions, _ = read_bvh(change(body.text()), 'a.bvh')
    assert np.allclose(positions[:, joints.index('Head')], body.positions()[:, 3], atol=1e-6)


def test_one_motion_in_both_formats_gives_the_same_places():
    """A joint of a BVH hierarchy lies where an Acclaim bone starts; leaves get a joint where they end."""
    body = Body(4)
    parents, offset, channels, values = {'root': None}, {'root': np.zeros(3)}, {}, {}
    order = ['Zrotation', 'Xrotation', 'Yrotation']
    channels['root'] = [*POSITIONS, *order]
    angles = Rotation.from_euler('xyz', body.root[:, 3:], degrees=True).as_euler('ZXY', degrees=True)
    values['root'] = np.concatenate([body.root[:, :3], angles], axis=1)
    ends = {'root': np.zeros(3), **{name: body.direction[name] * body.length[name] for name in BONES}}
    for name, parent in BONES.items():
        axis, turn = Rotation.from_euler('xyz', body.axis[name], degrees=True), Rotation.identity(body.frames)
        for k, dof in enumerate(body.dofs[name]):
            turn = Rotation.from_euler(dof[1], body.angles[name][:, [k]], degrees=True) * turn
        parents[name], offset[name], channels[name] = parent, ends[parent], order
        values[name] = (axis * turn * axis.inv()).as_euler('ZXY', degrees=True)
        if name not in BONES.values():
            leaf = f'{name}_end'
            parents[leaf], offset[leaf], channels[leaf], values[leaf] = name, ends[name], [], np.zeros((5, 0))
    joints, _, positions, _ = read_bvh(bvh_text(parents, offset, channels, values), 'a.bvh')
    skeleton = parse_asf(body.asf(), 'a.asf')
    found = joint_positions(skeleton, parse_amc(body.amc(), 'a.amc', skeleton))
    bones = list(skeleton.bones)
    for name, parent in parents.items():
        bone = name.removesuffix('_end') if name.endswith('_end') else parent or 'root'
        assert np.allclose(positions[:, joints.index(name)], found[:, bones.index(bone)], atol=1e-4), name


def test_real_motion_of_bandai_namco_comes_back(real_data_dir, tmp_path):
    """Written as its authors do, a root on the floor and six channels a joint, with the joints turned at random."""
    layout = get_layout('bandai21')
    with np.load(real_data_dir / 'bandai_namco2.npz', allow_pickle=False) as stored:
        places = stored['keypoint'][:stored['offsets'][1], 0].astype(np.float64)
    parents: dict[str, str | None] = {'joint_Root': None, 'Hips': 'joint_Root', 'Spine': 'Hips', 'Chest': 'Spine',
                                      'Neck': 'Chest'}
    parents.update({joint: layout.joints[layout.parents[i]] for i, joint in enumerate(layout.joints)
                    if joint not in parents})
    turns, at = {}, {'joint_Root': np.zeros((len(places), 3))}
    at.update({joint: places[:, i] for i, joint in enumerate(layout.joints)})
    values, order = {}, ['Zrotation', 'Xrotation', 'Yrotation']
    for i, (joint, parent) in enumerate(parents.items()):
        turns[joint] = Rotation.random(len(places), rng=np.random.default_rng(i))
        below = turns[parent].inv() if parent else Rotation.identity(len(places))
        shift = below.apply(at[joint] - (at[parent] if parent else 0))
        values[joint] = np.concatenate([shift, (below * turns[joint]).as_euler('ZXY', degrees=True)], axis=1)
    content = bvh_text(parents, {joint: np.ones(3) for joint in parents},
                       {joint: [*POSITIONS, *order] for joint in parents}, values, fps=30)
    (tmp_path / 'raise.bvh').write_bytes(content)
    archive = BVHConverter().convert(tmp_path / 'raise.bvh', tmp_path / 'a', layout='bandai21', unit='cm')
    assert archive.layout.name == 'bandai21' and archive.meta['fps'] == 30
    assert np.allclose(archive.sequence(0)[0], places / 100, atol=1e-5)


def test_a_folder_of_bvh_files(tmp_path):
    for i, kind in enumerate(['walk', 'run', 'walk']):
        (tmp_path / 'raw' / kind).mkdir(parents=True, exist_ok=True)
        (tmp_path / 'raw' / kind / f't\u00e4ke{i}.bvh').write_bytes(BVHBody(i, 8).text())
    (tmp_path / 'raw' / 'run' / 'cut.bvh').write_bytes(BVHBody(0).text()[:-200])
    archive = BVHConverter().convert(tmp_path / 'raw', tmp_path / 'a', unit='cm', fps=30)
    assert archive.classes == ('run', 'walk') and len(archive) == 3 and archive.meta['fps'] == 30
    names = [name for name, _ in BVH_JOINTS]
    order = [names.index(name) for name in archive.layout.joints]
    at = archive.column('name').tolist().index('t\u00e4ke0')
    expected = BVHBody(0, 8).positions()[::2, order] / 100
    assert np.allclose(archive.sequence(at)[0], expected, atol=1e-5)
    assert 'cut.bvh, line' in archive.meta['excluded']['the file is damaged'][0]
    assert archive.layout.parts['left_leg'] and archive.meta['unit'] == 'm'


def test_files_of_another_rate(tmp_path):
    for name, fps in (('first', 120), ('second', 24)):
        (tmp_path / f'{name}.bvh').write_bytes(BVHBody(0, 9).text(fps=fps))
    archive = BVHConverter().convert(tmp_path, tmp_path / 'a')
    assert archive.meta['fps'] == 120 and archive.meta['notes'] == {OTHER_RATE: ['second']}
    archive = BVHConverter().convert(tmp_path, tmp_path / 'b', fps=30)
    assert archive.column('name').tolist() == ['first'] and archive.meta['fps'] == 30
    assert '24 frames per second' in archive.meta['excluded']['the file is damaged'][0]


@pytest.mark.parametrize(('old', 'new', 'message'), [
    ('Frames: 6', 'Frames: 7', 'but 6 lines of motion follow'), ('Frames: 6', 'Frames: 99999999999999999999', 'Frames'),
    ('Frame Time: 0.0', 'Frame Time: -0.0', 'seconds of a frame'), ('MOTION', 'NOTION', 'a line of a hierarchy'),
    ('CHANNELS 3', 'CHANNELS 4', 'CHANNELS'), ('JOINT Neck', 'JOINT Spine', "name 'Spine'"),
    ('OFFSET', 'OFFSET x', 'OFFSET'),
    ('ROOT', 'JOINT', 'one ROOT'),
    ('OFFSET 0 1 0', 'CHANNELS 1 Xrotation', 'none of an End Site'),
    ('CHANNELS 3', 'OFFSET 0 0 0\nCHANNELS 3', 'OFFSET once'), ('\t\tOFFSET', '\t\tHIERARCHY', 'has no OFFSET')])
def test_wrong_hierarchies_are_named(old, new, message):
    text = BVHBody().text().decode()
    assert old in text
    with pytest.raises(DataError, match=f'a.bvh, line .*{message}'):
        read_bvh(text.replace(old, new, 1).encode(), 'a.bvh')


def test_numbers_beyond_float64_are_refused():
    body = BVHBody(0, moving=True)
    body.offset = {name: np.full(3, 1.7e308) for name in body.offset}
    with pytest.raises(DataError, match='a.bvh, line .*finite'):
        read_bvh(body.text(), 'a.bvh')


def test_fuzzed_bvh():
    joints, edges, *_ = read_bvh(BVHBody().text(), 'a.bvh')
    layout = Layout.from_edges('body', joints, edges, centre='Neck')
    read = functools.partial(read_bvh_clip, layout=layout, labels=Labels([]), scale=1., fps=None, stated=60.)
    check_reader(read, 'a.bvh', BVHBody(0, 3).text(), 1000)
    check_reader(read, 'a.bvh', BVHBody(0, 3, moving=True).text(), 1000)


def test_a_missing_library_says_what_to_install(monkeypatch):
    monkeypatch.setitem(__import__('sys').modules, 'pybvh', None)
    with pytest.raises(ConfigError, match='pip install pybvh'):
        read_bvh(BVHBody().text(), 'a.bvh')
