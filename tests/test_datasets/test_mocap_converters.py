"""Acclaim motion capture against kinematics written a second time."""
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from mmactclr.datasets.converters import CMUConverter, HDM05Converter
from mmactclr.datasets.converters.acclaim import joint_positions, parse_amc, parse_asf, rotation
from mmactclr.datasets.converters.labels import Labels
from mmactclr.datasets.converters.mocap import OTHER_RATE, read_amc_clip, thinned
from mmactclr.datasets.converters.paired_file import PairedFile
from mmactclr.errors import ConfigError, DataError
from mmactclr.structures import get_layout, stand_ins

from .fuzzing import MemoryFile, mutations
from .mocap_files import BONES, Body

METRES = .0254 / .45


def acclaim_file(body: Body, name: str = 'HDM_bd_kick_001_120') -> PairedFile:
    def memory(suffix: str, content: bytes) -> MemoryFile:
        return MemoryFile(Path(f'{name}{suffix}'), size=len(content), content=content)

    class Pair(PairedFile):
        def read(self) -> bytes:
            return body.amc()

    return Pair(Path(f'{name}.amc'), partner=memory('.asf', body.asf()))


@pytest.mark.parametrize('seed', range(3))
def test_acclaim_against_a_second_kinematics(seed):
    body = Body(seed)
    (clip,) = read_amc_clip(acclaim_file(body), get_layout('hdm31'), Labels([]), {}, None, 120.)
    skeleton = parse_asf(body.asf(), 'a.asf')
    assert skeleton.metres_per_unit == pytest.approx(METRES)
    order = [skeleton.joints.index(name) for name in get_layout('hdm31').joints]
    by_name = {name if parent is None else f'{parent}_@_{name}': i
               for i, (name, parent) in enumerate([('root', None), *BONES.items()])}
    expected = body.positions(METRES)[:, [by_name[skeleton.joints[i]] for i in order]]
    assert clip.keypoint.shape == (1, 5, 31, 3) and np.allclose(clip.keypoint[0], expected, atol=1e-5)


@pytest.mark.parametrize('order', ['xyz', 'zyx', 'yzx', 'zx', 'y', ''])
def test_rotations_against_scipy(order):
    angles = np.random.default_rng(0).uniform(-3, 3, (4, len(order)))
    expected = Rotation.from_euler(order, angles).as_matrix() if order else np.tile(np.eye(3), (4, 1, 1))
    assert np.allclose(rotation(angles, order), expected)


@pytest.mark.parametrize('skeleton_says', [b'angle deg', b'angle rad'])
def test_motion_may_state_its_own_unit_of_angles(skeleton_says):
    """The same motion in degrees and in radians, whatever the skeleton's own angles are in."""
    body = Body(2)
    skeleton = parse_asf(body.asf().replace(b'angle deg', skeleton_says), 'a.asf')
    degrees = joint_positions(skeleton, parse_amc(body.amc(), 'a.amc', skeleton))
    body.root[:, 3:] = np.deg2rad(body.root[:, 3:])
    body.angles = {name: np.deg2rad(angles) for name, angles in body.angles.items()}
    content = body.amc().replace(b':DEGREES', b':RADIANS')
    assert np.allclose(joint_positions(skeleton, parse_amc(content, 'a.amc', skeleton)), degrees, atol=1e-9)
    silent = body.amc().replace(b':DEGREES\n', b'')
    same = np.allclose(joint_positions(skeleton, parse_amc(silent, 'a.amc', skeleton)), degrees, atol=1e-9)
    assert same == (skeleton_says == b'angle rad')


def test_limbs_of_acclaim_bodies_become_those_of_a_kinect():
    """A bone is called after the limb, the joint at its end is meant: the humerus ends at the elbow."""
    source, target = get_layout('hdm31'), get_layout('ntu25')
    found = {target.joints[i]: source.joints[joints[0]] for i, joints in enumerate(stand_ins(source, target))}
    for side in ('left', 'right'):
        for joint, bone in dict(shoulder='clavicle', elbow='humerus', wrist='wrist', hip='hipjoint', knee='femur',
                                ankle='tibia', foot='foot').items():
            assert found[f'{side}_{joint}'].endswith(f'_@_{side[0]}{bone}')


