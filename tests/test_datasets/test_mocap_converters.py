"""Motion capture against kinematics written a second time (scipy's rotations, joint by joint, frame by frame)."""
import functools
import re
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from mmactclr.datasets.converters import BVHConverter, CMUConverter, HDM05Converter
from mmactclr.datasets.converters.acclaim import Skeleton, joint_positions, parse_amc, parse_asf, rotation
from mmactclr.datasets.converters.bvh import joint_positions as bvh_positions
from mmactclr.datasets.converters.bvh import read_bvh
from mmactclr.datasets.converters.bvh_text import parse_bvh
from mmactclr.datasets.converters.labels import Labels
from mmactclr.datasets.converters.mocap import read_amc_clip, read_bvh_clip, thinned
from mmactclr.datasets.converters.paired_file import PairedFile
from mmactclr.errors import ConfigError, DataError
from mmactclr.structures import Layout, get_layout

from .fuzzing import MemoryFile, check_reader, mutations

# bone -> parent, of the skeletons of CMU and HDM05
BONES = dict(
    lhipjoint='root', lfemur='lhipjoint', ltibia='lfemur', lfoot='ltibia', ltoes='lfoot', rhipjoint='root',
    rfemur='rhipjoint', rtibia='rfemur', rfoot='rtibia', rtoes='rfoot', lowerback='root', upperback='lowerback',
    thorax='upperback', lowerneck='thorax', upperneck='lowerneck', head='upperneck', lclavicle='thorax',
    lhumerus='lclavicle', lradius='lhumerus', lwrist='lradius', lhand='lwrist', lfingers='lhand', lthumb='lwrist',
    rclavicle='thorax', rhumerus='rclavicle', rradius='rhumerus', rwrist='rradius', rhand='rwrist', rfingers='rhand',
    rthumb='rwrist')
DOFS = {'lhipjoint': '', 'rhipjoint': '', 'ltibia': 'rx', 'rtibia': 'rx', 'lfoot': 'rx rz', 'lradius': 'rx',
        'lwrist': 'ry', 'lclavicle': 'ry rz', 'lhumerus': 'rz ry rx'}


class Body:
    """A random skeleton and motion of it."""

    def __init__(self, seed: int = 0, frames: int = 5) -> None:
        rng = np.random.default_rng(seed)
        self.direction = {name: (lambda v: v / np.linalg.norm(v))(rng.normal(size=3)).round(6) for name in BONES}
        self.length = {name: round(rng.uniform(1, 8), 4) for name in BONES}
        self.axis = {name: rng.uniform(-90, 90, 3).round(3) for name in BONES}
        self.dofs = {name: DOFS.get(name, 'rx ry rz').split() for name in BONES}
        self.frames = frames
        self.root = np.column_stack([rng.normal(0, 10, (frames, 3)), rng.uniform(-180, 180, (frames, 3))]).round(4)
        self.angles = {name: rng.uniform(-90, 90, (frames, len(dofs))).round(4) for name, dofs in self.dofs.items()}

    def asf(self) -> bytes:
        lines = ['# made up', ':version 1.10', ':name made_up', ':units', '  mass 1.0', '  length 0.45', '  angle deg',
                 ':documentation', '   none at all', ':root', '   order TX TY TZ RX RY RZ', '   axis XYZ',
                 '   position 0 0 0', '   orientation 0 0 0', ':bonedata']
        for i, name in enumerate(BONES):
            lines += ['  begin', f'     id {i + 1}', f'     name {name}',
                      f'     direction {join(self.direction[name])}', f'     length {self.length[name]}',
                      f'     axis {join(self.axis[name])}  XYZ']
            if self.dofs[name]:
                lines += [f'    dof {" ".join(self.dofs[name])}', '    limits (-160.0 20.0)', '           (-70.0 70.0)']
            lines.append('  end')
        lines += [':hierarchy', '  begin']
        for parent in dict.fromkeys(BONES.values()):
            lines.append(f'    {parent} ' + ' '.join(name for name, above in BONES.items() if above == parent))
        return ('\r\n'.join([*lines, '  end']) + '\r\n').encode()

    def amc(self) -> bytes:
        lines = ['#!OML:ASF', ':FULLY-SPECIFIED', ':DEGREES']
        for t in range(self.frames):
            lines += [str(t + 1), f'root {join(self.root[t])}']
            lines += [f'{name} {join(self.angles[name][t])}' for name in BONES if self.dofs[name]]
        return '\n'.join(lines).encode()

    def positions(self, scale: float = 1.) -> np.ndarray:
        """(T, 31, 3), joint by joint."""
        found = np.zeros((self.frames, 1 + len(BONES), 3))
        for t in range(self.frames):
            turns = {'root': Rotation.from_euler('xyz', self.root[t, 3:], degrees=True)}
            places = {'root': self.root[t, :3]}
            for name, parent in BONES.items():
                own = Rotation.from_euler('xyz', self.axis[name], degrees=True)
                local = Rotation.identity()
                for dof, angle in zip(self.dofs[name], self.angles[name][t], strict=True):
                    local = Rotation.from_euler(dof[1], angle, degrees=True) * local
                turns[name] = turns[parent] * own * local * own.inv()
                places[name] = places[parent] + turns[name].apply(self.direction[name] * self.length[name])
            found[t] = list(places.values())
        return found * scale


