"""What is written comes back, what is damaged is refused, what is unusable is left out by name."""
import io
import json
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmactclr.datasets import ArchiveWriter, SkeletonArchive, verify_archive
from mmactclr.datasets.archive_format import npy_header
from mmactclr.errors import ConfigError, DataError
from mmactclr.structures.layouts import get_layout

from .conftest import LAYOUT, LENGTHS, motion


def test_sequences_and_columns_come_back(make_archive):
    archive = make_archive()
    assert len(archive) == len(LENGTHS) and archive.classes == ('wave', 'nod', 'bow')
    assert archive.layout == LAYOUT
    for i, frames in enumerate(LENGTHS):
        expected = motion(frames, 1 + (i % 3 == 2), i)
        assert (archive.persons(i), archive.frames(i)) == expected.shape[:2]
        np.testing.assert_array_equal(archive.sequence(i), expected)
    np.testing.assert_array_equal(archive.column('subject'), np.arange(6) + 1)
    np.testing.assert_array_equal(archive.labels, np.arange(6) % 3)
    np.testing.assert_array_equal(archive.split('xsub', 'test'), [1, 4])
    assert archive.meta['splits'] == {'xsub': dict(train=2, test=2)}


def test_a_sequence_is_a_read_only_view_of_the_file(make_archive):
    sequence = make_archive().sequence(3)
    assert isinstance(sequence, np.memmap)
    with pytest.raises(ValueError, match='read-only'):
        sequence[0, 0, 0, 0] = 1


def test_the_same_content_gives_the_same_checksum(make_archive):
    first, second, other = make_archive('a'), make_archive('b'), make_archive('c', seed=1)
    assert first.checksum == second.checksum != other.checksum


def test_pickling_reopens_instead_of_copying(make_archive):
    archive = make_archive()
    data = pickle.dumps(archive)
    assert len(data) < 1000
    np.testing.assert_array_equal(pickle.loads(data).sequence(2), archive.sequence(2))


@settings(max_examples=25)
@given(st.lists(st.integers(1, 10**12), min_size=1, max_size=4).map(tuple))
def test_npy_header_is_what_numpy_reads(shape):
    header = npy_header(shape)
    assert len(header) == 128
    stream = io.BytesIO(header)
    assert np.lib.format.read_magic(stream) == (1, 0)
    assert np.lib.format.read_array_header_1_0(stream) == (shape, False, np.dtype('<f4'))


UNUSABLE = {
    'no frames': dict(keypoint=np.zeros((1, 0, 20, 3), np.float32)),
    'nobody in any frame': dict(keypoint=np.zeros((2, 4, 20, 3), np.float32)),
    'coordinates that are not finite': dict(keypoint=np.full((1, 4, 20, 3), np.nan)),
    'label outside 0 to 1': dict(label=2),
}


@pytest.mark.parametrize('fault', UNUSABLE)
def test_unusable_sequences_are_left_out_and_named(tmp_path, fault):
    with ArchiveWriter(tmp_path / 'a', LAYOUT, classes=['wave', 'nod']) as writer:
        assert writer.add(motion(3, seed=1), label=0, name='first', camera=1)
        bad = dict(keypoint=motion(4), label=1) | UNUSABLE[fault]
        assert not writer.add(bad.pop('keypoint'), name='broken', camera=2, **bad)
        assert writer.add(motion(5, seed=2), label=1, name='last', camera=3)
        archive = writer.finish({'xsub': ['train', 'train', 'test']})
    assert archive.meta['excluded'] == {fault: ['broken']}
    assert archive.column('name').tolist() == ['first', 'last']
    assert archive.column('camera').tolist() == [1, 3]
    assert archive.split('xsub', 'test').tolist() == [1]
    np.testing.assert_array_equal(archive.sequence(1), motion(5, seed=2))


@pytest.mark.parametrize('fault', UNUSABLE)
def test_strict_raises_instead(tmp_path, fault):
    with ArchiveWriter(tmp_path / 'a', LAYOUT, classes=['wave', 'nod'], strict=True) as writer:
        bad = dict(keypoint=motion(4), label=1) | UNUSABLE[fault]
        with pytest.raises(DataError, match=f"'broken': {fault}"):
            writer.add(bad.pop('keypoint'), name='broken', **bad)


