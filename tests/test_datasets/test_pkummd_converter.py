"""PKU-MMD: files of an independent writer come back exactly, as clips and as untrimmed videos with segments."""
import zipfile
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from mmactclr.datasets import verify_archive
from mmactclr.datasets.converters import Clip, PKUMMDConverter
from mmactclr.datasets.converters.pkummd import _NAME
from mmactclr.datasets.converters.pkummd_text import CUT, EMPTY, OVERLAP, parse_split, video_clips, video_sequence
from mmactclr.datasets.pkummd_classes import PKUMMD_CLASSES
from mmactclr.datasets.segments import format_segments, frame_labels
from mmactclr.errors import ConfigError, DataError

from .conftest import motion
from .fuzzing import check_reader

SPLIT = 'Training videos: \n{}\nValidataion videos: \n{}\n'
NAMES = ('0002-L', '0002-M', '0002-R', '0011-L', '0011-M')
LABELS = '3,0,5,2\n51,7,12,1\n12,12,20,2\n'


def people(frames: int = 20, seed: int = 0) -> np.ndarray:
    """(2, T, 25, 3); the second body comes later and leaves again."""
    joints = motion(frames, 2, seed, joints=25)
    joints[1, :6] = 0
    joints[1, 12:] = 0
    return joints


def skeleton_text(joints: np.ndarray, end: str = '\n') -> bytes:
    """One line a frame, first body first."""
    lines = [' '.join(repr(float(x)) for body in joints[:, t] for joint in body for x in joint)
             for t in range(joints.shape[1])]
    return (end.join(lines) + end).encode()


def write_part(folder: Path, names=NAMES, labels: str = LABELS, end: str = '\n') -> dict[str, np.ndarray]:
    written = {}
    (folder / 'Data' / 'skeleton').mkdir(parents=True)
    (folder / 'Label').mkdir()
    for i, name in enumerate(names):
        written[name] = people(20, i)
        (folder / 'Data' / 'skeleton' / f'{name}.txt').write_bytes(skeleton_text(written[name], end))
        (folder / 'Label' / f'{name}.txt').write_bytes(labels.replace('\n', end).encode())
    return written


@pytest.mark.parametrize('end', ['\n', '\r\n'])
def test_labelled_intervals_become_clips(tmp_path, end):
    written = write_part(tmp_path / 'pku', end=end)
    archive = PKUMMDConverter().convert(tmp_path / 'pku', tmp_path / 'a', workers=1)
    assert len(archive) == 15 and archive.classes == PKUMMD_CLASSES and len(set(PKUMMD_CLASSES)) == 51
    assert archive.column('name').tolist()[:3] == ['0002-L_0_5', '0002-L_7_12', '0002-L_12_20']
    assert archive.labels.tolist() == [2, 50, 11] * 5
    for i, name in enumerate(archive.column('video').tolist()):
        start, stop = archive.column('start')[i], archive.column('end')[i]
        expected = written[name][:, start:stop]
        assert np.array_equal(archive.sequence(i), expected if expected[1].any() else expected[:1])
    assert archive.column('view').tolist() == [name[-1] for name in NAMES for _ in range(3)]
    assert archive.column('confidence').tolist() == [2, 1, 2] * 5
    assert verify_archive(archive.path).ok


def test_without_split_files_part_one_has_the_published_cross_view_split(tmp_path):
    write_part(tmp_path / 'pku')
    archive = PKUMMDConverter().convert(tmp_path / 'pku', tmp_path / 'a')
    assert archive.split_names == ('xview',)
    assert archive.column('split_xview').tolist() == [
        {'L': 'test', 'M': 'train', 'R': 'train'}[name[-1]] for name in NAMES for _ in range(3)]
    assert archive.meta['extra']['splits']['xview'] == 'middle and right views train, left view tests'


def test_split_files_win_and_unlisted_videos_are_in_neither_part(tmp_path):
    write_part(tmp_path / 'pku')
    (tmp_path / 'pku' / 'cross-subject.txt').write_text(SPLIT.format('0002-L, 0002-M, 9999-R, ', '0011-L, '))
    (tmp_path / 'pku' / 'cross_view.txt').write_text(SPLIT.format('0002-L,0011-L', '0002-M, 0011-M'))
    archive = PKUMMDConverter().convert(tmp_path / 'pku', tmp_path / 'a')
    assert archive.column('split_xsub').tolist()[::3] == ['train', 'train', '', 'test', '']
    assert archive.column('split_xview').tolist()[::3] == ['train', 'test', '', 'train', 'test']
    assert archive.meta['extra']['splits'] == {'xsub': 'split file', 'xview': 'split file'}