def join(values) -> str:
    return ' '.join(repr(float(value)) for value in values)


METRES = .0254 / .45


def joint_order(skeleton: Skeleton) -> list[int]:
    """Where the joints of a skeleton are in :meth:`Body.positions`."""
    written = ['root', *(f'{parent}_@_{name}' for name, parent in BONES.items())]
    return [written.index(joint) for joint in skeleton.joints]


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
    (clip,) = read_amc_clip(acclaim_file(body), get_layout('hdm31'), Labels([]), {}, None)
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


BVH_JOINTS = [
    ('Hips', None), ('Spine', 'Hips'), ('Neck', 'Spine'), ('Head', 'Neck'), ('LeftShoulder', 'Spine'),
    ('LeftElbow', 'LeftShoulder'), ('LeftWrist', 'LeftElbow'), ('RightShoulder', 'Spine'),
    ('RightElbow', 'RightShoulder'), ('RightWrist', 'RightElbow'), ('LeftHip', 'Hips'), ('LeftKnee', 'LeftHip'),
    ('LeftAnkle', 'LeftKnee'), ('RightHip', 'Hips'), ('RightKnee', 'RightHip'), ('RightAnkle', 'RightKnee')]
ORDERS = ['ZXY', 'XYZ', 'ZYX', 'YXZ']