def test_nothing_usable_writes_nothing(tmp_path):
    with ArchiveWriter(tmp_path / 'a', LAYOUT) as writer:
        writer.add(np.zeros((1, 4, 20, 3)))
        with pytest.raises(DataError, match='none of 1 sequences'):
            writer.finish()
    assert not list(tmp_path.iterdir())


def test_an_interrupted_conversion_leaves_nothing(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        with ArchiveWriter(tmp_path / 'a', LAYOUT) as writer:
            writer.add(motion(3))
            raise KeyboardInterrupt
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(('first', 'second', 'message'), [
    (dict(), dict(keypoint=motion(3, joints=25)), 'kinect20_utdmhad'),
    (dict(), dict(keypoint=motion(3)[0]), r'expected \(persons, frames, 20, 2 or 3\)'),
    (dict(), dict(keypoint=motion(3, axes=2)), '2 coordinates per joint, those before it 3'),
    (dict(subject=1), dict(), "those before it \\['subject'\\]"),
])
def test_sequences_must_agree(tmp_path, first, second, message):
    with ArchiveWriter(tmp_path / 'a', LAYOUT) as writer:
        writer.add(motion(3), **first)
        with pytest.raises(DataError, match=message):
            writer.add(second.get('keypoint', motion(3)))


@pytest.mark.parametrize('column', ['file', 'allow_pickle', 'frames'])
def test_a_column_whose_name_the_index_needs_is_refused_before_anything_is_written(tmp_path, column):
    keypoint = np.ones((1, 3, 25, 3))
    with pytest.raises(DataError, match=f"sequence 'a' has a column '{column}'.*rename it"), \
            ArchiveWriter(tmp_path / 'a', 'ntu25') as writer:
        writer.add(keypoint, name='a', **{column: 'x'})
    with pytest.raises(DataError, match=f"a column '{column}'.*rename it"), \
            ArchiveWriter(tmp_path / 'a', 'ntu25') as writer:
        writer.add(keypoint, name='a', subject='x')
        writer.finish(columns={column: ['x']})
    assert not (tmp_path / 'a').exists()


@pytest.mark.parametrize(('more', 'message'), [
    (dict(columns=dict(subject=['y'])), "column 'subject' was given with the sequences"),
    (dict(splits=dict(mine=['train'])), "split 'mine' is given as a column split_mine, too")])
def test_what_is_given_twice_is_refused(tmp_path, more, message):
    with pytest.raises(DataError, match=message), ArchiveWriter(tmp_path / 'a', 'ntu25') as writer:
        writer.add(np.ones((1, 3, 25, 3)), subject='x', split_mine='test')
        writer.finish(**more)
    assert not (tmp_path / 'a').exists()


def test_flat_coordinates_and_unlabelled_data_are_fine(tmp_path):
    with ArchiveWriter(tmp_path / 'a', 'coco17') as writer:
        writer.add(motion(3, joints=17, axes=2))
        archive = writer.finish()
    assert archive.sequence(0).shape == (1, 3, 17, 2) and archive.labels.tolist() == [-1]
    with pytest.raises(ConfigError, match="no split 'xsub'; it has: none.*split=None"):
        archive.split('xsub', 'train')


def cut(path, name):
    content = (path / name).read_bytes()
    (path / name).write_bytes(content[:-100])


def edit_meta(path, **changes):
    meta = json.loads((path / 'meta.json').read_text()) | changes
    (path / 'meta.json').write_text(json.dumps(meta))


def resize_index(path):
    """A consistent size in meta.json, but columns that do not fit the rows."""
    with np.load(path / 'index.npz') as stored:
        index = dict(stored)
    index['frames'] = index['frames'] + 1
    np.savez(path / 'index.npz', **index)
    meta = json.loads((path / 'meta.json').read_text())
    meta['files']['index.npz']['bytes'] = (path / 'index.npz').stat().st_size
    edit_meta(path, files=meta['files'])


DAMAGE = {
    'no such folder': (lambda p: p.rename(p.with_name('elsewhere')), 'no skeleton archive'),
    'no meta': (lambda p: (p / 'meta.json').unlink(), 'has no meta.json'),
    'meta cut': (lambda p: cut(p, 'meta.json'), 'not valid JSON'),
    'other format': (lambda p: edit_meta(p, format='x'), 'not a skeleton archive'),
    'other version': (lambda p: edit_meta(p, version=99), 'version 99'),
    'no classes': (lambda p: edit_meta(p, classes=None), "'classes'"),
    'broken layout': (lambda p: edit_meta(p, layout={'name': 'x'}), '"layout" is damaged'),
    'other layout': (lambda p: edit_meta(p, layout=get_layout('ntu25').to_dict()), "'ntu25'"),
    'no keypoints': (lambda p: (p / 'keypoints.npy').unlink(), 'keypoints.npy is missing'),
    'keypoints cut': (lambda p: cut(p, 'keypoints.npy'), 'keypoints.npy has .* bytes'),
    'index cut': (lambda p: cut(p, 'index.npz'), 'index.npz has .* bytes'),
    'one sequence less': (lambda p: edit_meta(p, sequences=5), 'says 5 sequences'),
    'offsets do not fit': (resize_index, 'do not add up'),
}


@pytest.mark.parametrize('damage', DAMAGE)
def test_damage_is_refused_at_open(make_archive, damage):
    path = make_archive().path
    act, message = DAMAGE[damage]
    act(path)
    with pytest.raises(DataError, match=message):
        SkeletonArchive.open(path)


def test_unknown_names_list_what_exists(make_archive):
    archive = make_archive(split=('train',) * 6)
    with pytest.raises(ConfigError, match="no split 'xset'; it has: xsub"):
        archive.split('xset', 'train')
    with pytest.raises(ConfigError, match="part 'val'"):
        archive.split('xsub', 'val')
    with pytest.raises(DataError, match="the test part of split 'xsub' is empty"):
        archive.split('xsub', 'test')
    with pytest.raises(DataError, match="no column 'camera'.*subject"):
        archive.column('camera')


def test_only_an_archive_is_replaced_and_only_on_demand(make_archive, tmp_path):
    path = make_archive().path
    with pytest.raises(DataError, match='--overwrite'):
        ArchiveWriter(path, LAYOUT)
    with ArchiveWriter(path, LAYOUT, overwrite=True) as writer:
        writer.add(motion(3))
        assert len(SkeletonArchive.open(path)) == 6, 'the old one stays until the new is complete'
        assert len(writer.finish()) == 1
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]
    (path / 'thesis.txt').write_text('mine')
    with pytest.raises(DataError, match='thesis.txt'):
        ArchiveWriter(path, LAYOUT, overwrite=True)
    with pytest.raises(DataError, match='not a folder'):
        ArchiveWriter(path / 'thesis.txt', LAYOUT, overwrite=True)
    (tmp_path / 'empty').mkdir()
    with ArchiveWriter(tmp_path / 'empty', LAYOUT) as writer:
        writer.add(motion(3))
        assert len(writer.finish()) == 1


def test_names_that_no_text_file_can_hold_are_written_readably(tmp_path):
    with ArchiveWriter(tmp_path / 'a', LAYOUT) as writer:
        writer.add(motion(3), name='caf\udce9')
        writer.exclude('th\udce9', 'damaged: na\udcefve')
        archive = writer.finish()
    assert archive.column('name').tolist() == ['caf\\udce9'] and verify_archive(archive.path).ok
    assert archive.meta['excluded'] == {'damaged: na\\udcefve': ['th\\udce9']}


def test_the_working_folder_is_no_destination_unless_it_is_empty(tmp_path, monkeypatch):
    (tmp_path / 'here').mkdir()
    monkeypatch.chdir(tmp_path / 'here')
    (tmp_path / 'here' / 'x.txt').write_text('x')
    with pytest.raises(DataError, match='not only a skeleton archive'):
        ArchiveWriter('.', LAYOUT)
    assert [path.name for path in tmp_path.iterdir()] == ['here']