def test_clips_of_another_rate(tmp_path):
    for name in ('HDM_bd_kick_001_120', 'HDM_bd_kick_002_60', 'HDM_bd_kick_003_24'):
        (tmp_path / f'{name}.amc').write_bytes(Body(1, 9).amc())
    (tmp_path / 'HDM_bd.asf').write_bytes(Body(1).asf())
    archive = HDM05Converter().convert(tmp_path, tmp_path / 'a')
    assert archive.meta['fps'] == 120
    assert archive.meta['notes'] == {OTHER_RATE: ['HDM_bd_kick_002_60', 'HDM_bd_kick_003_24']}
    archive = HDM05Converter().convert(tmp_path, tmp_path / 'b', fps=30)
    assert [archive.sequence(i).shape[1] for i in range(2)] == [3, 5] and not archive.meta['notes']
    (left_out,) = archive.meta['excluded']['the file is damaged']
    assert 'HDM_bd_kick_003_24.amc' in left_out and '24 frames per second' in left_out


def test_hdm05_names_say_class_actor_and_rate(tmp_path):
    bodies = {}
    for i, name in enumerate(['HDM_bd_kick_001_120', 'HDM_bd_kick_002_120', 'HDM_mm_walk2StepsLstart_001_120']):
        folder = tmp_path / 'raw' / name.split('_')[2]
        folder.mkdir(parents=True, exist_ok=True)
        actor = '_'.join(name.split('_')[:2])
        bodies[name] = body = Body(i // 2, frames=9 + i)
        body.root += i
        (folder / f'{name}.amc').write_bytes(body.amc())
        (folder / f'{actor}.asf').write_bytes(body.asf())
    (tmp_path / 'raw' / 'kick' / 'notes_about.amc').write_text('x')
    archive = HDM05Converter().convert(tmp_path / 'raw', tmp_path / 'a', test_subjects=['mm'])
    assert archive.classes == ('kick', 'walk2StepsLstart') and archive.layout.name == 'hdm31'
    assert archive.meta['fps'] == 120 and archive.column('subject').tolist() == ['bd', 'bd', 'mm']
    assert archive.column('take').tolist() == [1, 2, 1] and archive.split('xsub', 'test').tolist() == [2]
    assert archive.meta['excluded'] == {'the file has another name than a clip': ['notes_about.amc']}
    slower = HDM05Converter().convert(tmp_path / 'raw', tmp_path / 'b', fps=30)
    assert np.array_equal(slower.sequence(0), archive.sequence(0)[:, ::4]) and slower.meta['fps'] == 30


def test_cmu_subjects_and_labels(tmp_path):
    for subject in ('07', '12'):
        folder = tmp_path / 'subjects' / subject
        folder.mkdir(parents=True)
        body = Body(int(subject))
        (folder / f'{subject}.asf').write_bytes(body.asf())
        for trial in ('01', '02'):
            (folder / f'{subject}_{trial}.amc').write_bytes(body.amc())
    archive = CMUConverter().convert(tmp_path / 'subjects', tmp_path / 'a')
    assert archive.layout.name == 'hdm31'
    assert archive.column('subject').tolist() == ['07', '07', '12', '12'] and archive.classes == ()
    assert np.array_equal(archive.sequence(0), archive.sequence(1))
    assert not np.array_equal(archive.sequence(1), archive.sequence(2))
    (tmp_path / 'labels.csv').write_text('file,label,subject\n07_01,walk,7\n12_02,run,12\n')
    archive = CMUConverter().convert(tmp_path / 'subjects', tmp_path / 'b', labels=tmp_path / 'labels.csv')
    assert archive.classes == ('run', 'walk') and archive.labels.tolist() == [1, 0]
    (tmp_path / 'subjects' / '12' / '12.asf').unlink()
    (tmp_path / 'subjects' / '07' / '07.asf').rename(tmp_path / 'subjects' / '07' / 'other.asf')
    archive = CMUConverter().convert(tmp_path / 'subjects', tmp_path / 'c')
    assert len(archive) == 4  # the only skeleton there is


@pytest.mark.parametrize(('frames', 'rate', 'fps', 'expected'), [
    (9, 120, 30, [0, 4, 8]), (8, 120, 30, [0, 4]), (5, 50, 25, [0, 2, 4]), (4, 30, 25, [0, 1, 2]), (1, 120, 30, [0])])
def test_fewer_frames_per_second(frames, rate, fps, expected):
    assert thinned(frames, rate, fps).tolist() == expected
    assert thinned(frames, rate, None) is None and thinned(frames, rate, rate) is None
    with pytest.raises(ConfigError, match='have'):
        thinned(frames, rate, 2 * rate)


@pytest.mark.parametrize(('old', 'new', 'message'), [
    ('length 0.45', 'length 0', 'positive length'), ('axis XYZ', 'axis XXZ', 'order of axes'),
    ('name lfemur', 'name root', "name 'root'"), ('dof rx ry rz', 'dof rx rq', 'expected some of'),
    ('dof rx ry rz', 'dof rx tx', 'moves or stretches'), (':hierarchy', ':other', 'without a :hierarchy'),
    ('    root lhipjoint', '    root lfemur', 'two others'), ('lfemur ltibia', 'lfemur', 'hangs on nothing'),
    ('    root lhipjoint', '    boot lhipjoint', "no bone 'boot'"), ('direction', 'direction nan', 'a direction')])
def test_wrong_skeletons_are_named(old, new, message):
    text = Body().asf().decode()
    assert old in text
    with pytest.raises(DataError, match=f'a.asf, line .*{message}'):
        parse_asf(text.replace(old, new, 1).encode(), 'a.asf')


@pytest.mark.parametrize(('old', 'new', 'message'), [
    ('\nltibia', '\nltail', "'ltail.*expected the name of a bone"), ('\n2\n', '\n', 'once a frame'),
    ('\nhead ', '\nhead 1 ', '3 numbers, once'), ('\nhead ', '\nhead x', 'finite numbers expected'),
    ('\n1\nroot', '\nroot', 'expected a frame number')])
def test_wrong_motion_is_named(old, new, message):
    skeleton, text = parse_asf(Body().asf(), 'a.asf'), Body().amc().decode()
    assert old in text
    with pytest.raises(DataError, match=f'a.amc, line .*{message}'):
        parse_amc(text.replace(old, new, 1).encode(), 'a.amc', skeleton)
    with pytest.raises(DataError, match='frame 5 ends without bone'):
        parse_amc(text[:text.rindex('\n')].encode(), 'a.amc', skeleton)


def test_fuzzed_motion():
    skeleton, content = parse_asf(Body().asf(), 'a.asf'), Body(0, 3).amc()
    refused = 0
    for data in mutations(content, 2000):
        try:
            assert len(parse_amc(data, 'a.amc', skeleton)['root']) <= 10
        except DataError as error:
            refused += 1
            assert 'a.amc, line ' in str(error) and str(error).isprintable()
    assert refused > 500


def test_sections_after_the_hierarchy_are_ignored():
    text = Body().asf()
    assert parse_asf(text + b':skin\nwhatever.obj\n', 'a.asf').joints == parse_asf(text, 'a.asf').joints


def test_fuzzed_skeletons():
    refused = 0
    for data in mutations(Body().asf(), 2000):
        try:
            assert len(parse_asf(data, 'a.asf').bones) <= 40
        except DataError as error:
            refused += 1
            assert 'a.asf, line ' in str(error) and str(error).isprintable()
    assert refused > 200