class BVHBody:
    """A random hierarchy and motion of it."""

    def __init__(self, seed: int = 0, frames: int = 6) -> None:
        rng = np.random.default_rng(seed)
        self.offset = {name: rng.uniform(-20, 20, 3).round(4) for name, _ in BVH_JOINTS}
        self.order = {name: ORDERS[int(rng.integers(4))] for name, _ in BVH_JOINTS}
        self.root = rng.normal(0, 30, (frames, 3)).round(4)
        self.angles = {name: rng.uniform(-90, 90, (frames, 3)).round(4) for name, _ in BVH_JOINTS}
        # where a joint is from its parent in files that say it frame by frame: its offset, but for hips that shift
        self.steps = {name: np.tile(self.offset[name], (frames, 1)) for name, _ in BVH_JOINTS}
        self.steps['Spine'] = rng.normal(0, 9, (frames, 3)).round(4)
        self.frames = frames

    def text(self, end: str = '\n', fps: float = 60, six: bool = False) -> bytes:
        """With ``six`` channels for every joint, as Bandai-Namco has them; positions come before angles."""
        lines, values = ['HIERARCHY'], [[] for _ in range(self.frames)]

        def write(name: str, depth: int) -> None:
            pad = '\t' * depth
            lines.extend([f'{pad}{"JOINT" if depth else "ROOT"} {name}', f'{pad}{{',
                          f'{pad}\tOFFSET {join(self.offset[name])}'])
            channels = [f'{axis}rotation' for axis in self.order[name]]
            if not depth or six:
                channels = ['Xposition', 'Yposition', 'Zposition', *channels]
            lines.append(f'{pad}\tCHANNELS {len(channels)} {" ".join(channels)}')
            for t in range(self.frames):
                moved = self.root[t] if not depth else self.steps[name][t] if six else ()
                values[t] += [*moved, *self.angles[name][t]]
            children = [child for child, parent in BVH_JOINTS if parent == name]
            for child in children:
                write(child, depth + 1)
            if not children:
                lines.extend([f'{pad}\tEnd Site', f'{pad}\t{{', f'{pad}\t\tOFFSET 0 1 0', f'{pad}\t}}'])
            lines.append(f'{pad}}}')

        write('Hips', 0)
        lines += ['MOTION', f'Frames: {self.frames}', f'Frame Time: {1 / fps:.6f}', *(join(row) for row in values)]
        return (end.join(lines) + end).encode()

    def positions(self, six: bool = False) -> np.ndarray:
        found = np.zeros((self.frames, len(BVH_JOINTS), 3))
        for t in range(self.frames):
            turns, places = {}, {}
            for name, parent in BVH_JOINTS:
                # channels turn about the axes of the joint itself, the first channel first
                own = Rotation.from_euler(self.order[name], self.angles[name][t], degrees=True)
                if parent is None:
                    # the offset of the root and its position channels: the channels say where it is
                    turns[name], places[name] = own, self.root[t]
                else:
                    step = self.steps[name][t] if six else self.offset[name]
                    places[name] = places[parent] + turns[parent].apply(step)
                    turns[name] = turns[parent] * own
            found[t] = [places[name] for name, _ in BVH_JOINTS]
        return found


@pytest.mark.parametrize('end', ['\n', '\r\n'])
@pytest.mark.parametrize('seed', range(3))
def test_bvh_against_a_second_kinematics(seed, end):
    body = BVHBody(seed)
    joints, edges, positions, fps = read_bvh(body.text(end), 'a.bvh')
    names = [name for name, _ in BVH_JOINTS]
    assert set(joints) == set(names) and fps == pytest.approx(60, rel=1e-3)
    found = positions[:, [joints.index(name) for name in names]]
    # the position channels of the root say where it is, whatever its offset
    assert np.allclose(found, body.positions(), atol=1e-6)
    assert {(joints[a], joints[b]) for a, b in edges} == {(name, parent) for name, parent in BVH_JOINTS if parent}


def test_the_same_motion_as_bvh_and_as_amc():
    body = Body(5)
    body.axis = {name: np.zeros(3) for name in BONES}
    body.dofs = {name: ['rx', 'ry', 'rz'] for name in BONES}
    body.angles = {name: np.random.default_rng(6).uniform(-90, 90, (body.frames, 3)).round(4) for name in BONES}
    skeleton = parse_asf(body.asf(), 'a.asf')
    places = joint_positions(skeleton, parse_amc(body.amc(), 'a.amc', skeleton))
    by_bone = dict(zip(skeleton.bones, places.swapaxes(0, 1), strict=True))
    lines, frames = ['HIERARCHY'], [[] for _ in range(body.frames)]

    def write(bone: str) -> None:
        # a joint of a BVH is where a bone starts, and turns it; x first about fixed axes is z first about turning ones
        above = BONES.get(bone)
        offset = body.direction[above] * body.length[above] if above in BONES else np.zeros(3)
        lines.extend([f'{"JOINT" if above else "ROOT"} {bone}', '{', f'OFFSET {join(offset)}'])
        channels = 'Zrotation Yrotation Xrotation'
        lines.append(f'CHANNELS 3 {channels}' if above else f'CHANNELS 6 Xposition Yposition Zposition {channels}')
        for t in range(body.frames):
            angles = body.angles[bone][t] if above else body.root[t, 3:]
            frames[t] += [*(() if above else body.root[t, :3]), *angles[::-1]]
        for child, parent in BONES.items():
            if parent == bone:
                write(child)
        if bone not in BONES.values():
            lines.extend(['End Site', '{', f'OFFSET {join(body.direction[bone] * body.length[bone])}', '}'])
        lines.append('}')

    write('root')
    text = '\n'.join([*lines, 'MOTION', f'Frames: {body.frames}', 'Frame Time: 0.01', *(join(row) for row in frames)])
    joints, _, positions, _ = read_bvh(text.encode(), 'a.bvh')
    assert len(joints) == 31
    for joint, place in zip(joints, positions.swapaxes(0, 1), strict=True):
        assert np.allclose(place, by_bone[BONES.get(joint, 'root')], atol=1e-6)


