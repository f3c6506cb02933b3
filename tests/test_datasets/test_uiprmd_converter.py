"""UI-PRMD: real coordinates taken apart into local positions and angles come back through the authors' kinematics."""
import zipfile
from pathlib import Path

import numpy as np
import pytest

from mmactclr.datasets.converters import FlatConverter, UIPRMDConverter
from mmactclr.datasets.converters.paired_file import PairedFile
from mmactclr.datasets.converters.source_files import SourceFile
from mmactclr.datasets.converters.table import parse_table
from mmactclr.datasets.converters.uiprmd import absolute_positions, read_execution
from mmactclr.errors import DataError
from mmactclr.structures import get_layout

from .conftest import motion
from .fuzzing import check_reader

# Trunk, left arm, right arm, left leg, right leg: joints, and the joints that they hang on.
CHAINS = (((1, 2, 3, 4, 5), (0, 1, 2, 3, 4)), ((6, 7, 8, 9), (2, 6, 7, 8)), ((10, 11, 12, 13), (2, 10, 11, 12)),
          ((14, 15, 16, 17), (0, 14, 15, 16)), ((18, 19, 20, 21), (0, 18, 19, 20)))
PARENT = {joint: parent for joints, parents in CHAINS for joint, parent in zip(joints, parents, strict=True)}


def rotation(degrees: np.ndarray) -> np.ndarray:
    """Turns about x, then y, then z, from the three matrices of a textbook."""
    x, y, z = np.deg2rad(degrees)
    about_x = np.array([[1, 0, 0], [0, np.cos(x), -np.sin(x)], [0, np.sin(x), np.cos(x)]])
    about_y = np.array([[np.cos(y), 0, np.sin(y)], [0, 1, 0], [-np.sin(y), 0, np.cos(y)]])
    about_z = np.array([[np.cos(z), -np.sin(z), 0], [np.sin(z), np.cos(z), 0], [0, 0, 1]])
    return about_z @ about_y @ about_x


def frames_of_joints(angles: np.ndarray) -> dict[int, np.ndarray]:
    """Rotation of the frame in which each joint's position is given, chain by chain as the authors draw them."""
    turn = [rotation(angle) for angle in angles]
    frames = {}
    for joints, parents in CHAINS:
        total = np.eye(3)
        for joint, parent in zip(joints, parents, strict=True):
            total = total @ turn[parent]
            frames[joint] = total
    return frames