def test_untrimmed_videos_keep_their_intervals(tmp_path):
    written = write_part(tmp_path / 'pku', labels='3,0,5,2\n51,4,12,1\n12,18,25,2\n7,9,9,1\n8,30,40,1\n')
    archive = PKUMMDConverter().convert(tmp_path / 'pku', tmp_path / 'a', output='sequences')
    assert archive.column('name').tolist() == list(NAMES) and set(archive.labels.tolist()) == {-1}
    assert archive.meta['extra']['segment_classes'] == list(PKUMMD_CLASSES)
    for i, name in enumerate(NAMES):
        assert np.array_equal(archive.sequence(i), written[name])
        found = frame_labels(archive.column('segments')[i], archive.frames(i))
        expected = [2] * 4 + [50] * 8 + [-1] * 6 + [11] * 2
        assert found.tolist() == expected and found.dtype == np.int64
    assert {note: len(names) for note, names in archive.meta['notes'].items()} == {CUT: 5, EMPTY: 5, OVERLAP: 5}


def test_intervals_that_do_not_fit_are_cut_or_left_out_by_name(tmp_path):
    written = write_part(tmp_path / 'pku', NAMES[:1], '1,15,99,1\n2,9,4,1\n3,20,30,1\n4,0,3,1\n5,0,3,1\n')
    archive = PKUMMDConverter().convert(tmp_path / 'pku', tmp_path / 'a')
    # two actions at the same time keep apart
    assert archive.column('name').tolist() == ['0002-L_15_99', '0002-L_0_3_4', '0002-L_0_3_5']
    assert np.array_equal(archive.sequence(0), written['0002-L'][:1, 15:])
    assert archive.meta['notes'] == {CUT: ['0002-L_15_99']}
    assert archive.meta['excluded'] == {'no frames': ['0002-L_9_4', '0002-L_20_30']}
    with pytest.raises(DataError, match='0002-L_9_4.*no frames'):
        PKUMMDConverter().convert(tmp_path / 'pku', tmp_path / 'b', strict=True)


def test_part_two_names_the_subject_and_has_no_rule_of_its_own(tmp_path):
    write_part(tmp_path / 'pku', ('A01N01-M', 'A26N13-L'))
    (tmp_path / 'pku' / 'Split').mkdir()
    (tmp_path / 'pku' / 'Split' / 'cross_subject_v2.txt').write_text(SPLIT.format('A01N01-M', 'A26N13-L'))
    (tmp_path / 'pku' / 'Split' / 'cross-subject.txt').write_text(SPLIT.format('0002-M', '0003-L'))
    archive = PKUMMDConverter().convert(tmp_path / 'pku', tmp_path / 'a')
    assert archive.split_names == ('xsub',)
    assert archive.column('subject').tolist() == [1] * 3 + [13] * 3
    assert archive.column('split_xsub').tolist() == ['train'] * 3 + ['test'] * 3


def test_zips_give_the_same_bytes(tmp_path):
    write_part(tmp_path / 'pku')
    plain = PKUMMDConverter().convert(tmp_path / 'pku', tmp_path / 'a')
    (tmp_path / 'zips').mkdir()
    for archive, folder in (('Label_PKUMMD', 'Label'), ('Skeleton', 'Data/skeleton')):
        with zipfile.ZipFile(tmp_path / 'zips' / f'{archive}.zip', 'w') as file:
            for name in NAMES:
                file.write(tmp_path / 'pku' / folder / f'{name}.txt', f'{name}.txt')
    assert PKUMMDConverter().convert(tmp_path / 'zips', tmp_path / 'b').checksum == plain.checksum