@pytest.mark.parametrize('seed', range(3))
def test_positions_of_all_joints(seed):
    body = BVHBody(seed)
    joints, edges, positions, fps = read_bvh(body.text(six=True), 'a.bvh')
    found = positions[:, [joints.index(name) for name, _ in BVH_JOINTS]]
    assert np.allclose(found, body.positions(six=True), atol=1e-9)
    assert not np.allclose(body.positions(six=True), body.positions(), atol=1)


def test_both_kinematics_agree():
    motion = parse_bvh(BVHBody(4, 20).text(), 'a.bvh')
    library = read_bvh(BVHBody(4, 20).text(), 'a.bvh')[2]
    assert np.allclose(bvh_positions(motion), library, atol=1e-6)


def plain_bvh(channels: str, values: str, root: str = 'Xposition Yposition Zposition Zrotation Xrotation Yrotation',
              offset: str = '0 90 0', name: str = 'Knee') -> str:
    """Two joints, one frame."""
    return (f'HIERARCHY\nROOT Hips\n{{\nOFFSET 3 3 3\nCHANNELS {len(root.split())} {root}\nJOINT {name}\n{{\n'
            f'OFFSET {offset}\n{channels}\nEnd Site\n{{\nOFFSET 0 10 0\n}}\n}}\n}}\nMOTION\nFrames: 1\n'
            f'Frame Time: .04\n{values}\n')


@pytest.mark.parametrize(('text', 'expected'), [
    (plain_bvh('CHANNELS 1 Xrotation', '1 2 3 0 90 0 7'), [[1, 2, 3], [1, 2, 93]]),  # y turns to z
    (plain_bvh('CHANNELS 0', '1 2 3 90 0 0'), [[1, 2, 3], [-89, 2, 3]]),  # y turns to -x
    (plain_bvh('', '1 2 3 90 0 0'), [[1, 2, 3], [-89, 2, 3]]),
    (plain_bvh('CHANNELS 3 zrotation xrotation yrotation', '1 2 3 0 90 0 1 2 3'), [[1, 2, 3], [1, 2, 93]]),
    (plain_bvh('CHANNELS 0', '0 90 0', root='Zrotation Xrotation Yrotation'), [[3, 3, 3], [3, 3, 93]]),
    (plain_bvh('CHANNELS 0', '2 1 3 0 0 0', root='Yposition Xposition Zposition Zrotation Xrotation Yrotation'),
     [[1, 2, 3], [1, 92, 3]]),
    (plain_bvh('CHANNELS 0', '0 0 90 1 2 3', root='Zrotation Xrotation Yrotation Xposition Yposition Zposition',
               offset='0 0 90'), [[1, 2, 3], [91, 2, 3]]),  # z turns to x
    (plain_bvh('CHANNELS 3 Xposition Yposition Zposition', '1 2 3 0 0 0 5 6 7'), [[1, 2, 3], [6, 8, 10]]),
    (plain_bvh('CHANNELS 3 Xposition Yposition Zposition', '1 2 3 0 0 0 0 0 0'), [[1, 2, 3], [1, 92, 3]])])
def test_poses_that_are_known(text, expected):
    joints, edges, positions, fps = read_bvh(b'\xef\xbb\xbf' + text.encode(), 'a.bvh')
    assert joints == ('Hips', 'Knee') and edges == [(1, 0)] and fps == pytest.approx(25)
    assert np.allclose(positions[0], expected, atol=1e-9)