def taken_apart(places: np.ndarray, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Local positions and random angles, each (T, 22, 3), that give these absolute positions."""
    angles = np.random.default_rng(seed).uniform(-180, 180, places.shape).round(4)
    local = places.astype(np.float64).copy()
    for t, angle in enumerate(angles):
        for joint, frame in frames_of_joints(angle).items():
            local[t, joint] = frame.T @ (places[t, joint].astype(np.float64) - places[t, PARENT[joint]])
    return local, angles


def table(rows: np.ndarray, end: str = '\n') -> bytes:
    return ''.join(','.join(repr(float(x)) for x in row.reshape(-1)) + end for row in rows).encode()


def write_execution(root: Path, name: str, places: np.ndarray, seed: int = 0, end: str = '\n') -> None:
    suffix = '_inc' if name.endswith('_inc') else ''
    folder = root / f'{"Incorrect " if suffix else ""}Segmented Movements' / 'Kinect'
    for kind, rows in zip(('Positions', 'Angles'), taken_apart(places, seed), strict=True):
        (folder / kind).mkdir(parents=True, exist_ok=True)
        path = folder / kind / f'{name.removesuffix("_inc")}_{kind.lower()}{suffix}.txt'
        path.write_bytes(table(rows, end))


def people(frames: int, seed: int = 0) -> np.ndarray:
    """Centimetres, (T, 22, 3)."""
    return motion(frames, seed=seed, joints=22)[0] * 100


def test_the_chains_follow_the_bones_of_the_layout():
    assert {frozenset(pair) for pair in PARENT.items()} == {
        frozenset(bone) for bone in get_layout('uiprmd22').bones}


def test_angles_of_zero_add_up_the_local_positions():
    local = people(3).astype(np.float64)
    found = absolute_positions(local, np.zeros_like(local))
    for joint in range(22):
        expected, at = local[:, joint].copy(), joint
        while at in PARENT:
            at = PARENT[at]
            expected += local[:, at]
        np.testing.assert_allclose(found[:, joint], expected, atol=1e-9)


def test_a_turn_of_the_waist_leaves_arms_in_their_own_frame():
    """The authors' program turns legs and trunk with the waist; arms hang on the moved chest, but are not turned."""
    local, angles = np.zeros((1, 22, 3)), np.zeros((1, 22, 3))
    local[0, [1, 2, 14]] = [(0, 1, 0), (0, 1, 0), (1, 0, 0)]
    local[0, [6, 10]] = [(1, 0, 0), (-1, 0, 0)]
    angles[0, 0] = (0, 0, 90)
    found = absolute_positions(local, angles)[0]
    np.testing.assert_allclose(found[[1, 2, 14]], [(-1, 0, 0), (-2, 0, 0), (0, 1, 0)], atol=1e-12)
    np.testing.assert_allclose(found[[6, 10]], [(-1, 0, 0), (-3, 0, 0)], atol=1e-12)


def test_real_coordinates_come_back(real_data_dir, tmp_path):
    source = real_data_dir / 'ui_prmd.npz'
    if not source.is_file():
        pytest.skip(f'no real data: {source} does not exist')
    flat = FlatConverter().convert(source, tmp_path / 'flat')
    chosen = [i for i in range(0, len(flat), 83)]
    for i in chosen:
        write_execution(tmp_path / 'UI-PRMD', flat.column('name')[i], flat.sequence(i)[0] * 100, i,
                        '\r\n' if i % 2 else '\n')
    archive = UIPRMDConverter().convert(tmp_path / 'UI-PRMD', tmp_path / 'a', workers=1)
    where = {name: i for i, name in enumerate(flat.column('name').tolist())}
    assert sorted(archive.column('name').tolist()) == sorted(flat.column('name')[chosen].tolist())
    for i, name in enumerate(archive.column('name').tolist()):
        np.testing.assert_allclose(archive.sequence(i), flat.sequence(where[name]), atol=2e-6)
        assert archive.labels[i] == flat.labels[where[name]]
        for column in ('subject', 'is_correct', 'split_xsub'):
            assert archive.column(column)[i] == flat.column(column)[where[name]]
    assert archive.classes == flat.classes and archive.layout == flat.layout and archive.meta['unit'] == 'm'


NAMES = ('m01_s01_e01', 'm01_s06_e02', 'm02_s05_e10', 'm10_s10_e10_inc')


def test_a_folder_becomes_an_archive(tmp_path):
    for i, name in enumerate(NAMES):
        write_execution(tmp_path / 'raw', name, people(3 + i, i), i)
    (tmp_path / 'raw' / 'Segmented Movements' / 'Kinect' / 'Angles' / 'm09_s01_e01_angles.txt').write_text('1')
    (tmp_path / 'raw' / 'm01_s01_positions.txt').write_text('not segmented')
    vicon = tmp_path / 'raw' / 'Segmented Movements' / 'Vicon' / 'Positions'
    vicon.mkdir(parents=True)
    (vicon / 'm01_s01_e01_positions.txt').write_text('1')
    archive = UIPRMDConverter().convert(tmp_path / 'raw', tmp_path / 'a')
    assert archive.column('name').tolist() == list(NAMES)
    for i in range(4):
        np.testing.assert_allclose(archive.sequence(i)[0], people(3 + i, i) / 100, atol=1e-6)
    assert archive.column('movement').tolist() == [1, 1, 2, 10] and archive.labels.tolist() == [0, 0, 1, 9]
    assert archive.column('episode').tolist() == [1, 2, 10, 10]
    assert archive.column('is_correct').tolist() == [1, 1, 1, 0]
    assert archive.column('split_xsub').tolist() == ['train', 'test', 'train', 'test']
    assert sorted(map(tuple, archive.meta['excluded'].values())) == [
        ('m01_s01_e01_positions',), ('m01_s01_positions.txt',), ('m09_s01_e01_angles',)]
    correct = UIPRMDConverter().convert(tmp_path / 'raw', tmp_path / 'b', correct_only=True)
    assert correct.column('name').tolist() == list(NAMES[:3])
    assert correct.meta['excluded']['an incorrect execution'] == ['m10_s10_e10_positions_inc']


def test_a_zip_gives_the_same_bytes(tmp_path):
    for name in NAMES:
        write_execution(tmp_path / 'raw', name, people(3))
    plain = UIPRMDConverter().convert(tmp_path / 'raw', tmp_path / 'a')
    with zipfile.ZipFile(tmp_path / 'UI-PRMD.zip', 'w') as file:
        for path in (tmp_path / 'raw').rglob('*.txt'):
            file.write(path, path.relative_to(tmp_path / 'raw'))
    assert UIPRMDConverter().convert(tmp_path / 'UI-PRMD.zip', tmp_path / 'b').checksum == plain.checksum


def test_pairs_of_different_length_are_named(tmp_path):
    write_execution(tmp_path / 'raw', NAMES[0], people(5))
    path = next((tmp_path / 'raw').rglob('*_angles.txt'))
    path.write_bytes(path.read_bytes()[:path.read_bytes().rindex(b'\n', 0, -1)])
    with pytest.raises(DataError, match=r'm01_s01_e01_positions.txt, line 5: .*m01_s01_e01_angles.txt has 4'):
        UIPRMDConverter().convert(tmp_path / 'raw', tmp_path / 'a', strict=True)


def test_sources_without_use_are_refused(tmp_path):
    folder = tmp_path / 'raw' / 'Vicon'
    folder.mkdir(parents=True)
    (folder / 'm01_s01_e01_positions.txt').write_text('1')
    with pytest.raises(DataError, match='Vicon'):
        UIPRMDConverter().convert(tmp_path / 'raw', tmp_path / 'a')
    (tmp_path / 'raw' / 'm01_s01_e01_positions.txt').write_text('1')
    with pytest.raises(DataError, match='no pair'):
        UIPRMDConverter().convert(tmp_path / 'raw', tmp_path / 'a')


@pytest.mark.parametrize('fuzzed', ['positions', 'angles'])
def test_fuzzed_files(fuzzed, tmp_path):
    rows = dict(zip(('positions', 'angles'), map(table, taken_apart(people(4).round(3))), strict=True))
    paths = {kind: tmp_path / f'm01_s01_e01_{kind}.txt' for kind in rows}
    for kind, path in paths.items():
        path.write_bytes(rows[kind])

    def read(file: SourceFile) -> list:
        files = {kind: SourceFile(path, '', path.stat().st_size, 0) for kind, path in paths.items()}
        paths[fuzzed].write_bytes(file.read())
        return read_execution(PairedFile.of(files['positions'], files['angles']))

    check_reader(read, f'm01_s01_e01_{fuzzed}.txt', rows[fuzzed])


def test_a_value_that_is_missing_is_not_made_up_for_by_a_blank():
    rows = table(people(2)).replace(b',', b' ', 1).replace(b',', b',,', 1)
    with pytest.raises(DataError, match='a.txt, line 1'):
        parse_table(rows, 'a.txt', 66, 'numbers', b',')
