"""Folders of padded arrays become archives; splits that hold the same sequences become one archive."""
import os
import pickle
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from mmactclr.datasets import verify_archive
from mmactclr.errors import ConfigError, DataError
from mmactclr.registry import CONVERTERS

from .conftest import motion

FRAMES, PERSONS = 20, 2
# name, label, persons; the second person of the last one is there before the first comes, with gaps
SEQUENCES = [(f'S{i:03d}', i % 3, 1 + i % 2) for i in range(6)]


def sequence(i: int) -> np.ndarray:
    """(M, T, 25, 3) of sequence i."""
    keypoint = motion(5 + i, SEQUENCES[i][2], i, 25)
    if i == 5:
        keypoint[0, :3], keypoint[1, 4:6] = 0, 0
    return keypoint


def write_part(folder: Path, word: str, which, data='{}_data_joint.npy', protocol=2, dtype=np.float32, labels=None):
    """One array as the code of CrosSCLR writes it."""
    folder.mkdir(parents=True, exist_ok=True)
    padded = np.zeros((len(which), 3, FRAMES, 25, PERSONS), dtype)
    for row, i in enumerate(which):
        keypoint = sequence(i)
        padded[row, :, :keypoint.shape[1], :, :keypoint.shape[0]] = keypoint.transpose(3, 1, 2, 0)
    np.save(folder / data.format(word), padded)
    found = ([SEQUENCES[i][0] for i in which], [SEQUENCES[i][1] for i in which]) if labels is None else labels
    (folder / f'{word}_label.pkl').write_bytes(pickle.dumps(found, protocol=protocol))


def convert(src, tmp_path, **options):
    return CONVERTERS.get('crosclr')().convert(src, tmp_path / 'archive', overwrite=True, **options)


@pytest.fixture
def folder(tmp_path):
    """A folder xsub with sequences 0 to 3 for training and 4 and 5 for testing."""
    write_part(tmp_path / 'raw' / 'xsub', 'train', range(4))
    write_part(tmp_path / 'raw' / 'xsub', 'val', [4, 5])
    return tmp_path / 'raw' / 'xsub'


def check(archive, order=range(6)):
    assert archive.column('name').tolist() == [SEQUENCES[i][0] for i in order]
    assert archive.labels.tolist() == [SEQUENCES[i][1] for i in order]
    for place, i in enumerate(order):
        np.testing.assert_array_equal(archive.sequence(place), sequence(i))
    assert archive.layout.name == 'ntu25' and archive.meta['unit'] == 'm' and verify_archive(archive.path).ok


def test_one_split(folder, tmp_path):
    archive = convert(folder, tmp_path)
    check(archive)
    assert archive.column('split_xsub').tolist() == ['train'] * 4 + ['test'] * 2
    assert convert(folder, tmp_path, split='mine').split_names == ('mine',)


@pytest.mark.parametrize('protocol', (0, 2, 4))
@pytest.mark.parametrize('data', ('{}_position.npy', '{}_data.npy'))
def test_other_names_and_protocols(tmp_path, data, protocol):
    for word, which in (('train', range(4)), ('val', [4, 5])):
        write_part(tmp_path / 'xsub', word, which, data, protocol, np.float64)
    check(convert(tmp_path / 'xsub', tmp_path))


def test_as_aimclr_prepares_it(tmp_path):
    """Labels of shape (N, 1) beside 50 prepared frames; names with a suffix beside raw data, which go first."""
    for word, which in (('train', range(4)), ('val', [4, 5])):
        labels = np.array([[SEQUENCES[i][1]] for i in which])
        write_part(tmp_path / 'frame50', word, which, '{}_position.npy')
        (tmp_path / 'frame50' / f'{word}_label.pkl').unlink()
        np.save(tmp_path / 'frame50' / f'{word}_label.npy', labels)
        named = ([f'{SEQUENCES[i][0]}.skeleton' for i in which], labels[:, 0].tolist())
        write_part(tmp_path / 'xsub', word, which, '{}_data.npy', labels=named)
        np.save(tmp_path / 'xsub' / f'{word}_position.npy', np.ones((len(which), 3, 50, 25, 2), np.float32))
    assert convert(tmp_path / 'frame50', tmp_path).labels.tolist() == [label for _, label, _ in SEQUENCES]
    check(convert(tmp_path / 'xsub', tmp_path))