def test_names_of_joints_in_other_encodings():
    text = plain_bvh('CHANNELS 3 Zrotation Xrotation Yrotation', '1 2 3 0 90 0 1 2 3', name='Kn\u00f6chel')
    assert read_bvh(text.encode(), 'a.bvh')[0] == ('Hips', 'Kn\u00f6chel')
    joints, _, positions, _ = read_bvh(text.encode('latin-1'), 'a.bvh')
    assert joints == ('Hips', 'Kn\\xf6chel') and np.allclose(positions[0, 1], [1, 2, 93])


def test_the_joints_of_bandai_namco(tmp_path):
    layout = get_layout('bandai21')
    joints = [('joint_Root', None), *((name, 'joint_Root') for name in layout.joints[:1])]
    parents = dict(layout.bones)
    hips = layout.joints.index('Hips')
    # the bones of the layout start at its centre, those of the file at the hips
    above, todo = {}, [hips]
    while todo:
        here = todo.pop()
        near = [c for c, p in layout.bones if p == here] + ([parents[here]] if here in parents else [])
        for joint in near:
            if joint != hips and joint not in above:
                above[joint] = here
                todo.append(joint)
    joints += [(layout.joints[i], layout.joints[above[i]]) for i in above]
    lines, moved = ['HIERARCHY'], []

    def write(name: str) -> None:
        offset = np.random.default_rng(len(moved)).uniform(-20, 20, 3).round(3) if name != 'joint_Root' else np.zeros(3)
        moved.append(offset)
        lines.extend([f'{"JOINT" if len(moved) > 1 else "ROOT"} {name}', '{', f'OFFSET {join(offset)}',
                      'CHANNELS 6 Xposition Yposition Zposition Zrotation Xrotation Yrotation'])
        for child, parent in joints:
            if parent == name:
                write(child)
        lines.append('}')

    write('joint_Root')
    frame = ' '.join(join([*offset, 0, 0, 0]) for offset in moved)
    (tmp_path / 'dataset-2_run_active_001.bvh').write_text(
        '\n'.join([*lines, 'MOTION', 'Frames:\t3', 'Frame Time:\t0.0333333', frame, frame, frame]))
    archive = BVHConverter().convert(tmp_path, tmp_path / 'a', layout='bandai21', unit='cm')
    assert archive.layout.name == 'bandai21' and archive.sequence(0).shape == (1, 3, 21, 3)
    assert archive.meta['fps'] == 30 and np.allclose(archive.sequence(0)[0, 0, 0], moved[1] / 100)


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
    found = archive.sequence(at)[0]
    assert np.allclose(found - found[:, :1], expected - expected[:, :1], atol=1e-5)
    assert 'cut.bvh, line' in archive.meta['excluded']['the file is damaged'][0]
    assert archive.layout.parts['left_leg'] and archive.meta['unit'] == 'm'


def test_files_of_another_rate_are_named(tmp_path):
    for i, fps in enumerate([60, 60, 30, 120]):
        (tmp_path / f'take{i}.bvh').write_bytes(BVHBody(i, 8).text(fps=fps))
    archive = BVHConverter().convert(tmp_path, tmp_path / 'a')
    assert archive.meta['fps'] == 60 and archive.column('name').tolist() == ['take0', 'take1']
    damaged = ' '.join(archive.meta['excluded']['the file is damaged'])
    assert 'take2.bvh' in damaged and '30 frames per second, the other files have 60: pass --fps' in damaged
    archive = BVHConverter().convert(tmp_path, tmp_path / 'b', fps=60)
    assert archive.column('name').tolist() == ['take0', 'take1', 'take3'] and archive.sequence(2).shape[1] == 4
    assert '--fps 60: the recordings have 30' in ' '.join(archive.meta['excluded']['the file is damaged'])
    archive = BVHConverter().convert(tmp_path, tmp_path / 'c', fps=30)
    assert len(archive) == 4 and archive.column('frames').tolist() == [4, 4, 8, 2]


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
    ('\n1\nroot', '\nroot', 'expected a frame number'), (':DEGREES', ':RADIANS', 'angles in radians, .* in degrees')])
