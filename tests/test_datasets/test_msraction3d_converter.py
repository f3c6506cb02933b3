"""MSR Action3D: files of an independent writer come back exactly; subsets and sides are those of the data set."""
import zipfile
from pathlib import Path

import numpy as np
import pytest

from mmactclr.datasets.converters import MSRAction3DConverter
from mmactclr.datasets.converters.msraction3d import CLASSES, read_recording
from mmactclr.errors import DataError
from mmactclr.structures import get_layout

from .conftest import motion
from .fuzzing import MemoryFile, check_reader

NAMES = tuple(f'a{a:02}_s{s:02}_e{e:02}' for a, s, e in
              [(1, 1, 1), (2, 2, 1), (4, 2, 3), (6, 3, 2), (15, 10, 3), (18, 5, 1), (20, 4, 2)])
# Edges that the authors publish with the data (MATLAB: joints count from 1).
PUBLISHED = ((20, 3), (1, 3), (2, 3), (1, 8), (8, 10), (10, 12), (2, 9), (9, 11), (11, 13), (3, 4), (4, 7), (7, 5),
             (7, 6), (5, 14), (6, 15), (14, 16), (15, 17), (16, 18), (17, 19))


def text(joints: np.ndarray, end: str = '\n') -> bytes:
    """(T, 20, 3) as one line a joint, with a confidence."""
    lines = [' '.join([*(repr(float(x)) for x in joint), '1.000000']) for frame in joints for joint in frame]
    return (end.join(lines) + end).encode()


def write_folder(folder: Path) -> dict[str, np.ndarray]:
    folder.mkdir()
    written = {name: motion(3 + i, seed=i)[0] for i, name in enumerate(NAMES)}
    for i, (name, joints) in enumerate(written.items()):
        (folder / f'{name}_skeleton3D.txt').write_bytes(text(joints, '\r\n' if i % 2 else '\n'))
    return written


def test_a_folder_becomes_an_archive(tmp_path):
    written = write_folder(tmp_path / 'raw')
    (tmp_path / 'raw' / 'a01_s01_e01_skeleton.txt').write_bytes(text(motion(2)[0]))
    (tmp_path / 'raw' / 'a13_s09_e02_skeleton3D.txt').write_bytes(text(np.zeros((4, 20, 3))))
    archive = MSRAction3DConverter().convert(tmp_path / 'raw', tmp_path / 'a')
    assert archive.column('name').tolist() == list(NAMES)
    for i, name in enumerate(NAMES):
        assert np.array_equal(archive.sequence(i)[0], written[name])
    assert [archive.classes[k] for k in archive.labels] == [
        'high arm wave', 'horizontal arm wave', 'hand catch', 'high throw', 'side kick', 'tennis serve',
        'pick up and throw']
    assert archive.column('subject').tolist() == [1, 2, 2, 3, 10, 5, 4]
    assert archive.column('episode').tolist() == [1, 1, 3, 2, 3, 1, 2]
    # the empty recording of the public release is named, not dropped in silence
    assert archive.meta['excluded'] == {
        'nobody in any frame': ['a13_s09_e02'],
        'the file has another name than a recording': ['a01_s01_e01_skeleton.txt']}


def test_splits(tmp_path):
    write_folder(tmp_path / 'raw')
    archive = MSRAction3DConverter().convert(tmp_path / 'raw', tmp_path / 'a')
    assert archive.split_names == ('xsub', 'as1_xsub', 'as2_xsub', 'as3_xsub')
    assert archive.column('split_xsub').tolist() == ['train', 'test', 'test', 'train', 'test', 'train', 'test']
    assert archive.column('split_as1_xsub').tolist() == ['', 'test', '', 'train', '', 'train', 'test']
    assert archive.column('split_as2_xsub').tolist() == ['train', '', 'test', '', '', '', '']
    assert archive.column('split_as3_xsub').tolist() == ['', '', '', 'train', 'test', 'train', 'test']


def test_the_layout_has_the_published_edges():
    layout = get_layout('kinect20_msraction3d')
    assert {frozenset(bone) for bone in layout.bones} == {frozenset((a - 1, b - 1)) for a, b in PUBLISHED}
    assert len(CLASSES) == len(set(CLASSES)) == 20


def test_a_person_who_faces_the_camera_has_the_right_side_right():
    """First frame of a recording, rounded: y up, z away from the camera, the toes nearer to it than the ankles."""
    layout = get_layout('kinect20_msraction3d')
    places = dict(left_shoulder=(-.37, .37, 2.67), right_shoulder=(-.01, .36, 2.68), left_ankle=(-.35, -1., 2.79),
                  left_foot=(-.36, -1.04, 2.63))
    assert [layout.joints.index(name) for name in places] == [0, 1, 15, 17]
    forward = np.subtract(places['left_foot'], places['left_ankle']) * (1, 0, 1)
    right = np.subtract(places['right_shoulder'], places['left_shoulder'])
    assert np.cross(forward, (0, 1, 0)) @ right > 0


def test_a_zip_gives_the_same_bytes(tmp_path):
    write_folder(tmp_path / 'raw')
    plain = MSRAction3DConverter().convert(tmp_path / 'raw', tmp_path / 'a')
    with zipfile.ZipFile(tmp_path / 'MSRAction3DSkeletonReal3D.zip', 'w') as file:
        for path in (tmp_path / 'raw').iterdir():
            file.write(path, f'MSRAction3DSkeletonReal3D/{path.name}')
    again = MSRAction3DConverter().convert(tmp_path / 'MSRAction3DSkeletonReal3D.zip', tmp_path / 'b')
    assert again.checksum == plain.checksum


@pytest.mark.parametrize(('line', 'new', 'message'), [
    (21, b'1 2 3', 'line 21.*3 values'), (21, b'1 2 nan 1', 'line 21.*4 finite'), (40, None, 'line 39.*within a frame'),
    (5, b'1 2 3 1e39', 'line 5'), (7, b'', 'line 7.*0 values')])
def test_wrong_lines_are_named(line, new, message):
    lines = text(motion(2)[0]).split(b'\n')
    lines[line - 1:line] = [] if new is None else [new]
    content = b'\n'.join(lines)
    with pytest.raises(DataError, match=f'a01_s01_e01_skeleton3D.txt, {message}'):
        read_recording(MemoryFile(Path('a01_s01_e01_skeleton3D.txt'), size=len(content), content=content))


def test_screen_coordinates_alone_are_refused(tmp_path):
    (tmp_path / 'a01_s01_e01_skeleton.txt').write_bytes(text(motion(2)[0]))
    with pytest.raises(DataError, match='real-world'):
        MSRAction3DConverter().convert(tmp_path, tmp_path / 'a')


def test_fuzzed_files():
    check_reader(read_recording, 'a01_s01_e01_skeleton3D.txt', text(motion(3)[0]))