def test_what_is_incomplete_is_counted_and_sources_without_use_are_refused(tmp_path):
    write_part(tmp_path / 'pku')
    (tmp_path / 'pku' / 'Label' / '0002-L.txt').unlink()
    (tmp_path / 'pku' / 'Data' / 'skeleton' / '0011-M.txt').unlink()
    (tmp_path / 'pku' / 'README.txt').write_text('hello')
    (tmp_path / 'pku' / 'Label' / '0002-M.txt').write_text('3,0,5,2\n52,0,5,2\n')
    archive = PKUMMDConverter().convert(tmp_path / 'pku', tmp_path / 'a')
    assert sorted(set(archive.column('video').tolist())) == ['0002-R', '0011-L']
    excluded = archive.meta['excluded']
    assert excluded['no label file of this name'] == ['0002-L']
    assert excluded['labels without a skeleton file'] == ['0011-M']
    assert excluded['the file has another name than a recording'] == ['README.txt']
    assert 'Label/0002-M.txt, line 2' in excluded['the file is damaged'][0]
    write_part(tmp_path / 'two', ('A01N01-M', '0002-L'))
    with pytest.raises(DataError, match='both parts'):
        PKUMMDConverter().convert(tmp_path / 'two', tmp_path / 'b')
    with pytest.raises(DataError, match='none of the same name'):
        PKUMMDConverter().convert(tmp_path / 'pku' / 'Data', tmp_path / 'b')
    (tmp_path / 'empty').mkdir()
    (tmp_path / 'empty' / 'notes.txt').write_text('x')
    with pytest.raises(DataError, match='0002-L.txt'):
        PKUMMDConverter().convert(tmp_path / 'empty', tmp_path / 'b')
    with pytest.raises(ConfigError, match='clips, sequences'):
        PKUMMDConverter().convert(tmp_path / 'pku', tmp_path / 'b', output='frames')


def test_a_changed_label_file_begins_an_interrupted_conversion_again(tmp_path):
    write_part(tmp_path / 'pku')
    before = [(str(file), file.stamp) for file in PKUMMDConverter().find(tmp_path / 'pku').files]
    (tmp_path / 'pku' / 'Label' / '0002-L.txt').write_text('4,1,3,2\n')
    after = [(str(file), file.stamp) for file in PKUMMDConverter().find(tmp_path / 'pku').files]
    assert [a == b for a, b in zip(before, after, strict=True)] == [False, True, True, True, True]


@pytest.mark.parametrize(('text', 'message'), [
    ('0002-L\n', "line 1: '0002-L', expected names"),
    ('Training videos:\n0002-L, 12\n', "line 2: '12'"),
    ('Training videos:\n0002-L\nValidation videos:\n0002-L', 'line 4: video 0002-L is listed under both'),
    ('Training videos:\n0002-L\n', 'line 1: expected videos under both'),
])
def test_wrong_split_files_are_refused(text, message):
    with pytest.raises(DataError, match=f's.txt, {message}'):
        parse_split(text.encode(), 's.txt', _NAME)


@pytest.mark.parametrize(('segments', 'message'), [
    ('1:0', 'expected label:start:end'), ('a:0:3', "'a:0:3'"), ('1:-2:3', "'1:-2:3'"), ('1:5:5', 'start < end'),
    ('1:0:21', '<= 20'), ('0:0:2;1:2', "'1:2'")])
def test_wrong_segments_are_refused(segments, message):
    with pytest.raises(DataError, match=message):
        frame_labels(segments, 20)


def test_segments_are_painted_in_order():
    segments = format_segments([(4, 2, 6), (1, 5, 8)])
    assert segments == '4:2:6;1:5:8'
    assert frame_labels(segments, 9, background=7).tolist() == [7, 7, 4, 4, 4, 1, 1, 1, 7]
    assert frame_labels('', 3).tolist() == [-1, -1, -1]


@pytest.mark.parametrize('read', [video_clips, video_sequence])
def test_fuzzed_files(read):
    skeletons, columns = skeleton_text(people(6)), {'video': '0002-L'}
    labels = b'3,0,5,2\n51,2,4,1\n' * 6
    check_reader(lambda file: read(file.read(), labels, file, 'labels', columns), '0002-L.txt', skeletons)
    check_reader(lambda file: read(skeletons, file.read(), 'skeletons', file, columns), '0002-L.txt', labels)


def test_fuzzed_split_files():
    clip = Clip(np.zeros((1, 1, 25, 3)), 'x')
    read = partial(parse_split, video=_NAME)
    check_reader(lambda file: [clip for _ in [read(file.read(), file)]], 'cross-subject.txt',
                 SPLIT.format('0002-L, 0003-M', '0004-R').encode())