def test_wrong_motion_is_named(old, new, message):
    skeleton, text = parse_asf(Body().asf(), 'a.asf'), Body().amc().decode()
    assert old in text
    with pytest.raises(DataError, match=f'a.amc, line .*{message}'):
        parse_amc(text.replace(old, new, 1).encode(), 'a.amc', skeleton)
    with pytest.raises(DataError, match='frame 5 ends without bone'):
        parse_amc(text[:text.rindex('\n')].encode(), 'a.amc', skeleton)


@pytest.mark.parametrize(('old', 'new', 'message'), [
    ('Frames: 6', 'Frames: 7', 'but 6 lines of motion follow'), ('Frames: 6', 'Frames: 99999999999999999999', 'Frames'),
    ('Frame Time: 0.0', 'Frame Time: -0.0', 'seconds of a frame'), ('MOTION', 'NOTION', 'a line of a hierarchy'),
    ('CHANNELS 3', 'CHANNELS 4', 'CHANNELS'), ('JOINT Neck', 'JOINT Spine', "name 'Spine'"),
    ('OFFSET', 'OFFSET x', 'OFFSET'), ('OFFSET', 'OFFSET 1 2 3\n\tOFFSET', 'once a joint'),
    ('End Site', 'CHANNELS 0\nEnd Site', 'CHANNELS once'), ('JOINT Spine', 'CHANNELS 1 Xrotation\nJOINT Spine', 'once'),
    ('ROOT', 'JOINT', 'one ROOT'), ('ROOT Hips', 'ROOT Hips\nJOINT Tail', 'one ROOT'),
    ('End Site', 'End Site\nEnd Site', 'end of a chain')])
def test_wrong_hierarchies_are_named(old, new, message):
    text = BVHBody().text().decode()
    assert old in text
    with pytest.raises(DataError, match=f'a.bvh, line .*{message}'):
        read_bvh(text.replace(old, new, 1).encode(), 'a.bvh')


@pytest.mark.parametrize('six', [False, True])
def test_fuzzed_bvh(six):
    joints, edges, *_ = read_bvh(BVHBody().text(), 'a.bvh')
    layout = Layout.from_edges('body', joints, edges, centre='Neck')
    read = functools.partial(read_bvh_clip, layout=layout, labels=Labels([]), scale=1., fps=None, usual=60)
    check_reader(read, 'a.bvh', BVHBody(0, 3).text(six=six))


def test_sections_after_the_hierarchy_and_radians():
    body = Body(2)
    plain = parse_asf(body.asf(), 'a.asf')
    text = body.asf().decode().replace('angle deg', 'angle rad') + ':skin\nwhatever.obj\n'
    for name, angles in body.axis.items():
        text = re.sub(rf'(name {name}\r\n.*\r\n.*\r\n +axis ).*?  XYZ', rf'\g<1>{join(np.deg2rad(angles))}  XYZ', text)
    skeleton = parse_asf(text.encode(), 'a.asf')
    assert all(np.allclose(bone.axis, plain.bones[name].axis) for name, bone in skeleton.bones.items())
    body.angles = {name: np.deg2rad(angles) for name, angles in body.angles.items()}
    body.root[:, 3:] = np.deg2rad(body.root[:, 3:])
    motion = parse_amc(body.amc().replace(b':DEGREES', b':RADIANS'), 'a.amc', skeleton)
    assert np.allclose(joint_positions(skeleton, motion), Body(2).positions()[:, joint_order(skeleton)])


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


def test_fuzzed_skeletons():
    refused = 0
    for data in mutations(Body().asf(), 2000):
        try:
            assert len(parse_asf(data, 'a.asf').bones) <= 40
        except DataError as error:
            refused += 1
            assert 'a.asf, line ' in str(error) and str(error).isprintable()
    assert refused > 200


def test_a_missing_library_says_what_to_install(monkeypatch):
    monkeypatch.setitem(__import__('sys').modules, 'pybvh', None)
    with pytest.raises(ConfigError, match='pip install pybvh'):
        read_bvh(BVHBody().text(), 'a.bvh')