def test_only_training_data_makes_no_split(tmp_path):
    write_part(tmp_path / 'xsub', 'train', range(6))
    archive = convert(tmp_path / 'xsub', tmp_path)
    check(archive)
    assert archive.split_names == ()


def test_two_splits_of_the_same_sequences(folder, tmp_path):
    write_part(folder.parent / 'xview', 'train', [5, 1, 2])
    write_part(folder.parent / 'xview', 'val', [0, 4])
    archive = convert(folder.parent, tmp_path)
    check(archive)
    assert archive.column('split_xsub').tolist() == ['train'] * 4 + ['test'] * 2
    assert archive.column('split_xview').tolist() == ['test', 'train', 'train', '', 'test', 'train']


def test_sequences_that_only_a_later_split_has(tmp_path):
    for name, parts in (('a', ([0, 1], [2])), ('b', ([3, 1], [4, 5]))):
        for word, which in zip(('train', 'val'), parts, strict=True):
            write_part(tmp_path / 'raw' / name, word, which)
    archive = convert(tmp_path / 'raw', tmp_path)
    check(archive)
    assert archive.column('split_a').tolist() == ['train', 'train', 'test', '', '', '']
    assert archive.column('split_b').tolist() == ['', 'train', '', 'train', 'test', 'test']


def test_left_out_sequences_do_not_shift_the_split(folder, tmp_path):
    data = np.load(folder / 'train_data_joint.npy')
    data[1], data[2, 0, 3, 4, 0] = 0, np.nan
    np.save(folder / 'train_data_joint.npy', data)
    archive = convert(folder, tmp_path)
    check(archive, (0, 3, 4, 5))
    assert archive.column('split_xsub').tolist() == ['train', 'train', 'test', 'test']
    assert sorted(archive.meta['excluded'].values()) == [['S001'], ['S002']]


def test_labels_without_names(folder, tmp_path):
    for word, which in (('train', range(4)), ('val', (4, 5))):
        (folder / f'{word}_label.pkl').unlink()
        np.save(folder / f'{word}_label.npy', np.array([SEQUENCES[i][1] for i in which]))
    archive = convert(folder, tmp_path)
    assert archive.labels.tolist() == [label for _, label, _ in SEQUENCES]
    assert archive.column('name')[[0, 4]].tolist() == ['train_000000', 'test_000000']
    write_part(folder.parent / 'xview', 'train', [0])
    with pytest.raises(ConfigError, match='labels without names'):
        convert(folder.parent, tmp_path)


def test_other_data_under_the_same_name(folder, tmp_path):
    write_part(folder.parent / 'xview', 'train', [0], labels=(['S001'], [1]))
    with pytest.raises(DataError, match=r"sequence 0 \('S001'\) is not the one of that name in another split"):
        convert(folder.parent, tmp_path)


