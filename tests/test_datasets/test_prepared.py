"""Prepared sequences are made once, and again when anything they depend on changes."""
import pickle

import numpy as np
import pytest

from mmactclr.datasets import prepared, prepared_sequences
from mmactclr.errors import DataError
from mmactclr.transforms import prepare

from .conftest import LAYOUT
from .test_verification import edit_rows


@pytest.fixture
def calls(monkeypatch):
    """Counts how often the transforms run."""
    made = []

    def counting(*args, **kwargs):
        made.append(1)
        return prepare(*args, **kwargs)

    monkeypatch.setattr(prepared, 'prepare', counting)
    return made


def test_values_are_those_of_each_sequence_alone(make_archive):
    archive = make_archive()
    found = prepared_sequences(archive, 16, 2)
    assert found.keypoint.shape == (6, 2, 16, 20, 3) and found.keypoint.dtype == np.float32
    assert found.mask.tolist() == [[True, i % 3 == 2] for i in range(6)]
    for i in range(6):
        alone, mask = prepare([archive.sequence(i)], LAYOUT, 16, 2)
        np.testing.assert_allclose(found.keypoint[i], alone[0].numpy(), atol=1e-6)
        np.testing.assert_array_equal(found.mask[i], mask[0].numpy())
    assert not found.keypoint[~found.mask].any()
    # one frame is repeated
    assert (found.keypoint[1, 0] == found.keypoint[1, 0, :1]).all()


def test_the_second_call_reads_the_cache(make_archive, calls):
    archive = make_archive()
    first = prepared_sequences(archive, 8, 2)
    second = prepared_sequences(archive, 8, 2)
    assert len(calls) == 1 and isinstance(second.keypoint, np.memmap)
    np.testing.assert_array_equal(first.keypoint, second.keypoint)
    assert [f.name for f in (archive.path / 'prepared').iterdir()] == [first.folder.name]


def test_blocks_do_not_matter(make_archive, monkeypatch):
    archive = make_archive()
    whole = prepared_sequences(archive, 8, 2, cache=False)
    monkeypatch.setattr(prepared, '_BLOCK', 4)
    np.testing.assert_allclose(prepared_sequences(archive, 8, 2, cache=False).keypoint,
                               whole.keypoint, atol=1e-6)


@pytest.mark.parametrize('change', [
    dict(num_frames=9), dict(max_persons=1),
    dict(preparation=[dict(type='ResizeFrames', num_frames=8)]), dict(archive=dict(seed=5))])
def test_any_change_is_prepared_anew(make_archive, calls, change):
    before = dict(archive=make_archive(), num_frames=8, max_persons=2)
    prepared_sequences(**before)
    if 'archive' in change:
        change = dict(archive=make_archive('other', **change['archive']))
    after = {**before, **change}
    found = prepared_sequences(**after)
    assert len(calls) == 2
    expected, _ = prepare([after['archive'].sequence(i) for i in range(6)], LAYOUT,
                          after['num_frames'], after['max_persons'], after.get('preparation'))
    np.testing.assert_allclose(found.keypoint, expected.numpy(), atol=1e-6)


def test_a_damaged_cache_is_made_again(make_archive, calls):
    archive = make_archive()
    folder = prepared_sequences(archive, 8, 2).folder
    (folder / 'keypoints.npy').write_bytes((folder / 'keypoints.npy').read_bytes()[:-9])
    found = prepared_sequences(archive, 8, 2)
    assert len(calls) == 2 and found.keypoint.shape == (6, 2, 8, 20, 3)
    prepared_sequences(archive, 8, 2)
    assert len(calls) == 2


def test_without_cache_or_where_it_cannot_be_written_it_stays_in_memory(make_archive):
    archive = make_archive()
    in_memory = prepared_sequences(archive, 8, 2, cache=False)
    assert in_memory.folder is None and not (archive.path / 'prepared').exists()
    # a file where the folder should be: also root, who may write anywhere, cannot write there
    (archive.path / 'prepared').write_text('')
    blocked = prepared_sequences(archive, 8, 2)
    assert blocked.folder is None
    np.testing.assert_array_equal(blocked.keypoint, in_memory.keypoint)


def test_pickling_maps_the_file_again(make_archive):
    found = prepared_sequences(make_archive(), 8, 2)
    data = pickle.dumps(found)
    assert len(data) < 1000
    np.testing.assert_array_equal(pickle.loads(data).keypoint, found.keypoint)
    in_memory = prepared.PreparedSequences(found.keypoint[:], found.mask)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(in_memory)).mask, found.mask)


@pytest.mark.parametrize('value', [np.nan, 0])
def test_an_unusable_sequence_in_the_archive_is_named(make_archive, value):
    archive = make_archive()
    edit_rows(archive.path, 12, value)  # the only row of take1
    with pytest.raises(DataError, match="'take1' has coordinates"):
        prepared_sequences(archive, 8, 2)
    assert not list((archive.path / 'prepared').iterdir()), 'nothing half made stays'


def test_another_process_may_finish_first(make_archive, monkeypatch):
    archive = make_archive()
    folder = prepared_sequences(archive, 8, 2).folder
    elsewhere = folder.rename(archive.path / 'elsewhere')

    def overtaken(*args, **kwargs):
        elsewhere.rename(folder)
        return prepare(*args, **kwargs)

    monkeypatch.setattr(prepared, 'prepare', overtaken)
    assert prepared_sequences(archive, 8, 2).folder == folder
    assert list((archive.path / 'prepared').iterdir()) == [folder]
