"""verify_archive finds what opening cannot see."""
import json
import re

import numpy as np
import pytest

from mmactclr.datasets import ArchiveWriter, verify_archive
from mmactclr.datasets.archive_format import file_sha256

from .conftest import LAYOUT, motion


def edit_rows(path, row, value, honest=True):
    """Overwrites a row of coordinates; ``honest`` also corrects the checksum."""
    rows = np.load(path / 'keypoints.npy', mmap_mode='r+')
    rows[row] = value
    rows.flush()
    if honest:
        note_checksum(path, 'keypoints.npy')


def edit_index(path, **columns):
    with np.load(path / 'index.npz') as stored:
        index = dict(stored)
    np.savez(path / 'index.npz', **(index | columns))
    note_checksum(path, 'index.npz')


def note_checksum(path, name):
    meta = json.loads((path / 'meta.json').read_text())
    meta['files'][name] = dict(bytes=(path / name).stat().st_size, sha256=file_sha256(path / name))
    (path / 'meta.json').write_text(json.dumps(meta))


def test_a_sound_archive_is_described(make_archive):
    report = verify_archive(make_archive().path)
    text = str(report)
    assert report.ok and not report.warnings
    for part in ('6 sequences', 'kinect20_utdmhad: 20 joints', 'classes  3, 2 to 2',
                 '1 to 30 frames', '1 in 4 sequences, 2 in 2',
                 'xsub: 2 train, 2 test, 2 in neither', 'made up', 'fine'):
        assert part in text, part


FAULTS = {
    'edited': (lambda p: edit_rows(p, 3, 0, honest=False), 'sha256 differs'),
    'not finite': (lambda p: edit_rows(p, 12, np.inf), 'not finite: take1'),
    'nobody': (lambda p: edit_rows(p, 12, 0), 'nobody in any frame: take1'),
    'label': (lambda p: edit_index(p, label=np.array([0, 1, 3, 0, -1, 2])),
              '2 labels are outside 0 to 2: take2, take4'),
    'split word': (lambda p: edit_index(p, split_xsub=np.array(['val'] * 6)), "holds \\['val'\\]"),
    'split counts': (lambda p: edit_index(p, split_xsub=np.array(['train', 'test'] * 3)),
                     "'train': 3.*says .*'train': 2"),
    'empty part': (lambda p: edit_index(p, split_xsub=np.array(['train'] * 6)), 'empty test part'),
    'another split': (lambda p: edit_index(p, split_xset=np.array(['train', 'test'] * 3)),
                      "names the splits \\['xsub'\\]"),
    'gone': (lambda p: (p / 'index.npz').unlink(), 'index.npz is missing'),
}


@pytest.mark.parametrize('fault', FAULTS)
def test_faults_are_found(make_archive, fault):
    path = make_archive().path
    act, message = FAULTS[fault]
    act(path)
    report = verify_archive(path)
    assert not report.ok
    assert any(re.search(message, problem) for problem in report.problems), report


def test_copies_across_a_split_are_a_warning(tmp_path):
    with ArchiveWriter(tmp_path / 'a', LAYOUT, classes=['wave']) as writer:
        for name, seed in dict(one=1, two=2, one_again=1, three=3, two_again=2).items():
            writer.add(motion(4, seed=seed), label=0, name=name)
        path = writer.finish({'xsub': ['train', 'train', 'test', 'test', 'train']}).path
    report = verify_archive(path)
    assert report.ok and report.copies == {'xsub': [('one_again', 'one')]}
    assert '1 test sequences are exact copies' in str(report) and 'one_again = one' in str(report)


def test_the_same_numbers_in_another_shape_are_no_copy(tmp_path):
    take = motion(8)
    with ArchiveWriter(tmp_path / 'a', LAYOUT, classes=['wave']) as writer:
        writer.add(take, label=0)
        writer.add(take.reshape(2, 4, *take.shape[2:]), label=0)
        path = writer.finish({'xsub': ['train', 'test']}).path
    assert not verify_archive(path).copies


def test_a_class_without_sequences_is_a_warning(tmp_path):
    with ArchiveWriter(tmp_path / 'a', LAYOUT, classes=['wave', 'nod']) as writer:
        writer.add(motion(4), label=0)
        path = writer.finish().path
    report = verify_archive(path)
    assert report.ok and '1 classes have no sequence: nod' in str(report)