def test_memory_is_bounded(tmp_path):
    """Forty sequences are read in the memory of a few."""
    folder = tmp_path / 'xsub'
    folder.mkdir()
    data = np.random.default_rng(0).normal(size=(40, 3, 300, 25, 2)).astype(np.float32)
    np.save(folder / 'train_data_joint.npy', data)
    (folder / 'train_label.pkl').write_bytes(pickle.dumps(([f'S{i}' for i in range(40)], [0] * 40)))
    del data
    tracemalloc.start()
    archive = convert(folder, tmp_path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(archive) == 40 and peak < (folder / 'train_data_joint.npy').stat().st_size / 3


class Payload:
    """Makes a folder when it is unpickled without care."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (self.path,)


def test_nothing_in_the_labels_is_run(tool, folder, tmp_path, capsys):
    marker = tmp_path / 'marker'
    write_part(folder, 'val', [4, 5], labels=(['a', Payload(str(marker))], [0, 1]))
    assert tool('convert', 'crosclr', folder, tmp_path / 'a') == 1
    error = capsys.readouterr().err
    assert '.mkdir' in error and 'val_label.pkl' in error and not marker.exists() and not (tmp_path / 'a').exists()


def test_faults_name_the_file(folder, tmp_path):
    def fails(message, error=DataError, **options):
        with pytest.raises(error, match=message) as caught:
            convert(folder, tmp_path, **options)
        assert '\n' not in str(caught.value) and not (tmp_path / 'archive').exists()

    label, data = folder / 'val_label.pkl', folder / 'val_data_joint.npy'
    for content, message in ((([], [], []), 'holds a tuple of 3, expected a pair'), (5, 'holds 5'),
                             ((['a'], [0]), 'val_label.pkl has 1 labels, val_data_joint.npy has 2'),
                             ((['a', 'b'], [0]), 'has 2 names and 1 labels'),
                             (([1, 2], [0, 1]), 'names are a list of 2'),
                             ((['a', 'b'], 'ab'), "labels are 'ab'"), ((['a', 'b'], [0, 'x']), 'sequence 1: label is'),
                             ((['a', 'a'], [1, 2]), "two sequences of 'xsub' are called 'a'")):
        label.write_bytes(pickle.dumps(content))
        fails(message)
    label.unlink()
    fails('has no val_label.pkl or val_label.npy beside it')
    write_part(folder, 'val', [4, 5])
    for array, message in ((np.zeros((2, 3, 4)), r'float64 \(2, 3, 4\)'), (np.zeros((2, 3, 9, 25, 1), int), 'int64'),
                           (np.ones((2, 3, 9, 20, 1)), 'joints and coordinates must be the same'),
                           (np.zeros((2, 3, 0, 25, 1)), 'cannot be read|expected floats'),
                           (np.array([None]), 'without pickles')):
        np.save(data, array)
        fails(message)
    write_part(folder, 'val', [4, 5])
    data.write_bytes(data.read_bytes()[:-100])
    fails('val_data_joint.npy cannot be read')
    write_part(folder, 'val', [4, 5])
    fails('--layout kinect20_nwucla has 20 joints', ConfigError, layout='kinect20_nwucla')
    for path in folder.iterdir():
        path.unlink()
    fails('hold none of train_data_joint.npy')
    folder.rmdir()
    fails('is no folder')


def test_a_split_cannot_be_named_where_there_are_two(folder, tmp_path):
    write_part(folder.parent / 'xview', 'train', [0])
    with pytest.raises(ConfigError, match='--split mine: .* holds 2 splits'):
        convert(folder.parent, tmp_path, split='mine')


@pytest.mark.filterwarnings('ignore:Reading')
def test_damaged_headers(folder, tmp_path):
    """Arrays with other headers are read or refused, with the file named."""
    file, rng, refused = folder / 'val_data_joint.npy', np.random.default_rng(0), 0
    content = file.read_bytes()
    tokens = [b'{', b'((((', b'"', b'\n', b'9' * 20, b'-1', b'lambda', b'f4,f4', b'O', b'\x00', b'[', b'\n   x']
    for i in range(500):
        data, at = bytearray(content), int(rng.integers(128))
        token = tokens[i % len(tokens)] if i % 3 else bytes([int(rng.integers(256))])
        data[at:at + len(token)] = token
        file.write_bytes(data)
        try:
            convert(folder, tmp_path)
        except (DataError, ConfigError) as error:
            refused += 1
            assert 'joint.npy' in str(error) and str(error).isprintable() and len(str(error)) < 500, error
    assert refused > 100
